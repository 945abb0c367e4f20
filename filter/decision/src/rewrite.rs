//! The path or the message with the upstream's name of the model.

use std::ops::Range;

use crate::read::{FRAME_PREFIX, GrpcReader};

/// The path with another model and version in the place of `span`; the query stays.
pub fn path(raw: &[u8], span: &Range<usize>, model: &[u8], version: Option<&[u8]>) -> Vec<u8> {
    let mut rewritten = Vec::with_capacity(raw.len() + model.len() + 16);
    rewritten.extend_from_slice(raw.get(..span.start).unwrap_or_default());
    percent_encode(model, &mut rewritten);
    if let Some(version) = version {
        rewritten.extend_from_slice(b"/versions/");
        percent_encode(version, &mut rewritten);
    }
    rewritten.extend_from_slice(raw.get(span.end..).unwrap_or_default());
    rewritten
}

/// What replaces the first `reader.offset()` bytes of a gRPC body, which `read` are: the frame's
/// prefix with the new length, name and version first, then the other fields as they were.
/// Protobuf lets the last of a repeated name count, so every occurrence that was read is taken out.
pub fn message_start(read: &[u8], reader: &GrpcReader, model: &[u8], version: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut fields = Vec::with_capacity(read.len() + model.len() + 16);
    put_text_field(1, model, &mut fields);
    if let Some(version) = version {
        put_text_field(2, version, &mut fields);
    }
    let mut kept_from = FRAME_PREFIX;
    for name_field in reader.name_fields() {
        fields.extend_from_slice(read.get(kept_from..name_field.start)?);
        kept_from = name_field.end;
    }
    fields.extend_from_slice(read.get(kept_from..)?);

    // In 64 bits: a frame may claim a length that, with a longer name, no longer fits into 32.
    let replaced = read.len().checked_sub(FRAME_PREFIX)? as u64;
    let length = (u64::from(reader.message_length()?) + fields.len() as u64).checked_sub(replaced)?;
    let mut start = vec![*read.first()?];
    start.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    start.append(&mut fields);
    Some(start)
}

/// Everything but RFC 3986's unreserved characters is escaped, so that a name is one segment.
fn percent_encode(name: &[u8], into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let hex = |digit: u8| HEX.get(usize::from(digit)).copied().unwrap_or_default();
    for &byte in name {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(byte);
        } else {
            into.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

fn put_text_field(field: u8, text: &[u8], into: &mut Vec<u8>) {
    into.push(field << 3 | 2);
    let mut length = text.len();
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
    into.extend_from_slice(text);
}
