//! A body that is being read while its headers are held.

use crate::config::Protocol;
use crate::header::Headers;
use crate::parameter::{ParameterSet, Parameters};
use crate::read::{GrpcReader, JsonReader, Progress, Wanted};
use crate::router::Router;

/// What the first bytes of a body have told so far.
#[derive(Debug)]
pub struct Peek {
    reader: Reader,
    taken: usize,
    progress: Progress,
    at_limit: bool,
}

#[derive(Debug)]
pub(crate) enum Reader {
    Json(JsonReader),
    Grpc(GrpcReader),
}

/// What routing needs of a message, given the request's headers.
struct WantedBy<'a, H> {
    router: &'a Router,
    head: &'a H,
}

// === impl Peek ===

impl Peek {
    pub(crate) fn json(needed: ParameterSet) -> Self {
        Self::new(Reader::Json(JsonReader::new(needed)))
    }

    pub(crate) fn grpc(limit: usize) -> Self {
        Self::new(Reader::Grpc(GrpcReader::new(limit)))
    }

    fn new(reader: Reader) -> Self {
        Self { reader, taken: 0, progress: Progress::More, at_limit: false }
    }

    /// Takes the next bytes; true once the decision can be made.
    pub fn feed(&mut self, bytes: &[u8], router: &Router, head: &impl Headers) -> bool {
        let room = router.peek_limit().saturating_sub(self.taken);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.taken += bytes.len();
        self.progress = match &mut self.reader {
            Reader::Json(reader) => reader.feed(bytes, |name| router.parameter_number(name)),
            Reader::Grpc(reader) => reader.feed(bytes, &WantedBy { router, head }),
        };
        self.at_limit = self.progress == Progress::More && self.taken >= router.peek_limit();
        self.progress != Progress::More || self.at_limit
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
    pub(crate) fn parameters(&self) -> &Parameters {
        match &self.reader {
            Reader::Json(reader) => reader.parameters(),
            Reader::Grpc(reader) => reader.parameters(),
        }
    }
}

// === impl WantedBy ===

impl<H: Headers> Wanted for WantedBy<'_, H> {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        self.router.parameter_number(name)
    }

    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> ParameterSet {
        self.router.needed(self.head, Protocol::Grpc, name, version)
    }
}
