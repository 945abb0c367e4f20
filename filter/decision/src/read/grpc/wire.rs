//! Protobuf's wire format: <https://protobuf.dev/programming-guides/encoding/>.

use crate::message::LONGEST_VALUE;
use crate::number::double_text;

/// A varint whose bytes come one at a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Varint {
    value: u64,
    bytes: u32,
}

// === impl Varint ===

impl Varint {
    /// Whether a varint has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes > 0
    }

    /// The value when this was its last byte.
    pub(crate) fn push(&mut self, byte: u8) -> Result<Option<u64>, &'static str> {
        let shift = self.bytes * 7;
        let part = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && part > 1) {
            return Err("a varint is longer than 64 bits");
        }
        self.value |= part << shift;
        self.bytes += 1;
        if byte & 0x80 != 0 {
            return Ok(None);
        }
        let value = self.value;
        *self = Self::default();
        Ok(Some(value))
    }
}

/// One field of a message that is whole in memory.
enum Field<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

/// Takes the next field off the front; `None` at the end or where it is malformed.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = next_varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Varint(next_varint(rest)?),
        1 => Field::Fixed64(take(rest, 8)?.try_into().ok()?),
        2 => {
            let length = usize::try_from(next_varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => {
            take(rest, 4)?;
            Field::Fixed32
        }
        _ => return None,
    };
    Some((tag >> 3, field))
}

pub(super) fn next_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut varint = Varint::default();
    loop {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        if let Some(value) = varint.push(byte).ok()? {
            return Some(value);
        }
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

/// Name and value of a `map<string, InferParameter>` entry.
pub(super) fn map_entry(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut name, mut value) = (&b""[..], &b""[..]);
    let mut rest = entry;
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Field::Bytes(bytes)) => name = bytes,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Some((name, value))
}

/// An `InferParameter` as text: bool 1, int64 2, string 3, double 4, uint64 5.
pub(super) fn parameter_text(message: &[u8]) -> Option<Vec<u8>> {
    let mut text = None;
    let mut rest = message;
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Field::Varint(value)) => text = Some(if value == 0 { b"false".to_vec() } else { b"true".to_vec() }),
            (2, Field::Varint(value)) => text = Some((value as i64).to_string().into_bytes()),
            (3, Field::Bytes(bytes)) => text = Some(bytes.to_vec()),
            (4, Field::Fixed64(bytes)) => text = Some(double_text(f64::from_le_bytes(bytes))),
            (5, Field::Varint(value)) => text = Some(value.to_string().into_bytes()),
            _ => {}
        }
    }
    text.filter(|text| text.len() <= LONGEST_VALUE)
}
