//! Name and version at the end of a message that nobody held.
//!
//! Behind a transcoder the model is known from the path before the message comes, and the transcoder
//! writes the name that the path binds **last**, where it overrides whatever stands before. So the
//! upstream's name goes behind it: the frame's length grows in the first bytes, and two fields follow
//! the message's end. Nothing waits.
//!
//! What goes by is walked from field to field: behind half a field, or one that claims to be longer
//! than the message, the two would be taken for a part of it, and the name before them would count.

mod walk;

use std::ops::Range;

use self::walk::Walk;
use super::Prefix;
use super::message::{put_text_field, resized};
use crate::read::FRAME_PREFIX;
use crate::reply::{Dialect, Reply};

/// What is to be added behind the first message of a gRPC body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tail {
    fields: Vec<u8>,
    /// Bytes up to the message's end, once its frame has been seen; none left: all is done.
    remaining: Option<u64>,
    walk: Walk,
}

/// What is to be done to the bytes at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Edit {
    /// Nothing.
    Keep,
    /// Keep them back until more have come.
    Wait,
    /// A new start, and bytes to add behind the end.
    Change(Option<Prefix>, Vec<u8>),
    /// The message cannot be changed, so it must not go on: another model than the headers say would read it.
    Refuse(Reply),
}

// === impl Tail ===

impl Tail {
    /// For this model and version. Without a version the message's own is overridden by none, too.
    pub(crate) fn new(model: &[u8], version: Option<&[u8]>) -> Self {
        let mut fields = Vec::with_capacity(model.len() + 16);
        put_text_field(1, model, &mut fields);
        put_text_field(2, version.unwrap_or_default(), &mut fields);
        Self { fields, remaining: None, walk: Walk::default() }
    }

    /// The body's length with what is added.
    pub fn new_length(&self, length: u64) -> u64 {
        length.saturating_add(self.fields.len() as u64)
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.remaining == Some(0)
    }

    /// For the next `size` bytes of the body, of which `read` gives those that are asked for. After [`Edit::Wait`] the bytes kept back come again, with more behind them.
    pub fn edit<E>(
        &mut self,
        size: usize,
        end_of_body: bool,
        read: impl Fn(Range<usize>) -> Result<Vec<u8>, E>,
    ) -> Result<Edit, E> {
        let (mut start, mut message) = (None, 0);
        let remaining = match self.remaining {
            Some(0) => return Ok(Edit::Keep),
            Some(remaining) => remaining,
            None if size < FRAME_PREFIX => return Ok(if end_of_body { Edit::Keep } else { Edit::Wait }),
            None => {
                let frame = read(0..FRAME_PREFIX)?;
                let Some((prefix, remaining)) = self.framed(&frame) else {
                    return Ok(refuse("the message of a transcoded call is compressed or too long to be renamed"));
                };
                (start, message) = (Some(prefix), FRAME_PREFIX);
                remaining
            }
        };
        let left = remaining.saturating_sub(size as u64);
        self.remaining = Some(left);
        let end = usize::try_from(remaining).unwrap_or(size).min(size);
        let is_sound = self.walk.pass(message..end, &read)?;
        if !is_sound || (left == 0 && !self.walk.is_between_fields()) {
            return Ok(refuse("the message of a transcoded call does not consist of whole fields"));
        }
        if left > 0 {
            return Ok(start.map_or(Edit::Keep, |start| Edit::Change(Some(start), Vec::new())));
        }
        if end == size {
            return Ok(Edit::Change(start, std::mem::take(&mut self.fields)));
        }
        // Another message follows in the same bytes: up to its start they are written anew.
        let mut with = read(0..end)?;
        if let Some(Prefix { with: frame, .. }) = start {
            with.splice(..FRAME_PREFIX.min(with.len()), frame);
        }
        with.append(&mut self.fields);
        Ok(Edit::Change(Some(Prefix { replaces: end, with }), Vec::new()))
    }

    /// The frame's new prefix, and how many bytes from its start the message ends.
    fn framed(&self, frame: &[u8]) -> Option<(Prefix, u64)> {
        let [0, length @ ..] = <[u8; FRAME_PREFIX]>::try_from(frame).ok()? else { return None };
        let length = u32::from_be_bytes(length);
        let mut with = vec![0];
        with.extend_from_slice(&resized(length, self.fields.len(), 0)?.to_be_bytes());
        Some((Prefix { replaces: FRAME_PREFIX, with }, FRAME_PREFIX as u64 + u64::from(length)))
    }
}

fn refuse(text: &'static str) -> Edit {
    Edit::Refuse(Reply::invalid(text).in_dialect(Dialect::Grpc))
}

#[cfg(test)]
mod tests;
