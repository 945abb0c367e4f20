//! Answers with the model's public name in the place of the upstream's.
//!
//! A gateway lets a filter replace the start of the bytes at hand and nothing else, and holding an
//! answer back costs memory and time. So only what stands early is found: the name in the first
//! bytes of a document, in each event of a stream of events, in each message of gRPC. A name that is
//! not the upstream's stays, as does anything that is compressed or cannot be read.

mod document;
mod events;
mod messages;
#[cfg(test)]
mod tests;

use crate::rewrite::Prefix;

/// The most that is held back or looked through for a name.
const LONGEST_LOOK: usize = 4096;

/// How an answer names its model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Naming {
    /// `model_name` or `modelName` of a JSON document: v2.
    Document,
    /// `model` of a JSON document: OpenAI.
    OpenAiDocument,
    /// `model` of the JSON in every event of a stream: OpenAI.
    OpenAiEvents,
    /// Field 1 of every gRPC message.
    Messages,
    /// Field 1 of the message in field 2 of every gRPC message: `ModelStreamInfer`.
    NestedMessages,
}

/// What is to be done to the bytes at hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// They go on as they are.
    Keep,
    /// They are to be held back until more have come, and shown again then with what has come.
    Wait,
    /// They get a new start.
    Change(Prefix),
}

/// Puts one name in the place of another, in an answer that comes in pieces.
#[derive(Clone, Debug)]
pub struct Renaming {
    naming: Naming,
    from: Vec<u8>,
    to: Vec<u8>,
    /// Bytes that go by untouched before anything is to be looked at again.
    skipped: u64,
    is_done: bool,
    /// Whether the next byte stands inside a line that needs no more looks.
    is_in_line: bool,
}

/// Where a name stands in bytes of which the end may not have come yet.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Found {
    /// The name, without quotes.
    At(std::ops::Range<usize>),
    /// There is none.
    Nowhere,
    /// What has come does not tell.
    Unclear,
}

// === impl Renaming ===

impl Renaming {
    /// Looks for the name `from`, and puts `to` in its place.
    pub fn new(naming: Naming, from: &[u8], to: &[u8]) -> Self {
        Self { naming, from: from.to_vec(), to: to.to_vec(), skipped: 0, is_done: false, is_in_line: false }
    }

    /// Whether the answer keeps its length.
    pub fn keeps_length(&self) -> bool {
        self.from.len() == self.to.len() && self.json(&self.from).len() == self.json(&self.to).len()
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// For the `size` bytes at hand, of which `read` gives as many from an offset as asked for.
    /// `is_last`: no more will come.
    pub fn step<E>(
        &mut self,
        size: usize,
        is_last: bool,
        read: impl Fn(usize, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Step, E> {
        if self.is_done {
            return Ok(Step::Keep);
        }
        match self.naming {
            Naming::Document | Naming::OpenAiDocument => self.step_in_document(size, is_last, read),
            Naming::OpenAiEvents => self.step_in_events(size, is_last, read),
            Naming::Messages | Naming::NestedMessages => self.step_in_messages(size, is_last, read),
        }
    }

    /// The keys that name the model.
    fn keys(&self) -> &'static [&'static [u8]] {
        match self.naming {
            Naming::Document => &[b"model_name", b"modelName"],
            _ => &[b"model"],
        }
    }

    /// A name as it stands between the quotes of JSON.
    fn json(&self, name: &[u8]) -> Vec<u8> {
        let mut text = String::new();
        crate::router::put_json_text(&mut text, &String::from_utf8_lossy(name));
        text.get(1..text.len().saturating_sub(1)).unwrap_or_default().as_bytes().to_vec()
    }
}
