//! The name in each message of gRPC.

use super::{Naming, Renaming, Step};
use crate::read::FRAME_PREFIX;
use crate::rewrite::{Prefix, put_head};

/// A length-delimited field 1, and 2, of fewer than 2¹⁶ bytes.
const FIRST: u8 = 1 << 3 | 2;
const SECOND: u8 = 2 << 3 | 2;

/// What the start of a message tells.
enum Start {
    /// This start in the place of as many bytes.
    Renamed(usize, Vec<u8>),
    /// It stays.
    Kept,
    /// It has not come so far.
    Cut,
}

impl Renaming {
    pub(super) fn step_in_messages<E>(
        &mut self,
        size: usize,
        is_last: bool,
        read: impl Fn(usize, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Step, E> {
        let mut at = self.skipped;
        let mut with = Vec::new();
        let mut kept_from = 0;
        // The frame, two tags and two lengths of up to ten bytes, and the name.
        let longest_start = FRAME_PREFIX + 22 + self.from.len();
        while let Ok(start) = usize::try_from(at)
            && start < size
        {
            let bytes = read(start, longest_start.min(size - start))?;
            let Some(length) = frame_length(&bytes) else {
                if is_last {
                    break;
                }
                return Ok(Step::Wait);
            };
            match self.start_of(&bytes, length) {
                Start::Renamed(replaces, new) => {
                    if start > kept_from {
                        with.extend(read(kept_from, start - kept_from)?);
                    }
                    with.extend(new);
                    kept_from = start + replaces;
                }
                Start::Cut if !is_last => return Ok(Step::Wait),
                Start::Cut | Start::Kept => {}
            }
            at += FRAME_PREFIX as u64 + u64::from(length);
        }
        self.skipped = at.saturating_sub(size as u64);
        if kept_from == 0 {
            return Ok(Step::Keep);
        }
        Ok(Step::Change(Prefix { replaces: kept_from, with }))
    }

    fn start_of(&self, bytes: &[u8], length: u32) -> Start {
        let is_compressed = bytes.first() != Some(&0);
        let is_nested = self.naming == Naming::NestedMessages;
        if is_compressed || length == 0 {
            return Start::Kept;
        }
        let mut rest = bytes.get(FRAME_PREFIX..).unwrap_or_default();
        // What of the message has come, if it ends before these bytes do.
        let own = rest.len().min(length as usize);
        rest = rest.get(..own).unwrap_or_default();
        let is_whole = own == length as usize;
        let cut = if is_whole { Start::Kept } else { Start::Cut };
        let mut outer = None;
        if is_nested {
            match take_head(&mut rest, SECOND) {
                Ok(Some(length)) => outer = Some(length),
                Ok(None) => return cut,
                Err(()) => return Start::Kept,
            }
        }
        match take_head(&mut rest, FIRST) {
            Ok(Some(length)) if length == self.from.len() as u64 => {}
            Ok(None) => return cut,
            _ => return Start::Kept,
        }
        let Some(name) = rest.get(..self.from.len()) else { return cut };
        if name != self.from {
            return Start::Kept;
        }
        let replaces = FRAME_PREFIX + own - rest.len() + name.len();
        self.renamed(bytes, length, outer, replaces).map_or(Start::Kept, |new| Start::Renamed(replaces, new))
    }

    /// The message's start with the other name; `None` where a length cannot tell so much.
    fn renamed(&self, bytes: &[u8], length: u32, outer: Option<u64>, replaces: usize) -> Option<Vec<u8>> {
        let mut field = Vec::with_capacity(self.to.len() + 3);
        put_head(FIRST, self.to.len() as u64, &mut field);
        field.extend_from_slice(&self.to);
        let mut message = field;
        if let Some(outer) = outer {
            let mut old = Vec::new();
            put_head(FIRST, self.from.len() as u64, &mut old);
            let inner = (outer + message.len() as u64).checked_sub((old.len() + self.from.len()) as u64)?;
            let mut nested = Vec::with_capacity(message.len() + 11);
            put_head(SECOND, inner, &mut nested);
            nested.append(&mut message);
            message = nested;
        }
        let replaced = (replaces - FRAME_PREFIX) as u64;
        let length = (u64::from(length) + message.len() as u64).checked_sub(replaced)?;
        let mut start = vec![*bytes.first()?];
        start.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
        start.append(&mut message);
        Some(start)
    }
}

fn frame_length(bytes: &[u8]) -> Option<u32> {
    let (_, rest) = bytes.split_first()?;
    rest.first_chunk().map(|length| u32::from_be_bytes(*length))
}

/// Takes a tag and the length behind it. `None`: they have not come; an error: it is another field.
fn take_head(from: &mut &[u8], tag: u8) -> Result<Option<u64>, ()> {
    let Some((&first, mut rest)) = from.split_first() else { return Ok(None) };
    if first != tag {
        return Err(());
    }
    let mut length = 0_u64;
    for shift in (0..64).step_by(7) {
        let Some((&byte, behind)) = rest.split_first() else { return Ok(None) };
        rest = behind;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            *from = rest;
            return Ok(Some(length));
        }
    }
    Err(())
}
