//! A body that is being read while its headers are held.

use crate::config::Protocol;
use crate::message::{Message, Needs};
use crate::read::{FRAME_PREFIX, GrpcReader, JsonReader, Plan, Progress, Wanted};
use crate::rewrite::{self, Prefix};

/// What the first bytes of a body have told so far.
#[derive(Debug)]
pub struct Peek {
    reader: Reader,
    protocol: Protocol,
    bounds: Bounds,
    is_strict: bool,
    taken: usize,
    progress: Progress,
}

/// Why a body, or what of it routing may need, could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unread {
    /// It is compressed.
    Compressed,
    /// It is not what its content type says, or not what a strict reader accepts.
    Malformed,
    /// It goes on behind the limit.
    PastLimit,
}

/// How far a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// No further than this.
    pub(crate) limit: usize,
    /// Where what can be read ends: a document in front of binary tensors, or the body.
    pub(crate) end: Option<usize>,
    /// Whether the headers say that the body is compressed.
    pub(crate) is_compressed: bool,
}

#[derive(Debug)]
enum Reader {
    Json(JsonReader),
    Grpc(GrpcReader),
}

// === impl Peek ===

impl Peek {
    /// Of a v2 request whose path names the model.
    pub(crate) fn inference(plan: Plan, bounds: Bounds, needed: Needs) -> Self {
        let is_strict = plan.is_strict;
        Self::new(Reader::Json(JsonReader::inference(plan, needed)), Protocol::Rest, bounds, is_strict)
    }

    /// Of a request in OpenAI's protocol.
    pub(crate) fn open_ai(plan: Plan, bounds: Bounds) -> Self {
        let is_strict = plan.is_strict;
        Self::new(Reader::Json(JsonReader::open_ai(plan)), Protocol::OpenAi, bounds, is_strict)
    }

    /// Of a gRPC call.
    pub(crate) fn grpc(plan: Plan, bounds: Bounds) -> Self {
        let is_strict = plan.is_strict;
        Self::new(Reader::Grpc(GrpcReader::new(plan)), Protocol::Grpc, bounds, is_strict)
    }

    fn new(reader: Reader, protocol: Protocol, bounds: Bounds, is_strict: bool) -> Self {
        Self { reader, protocol, bounds, is_strict, taken: 0, progress: Progress::More }
    }

    /// Takes the next bytes; true once the decision can be made.
    pub(crate) fn feed(&mut self, bytes: &[u8], wanted: &impl Wanted) -> bool {
        let bytes = bytes.get(..self.room()).unwrap_or(bytes);
        self.taken += bytes.len();
        self.progress = match &mut self.reader {
            Reader::Json(reader) => reader.feed(bytes, wanted),
            Reader::Grpc(reader) => reader.feed(bytes, wanted),
        };
        self.progress != Progress::More || self.room() == 0
    }

    /// Passes over as many of the next bytes, of which so many are at hand, as need not be shown to it.
    pub fn pass(&mut self, at_hand: usize) {
        let at_hand = at_hand.min(self.room());
        if let (Reader::Grpc(reader), Progress::More) = (&mut self.reader, self.progress) {
            self.taken += reader.pass(at_hand);
        }
    }

    /// Bytes that it would still take.
    pub fn room(&self) -> usize {
        let end = self.bounds.end.unwrap_or(usize::MAX);
        self.bounds.limit.min(end).saturating_sub(self.taken)
    }

    /// Body bytes taken so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Why something of the body could not be read, if so. Asked once nothing more will be taken.
    pub fn unread(&self) -> Option<Unread> {
        match self.progress {
            Progress::Compressed => Some(Unread::Compressed),
            Progress::Malformed(_) if self.bounds.is_compressed => Some(Unread::Compressed),
            Progress::Malformed(_) => Some(Unread::Malformed),
            Progress::More if self.is_past_limit() => Some(Unread::PastLimit),
            Progress::More | Progress::Done => None,
        }
    }

    /// How many of the body's first bytes a rewrite looks at.
    pub fn renamed_bytes(&self) -> usize {
        match &self.reader {
            Reader::Json(reader) => reader.name_values().last().map_or(0, |last| last.end),
            Reader::Grpc(reader) => reader.name_fields().last().map_or(FRAME_PREFIX, |last| last.end),
        }
    }

    /// The body's start with the upstream's name of the model; `read` are its first
    /// [`Self::renamed_bytes`]. `None` where the length of a frame cannot tell so much.
    pub fn renamed(&self, read: &[u8], model: &[u8], version: Option<&[u8]>) -> Option<Prefix> {
        match &self.reader {
            Reader::Json(reader) => rewrite::document_start(read, reader, model),
            Reader::Grpc(reader) => rewrite::message_start(read, reader, model, version),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The model that the body names.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        match &self.reader {
            Reader::Json(reader) => reader.name(),
            Reader::Grpc(reader) => reader.name(),
        }
    }

    /// The version that the body names.
    pub(crate) fn version(&self) -> Option<&[u8]> {
        match &self.reader {
            Reader::Json(_) => None,
            Reader::Grpc(reader) => reader.version(),
        }
    }

    /// Whether the body goes on behind the limit, or may.
    pub(crate) fn is_past_limit(&self) -> bool {
        let is_at_limit = self.taken >= self.bounds.limit && self.progress == Progress::More;
        is_at_limit && self.bounds.end.is_none_or(|end| end > self.bounds.limit)
    }

    /// What is wrong with the body, if it is one that a gateway that must be sure refuses. Bytes
    /// that never came, because there is no body at all, are nothing wrong.
    pub(crate) fn strict_fault(&self) -> Option<&'static str> {
        let is_complete = match &self.reader {
            Reader::Json(reader) => reader.is_complete(),
            Reader::Grpc(_) => false,
        };
        match self.progress {
            _ if !self.is_strict || self.taken == 0 => None,
            _ if self.bounds.is_compressed => Some("the body is compressed, and routing needs it"),
            Progress::Compressed => Some("the message is compressed, and routing needs it"),
            Progress::Malformed(fault) => Some(fault),
            Progress::More if !is_complete && !self.is_past_limit() => Some("the body ends too early"),
            Progress::More | Progress::Done => None,
        }
    }

    /// Why the body could not be read, if so.
    pub fn fault(&self) -> Option<&'static str> {
        match self.progress {
            Progress::Compressed => Some("it is compressed"),
            Progress::Malformed(_) if self.bounds.is_compressed => Some("it is compressed"),
            Progress::Malformed(fault) => Some(fault),
            Progress::More | Progress::Done => None,
        }
    }

    /// What was found.
    pub(crate) fn message(&self) -> &Message {
        match &self.reader {
            Reader::Json(reader) => reader.message(),
            Reader::Grpc(reader) => reader.message(),
        }
    }
}
