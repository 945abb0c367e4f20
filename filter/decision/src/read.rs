//! Readers of the first bytes of a body.
//!
//! They take the body in pieces of any size and stop at a point that depends on the bytes alone,
//! never on how they were cut: the decision is the same however a client or a proxy splits a body.

mod grpc;
mod json;

pub(crate) use grpc::FRAME_PREFIX;
pub use grpc::{GrpcReader, Wanted};
pub use json::JsonReader;

/// How far a reader is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// What was looked for may still come.
    More,
    /// All that was looked for is known, or nothing of it can come any more.
    Done,
    /// The bytes are not what the content type says. What was read so far may be used; the upstream
    /// will judge the rest.
    Malformed(&'static str),
}

#[cfg(test)]
mod tests;
