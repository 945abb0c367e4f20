//! The path or the message with the upstream's name of the model.

mod document;
mod message;
mod tail;

use std::ops::Range;

pub(crate) use self::document::document_start;
pub(crate) use self::message::{message_start, put_head};
pub use self::tail::{Edit, Tail};

/// A body's new start. Gateways edit a body nowhere else but at its ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prefix {
    /// How many bytes of the body it takes the place of.
    pub replaces: usize,
    /// The bytes in their place.
    pub with: Vec<u8>,
}

// === impl Prefix ===

impl Prefix {
    /// The body's length once it has this start.
    pub fn new_length(&self, length: u64) -> u64 {
        length.saturating_add(self.with.len() as u64).saturating_sub(self.replaces as u64)
    }

    /// The bytes up to the end of the last of `spans`, each span replaced by what `put` writes.
    fn replacing(read: &[u8], spans: &[Range<usize>], put: impl Fn(&mut Vec<u8>)) -> Option<Self> {
        let replaces = spans.last()?.end;
        let mut with = Vec::with_capacity(replaces + 64);
        let mut kept_from = 0;
        for span in spans {
            with.extend_from_slice(read.get(kept_from..span.start)?);
            put(&mut with);
            kept_from = span.end;
        }
        (read.len() >= replaces).then_some(Self { replaces, with })
    }
}

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
