//! A body that is being read while its headers are held.

use crate::message::{Message, Needs};
use crate::read::{GrpcReader, JsonReader, Progress, Wanted};

/// What the first bytes of a body have told so far.
#[derive(Debug)]
pub struct Peek {
    reader: Reader,
    limit: usize,
    taken: usize,
    progress: Progress,
    at_limit: bool,
}

#[derive(Debug)]
pub(crate) enum Reader {
    Json(JsonReader),
    Grpc(GrpcReader),
}

// === impl Peek ===

impl Peek {
    /// Reads no more than `limit` bytes of a JSON body.
    pub(crate) fn json(needed: Needs, limit: usize) -> Self {
        Self::new(Reader::Json(JsonReader::new(needed)), limit)
    }

    /// Reads no more than `limit` bytes of a gRPC body.
    pub(crate) fn grpc(limit: usize) -> Self {
        Self::new(Reader::Grpc(GrpcReader::new(limit)), limit)
    }

    fn new(reader: Reader, limit: usize) -> Self {
        Self { reader, limit, taken: 0, progress: Progress::More, at_limit: false }
    }

    /// Takes the next bytes; true once the decision can be made.
    pub(crate) fn feed(&mut self, bytes: &[u8], wanted: &impl Wanted) -> bool {
        let bytes = bytes.get(..self.room()).unwrap_or(bytes);
        self.taken += bytes.len();
        self.progress = match &mut self.reader {
            Reader::Json(reader) => reader.feed(bytes, |name| wanted.parameter(name)),
            Reader::Grpc(reader) => reader.feed(bytes, wanted),
        };
        self.at_limit = self.progress == Progress::More && self.room() == 0;
        self.progress != Progress::More || self.at_limit
    }

    /// Bytes that it would still take.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.taken)
    }

    /// Body bytes taken so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// The reader of a gRPC body, if it is one.
    pub fn grpc_reader(&self) -> Option<&GrpcReader> {
        match &self.reader {
            Reader::Grpc(reader) => Some(reader),
            Reader::Json(_) => None,
        }
    }

    /// Whether the limit was reached before all was found.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.at_limit
    }

    /// Why the body could not be read, if so.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self.progress {
            Progress::Malformed(fault) => Some(fault),
            Progress::More | Progress::Done => None,
        }
    }

    /// The parameters found.
    pub(crate) fn message(&self) -> &Message {
        match &self.reader {
            Reader::Json(reader) => reader.message(),
            Reader::Grpc(reader) => reader.message(),
        }
    }
}
