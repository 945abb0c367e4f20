//! From field to field of a message that goes by.

use std::ops::Range;

use crate::read::Varint;

/// So many bytes are read at once; most fields before the tensors are shorter.
const WINDOW: usize = 64;

/// Where the bytes that went by have ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Walk {
    at: At,
    varint: Varint,
    /// Bytes of the field's payload that are still to come.
    payload: u64,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum At {
    #[default]
    Tag,
    Number,
    Length,
}

// === impl Walk ===

impl Walk {
    /// Passes these bytes, of which only those between payloads are read; false for what is no field of protobuf's,
    /// or a group, which no message of the protocol has.
    pub(super) fn pass<E>(
        &mut self,
        bytes: Range<usize>,
        read: &impl Fn(Range<usize>) -> Result<Vec<u8>, E>,
    ) -> Result<bool, E> {
        let mut place = self.skip(bytes.start, bytes.end);
        while place < bytes.end {
            let window = read(place..bytes.end.min(place + WINDOW))?;
            if window.is_empty() {
                return Ok(false);
            }
            let start = place;
            while let Some(&byte) = window.get(place - start) {
                if self.step(byte).is_none() {
                    return Ok(false);
                }
                place = self.skip(place + 1, bytes.end);
            }
        }
        Ok(true)
    }

    /// Whether the next byte would begin a field.
    pub(super) fn is_between_fields(&self) -> bool {
        *self == Self::default()
    }

    /// The first place behind the payload, if it ends before `end`.
    fn skip(&mut self, place: usize, end: usize) -> usize {
        let there = end.saturating_sub(place);
        let skipped = usize::try_from(self.payload).unwrap_or(there).min(there);
        self.payload -= skipped as u64;
        place + skipped
    }

    fn step(&mut self, byte: u8) -> Option<()> {
        let Some(value) = self.varint.push(byte).ok()? else { return Some(()) };
        self.at = match self.at {
            At::Number => At::Tag,
            At::Length => {
                self.payload = value;
                At::Tag
            }
            At::Tag if value > u64::from(u32::MAX) || value >> 3 == 0 => return None,
            At::Tag => match value & 7 {
                0 => At::Number,
                1 => {
                    self.payload = 8;
                    At::Tag
                }
                2 => At::Length,
                5 => {
                    self.payload = 4;
                    At::Tag
                }
                _ => return None,
            },
        };
        Some(())
    }
}
