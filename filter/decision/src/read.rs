//! Readers of the first bytes of a body.
//!
//! They take the body in pieces of any size and stop at a point that depends on the bytes alone,
//! never on how they were cut: the decision is the same however a client or a proxy splits a body.

mod grpc;
mod json;

pub use grpc::GrpcReader;
pub(crate) use grpc::{FRAME_PREFIX, Varint};
pub use json::{Document, JsonReader};

use crate::message::{Message, Needs};

/// Longest name of a model or a version.
pub(crate) const LONGEST_NAME: usize = 1024;

/// How often name and version may come together. Clients write each once; what routing needs is
/// asked anew behind each.
const MOST_NAMES: usize = 8;

/// What a reader is asked for.
pub trait Wanted {
    /// The number of the parameter of this name, if routing looks at it at all.
    fn parameter(&self, name: &[u8]) -> Option<usize>;

    /// What routing needs for this model.
    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> Needs;
}

/// How a body is to be read.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Read to the end and accept only what every reader understands alike: no repetition, nothing
    /// overlong, nothing behind the end.
    pub is_strict: bool,
    /// A body that is no longer than this is read to its end, wherever what is needed stands.
    pub whole_up_to: usize,
    /// The body's length, where the headers tell it. A gRPC message tells its own.
    pub length: Option<usize>,
    /// What the headers have told already.
    pub known: Message,
    /// Nobody looks at names, datatypes and shapes of inputs: they need not be kept. How the inputs are encoded is
    /// found out all the same.
    pub leaves_inputs: bool,
}

/// How far a reader is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// What was looked for may still come.
    More,
    /// All that was looked for is known, or nothing of it can come any more.
    Done,
    /// The message is compressed.
    Compressed,
    /// The bytes are not what the content type says, or not what a strict reader accepts. What was
    /// read so far may be used; the upstream will judge the rest.
    Malformed(&'static str),
}

#[cfg(test)]
mod tests;
