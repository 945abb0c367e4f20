//! The messages of the Open Inference Protocol that the cases send, with the field numbers of its `.proto`, and the
//! frames that gRPC puts around messages.

use std::collections::BTreeMap;

use prost::Message;

/// `ModelInferRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    /// The model.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Its version; empty: any.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// The client's name for the request.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Request parameters.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// Input tensors.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferInputTensor>,
    /// Input contents, one after another.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

/// `InferParameter`.
#[derive(Clone, PartialEq, Message)]
pub struct InferParameter {
    /// One of five.
    #[prost(oneof = "ParameterChoice", tags = "1, 2, 3, 4, 5")]
    pub choice: Option<ParameterChoice>,
}

/// `InferParameter.parameter_choice`.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ParameterChoice {
    /// A boolean.
    #[prost(bool, tag = "1")]
    Bool(bool),
    /// A signed number.
    #[prost(int64, tag = "2")]
    Int64(i64),
    /// A text.
    #[prost(string, tag = "3")]
    String(String),
    /// A fraction.
    #[prost(double, tag = "4")]
    Double(f64),
    /// An unsigned number.
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

/// `ModelInferRequest.InferInputTensor`, without typed contents.
#[derive(Clone, PartialEq, Message)]
pub struct InferInputTensor {
    /// The tensor's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its datatype, such as `FP32`.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Its shape.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// `ModelReadyRequest`, `ModelMetadataRequest`, `ModelConfigRequest` and `ModelStatisticsRequest`: name and version.
#[derive(Clone, PartialEq, Message)]
pub struct ModelRequest {
    /// The model.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version; empty: any.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// A request for this model with an id and one tensor of `bytes` bytes.
pub fn infer(model: &str, bytes: usize) -> ModelInferRequest {
    ModelInferRequest {
        model_name: model.to_owned(),
        id: "request-7".to_owned(),
        inputs: vec![InferInputTensor {
            name: "predict".to_owned(),
            datatype: "UINT8".to_owned(),
            shape: vec![1, i64::try_from(bytes).unwrap_or(i64::MAX)],
        }],
        raw_input_contents: vec![(0..bytes).map(|index| (index % 251) as u8).collect()],
        ..ModelInferRequest::default()
    }
}

/// The same with a text among its parameters.
#[must_use]
pub fn with_parameter(mut request: ModelInferRequest, name: &str, value: &str) -> ModelInferRequest {
    let choice = Some(ParameterChoice::String(value.to_owned()));
    request.parameters.insert(name.to_owned(), InferParameter { choice });
    request
}

/// A gRPC frame around a message, not compressed.
pub fn frame(message: &impl Message) -> Vec<u8> {
    frame_bytes(&message.encode_to_vec())
}

/// A gRPC frame around bytes.
pub fn frame_bytes(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A length-delimited field of a message.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// The messages in a body of frames; `None` if it does not consist of whole frames.
pub fn messages(body: &[u8]) -> Option<Vec<&[u8]>> {
    let mut messages = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest.get(1..5)?.try_into().ok()?) as usize;
        messages.push(rest.get(5..5 + length)?);
        rest = rest.get(5 + length..)?;
    }
    Some(messages)
}
