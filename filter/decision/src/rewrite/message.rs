//! A gRPC message with another name of the model at its start.

use super::Prefix;
use crate::read::{FRAME_PREFIX, GrpcReader};

/// The body's start with the frame's new length, name and version first, then the other fields up to
/// the last name or version as they were. Protobuf lets the last of a repeated field count, so every
/// name and version that was read is taken out.
pub(crate) fn message_start(read: &[u8], reader: &GrpcReader, model: &[u8], version: Option<&[u8]>) -> Option<Prefix> {
    let mut with = Vec::with_capacity(read.len() + model.len() + 64);
    with.push(*read.first()?);
    with.extend_from_slice(&[0; FRAME_PREFIX - 1]);
    put_text_field(1, model, &mut with);
    if let Some(version) = version {
        put_text_field(2, version, &mut with);
    }
    let mut kept_from = FRAME_PREFIX;
    for name_field in reader.name_fields() {
        with.extend_from_slice(read.get(kept_from..name_field.start)?);
        kept_from = name_field.end;
    }
    let replaces = kept_from;
    let replaced = replaces.checked_sub(FRAME_PREFIX)?;
    let length = resized(reader.message_length()?, with.len() - FRAME_PREFIX, replaced)?;
    with.get_mut(1..FRAME_PREFIX)?.copy_from_slice(&length.to_be_bytes());
    Some(Prefix { replaces, with })
}

/// A frame's length with so many bytes instead of others. In 64 bits: a frame may claim a length
/// that, with a longer name, no longer fits into 32.
pub(super) fn resized(length: u32, added: usize, removed: usize) -> Option<u32> {
    let length = (u64::from(length) + added as u64).checked_sub(removed as u64)?;
    u32::try_from(length).ok()
}

/// A length-delimited field.
pub(super) fn put_text_field(field: u8, text: &[u8], into: &mut Vec<u8>) {
    put_head(field << 3 | 2, text.len() as u64, into);
    into.extend_from_slice(text);
}

/// A tag of one byte, and the length behind it.
pub(crate) fn put_head(tag: u8, mut length: u64, into: &mut Vec<u8>) {
    into.push(tag);
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
}
