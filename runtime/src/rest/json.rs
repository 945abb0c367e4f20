//! The JSON dialects of an inference request, and the answers in kind.
//!
//! | dialect | values | integers | names |
//! |---|---|---|---|
//! | Open Inference Protocol | `data`, flat or nested | numbers | snake_case |
//! | protobuf's JSON, as behind a gRPC transcoder | `contents` or `raw_input_contents` | 64-bit ones as strings | both casings in, lowerCamelCase out |
//!
//! Tensor values go from the text straight into typed vectors; no JSON tree is built.

mod array;
mod contents;
mod element;
mod input;
mod parameters;

pub(crate) mod answer;
pub(crate) mod proto_answer;
pub(crate) mod request;

/// How a request wrote its tensor values, and so how the answer does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// `data`: the Open Inference Protocol.
    #[default]
    Data,
    /// `contents`: protobuf's JSON with typed values.
    Contents,
    /// `raw_input_contents`: protobuf's JSON with base64 of raw values.
    RawContents,
}
