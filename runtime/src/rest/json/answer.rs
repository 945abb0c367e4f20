//! An answer in the Open Inference Protocol's JSON, with or without a binary part behind it.
//!
//! JSON has no NaN and no infinity: they are written as `null`. Clients that need them ask for
//! binary tensor data. BYTES elements are written as text; if one of a tensor is not UTF-8, all of
//! it is base64 and its parameter `content_type` says so.

use std::fmt;
use std::str;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use crate::error::Error;
use crate::message::InferResponse;
use crate::parameter::Parameter;
use crate::protocol::raw;
use crate::rest::json::parameters::BareParameters;
use crate::rest::json::request::BinaryOutputs;
use crate::tensor::{Tensor, TensorData};

#[cfg(test)]
mod tests;

/// What the front end adds to a model's response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    /// The name that the client called.
    pub(crate) model_name: &'a str,
    /// The version that answered, if the model has versions.
    pub(crate) model_version: Option<&'a str>,
    /// Of the request.
    pub(crate) id: Option<&'a str>,
}

/// A body, and where its JSON ends if a binary part follows.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) body: Vec<u8>,
    pub(crate) json_length: Option<usize>,
}

struct Answer<'a> {
    envelope: Envelope<'a>,
    response: &'a InferResponse,
    binary: &'a BinaryOutputs,
}

struct Outputs<'a> {
    tensors: &'a [Tensor],
    binary: &'a BinaryOutputs,
}

struct Output<'a> {
    tensor: &'a Tensor,
    is_binary: bool,
}

struct Data<'a>(&'a TensorData);

/// Displays or serializes as base64.
pub(super) struct Base64<'a>(pub(super) &'a [u8]);

/// Writes the answer.
pub(crate) fn write(
    envelope: Envelope<'_>,
    response: &InferResponse,
    binary: &BinaryOutputs,
) -> Result<Written, Error> {
    let mut body = Vec::with_capacity(estimate(response));
    serde_json::to_writer(&mut body, &Answer { envelope, response, binary })
        .map_err(|error| Error::internal(format!("cannot write the answer: {error}")))?;
    let json_length = body.len();
    let mut has_binary = false;
    for tensor in response.outputs.iter().filter(|tensor| binary.includes(&tensor.name)) {
        raw::write(tensor.data(), &mut body);
        has_binary = true;
    }
    Ok(Written { body, json_length: has_binary.then_some(json_length) })
}

/// Bytes that the answer takes, about.
pub(super) fn estimate(response: &InferResponse) -> usize {
    const FRAME: usize = 256;
    const PER_OUTPUT: usize = 128;
    const PER_VALUE: usize = 10;
    let values: usize = response.outputs.iter().map(|tensor| PER_OUTPUT + tensor.data().len() * PER_VALUE).sum();
    FRAME + values
}

// === impl Answer ===

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model_name", self.envelope.model_name)?;
        if let Some(version) = self.envelope.model_version {
            map.serialize_entry("model_version", version)?;
        }
        if let Some(id) = self.envelope.id {
            map.serialize_entry("id", id)?;
        }
        if !self.response.parameters.is_empty() {
            map.serialize_entry("parameters", &BareParameters(&self.response.parameters))?;
        }
        map.serialize_entry("outputs", &Outputs { tensors: &self.response.outputs, binary: self.binary })?;
        map.end()
    }
}

// === impl Outputs ===

impl Serialize for Outputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            self.tensors.iter().map(|tensor| Output { tensor, is_binary: self.binary.includes(&tensor.name) }),
        )
    }
}

// === impl Output ===

impl Serialize for Output<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tensor, is_binary } = *self;
        let data = Data(tensor.data());
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &tensor.name)?;
        map.serialize_entry("datatype", tensor.datatype().name())?;
        map.serialize_entry("shape", tensor.shape())?;
        if is_binary {
            let mut parameters = tensor.parameters.clone();
            let size = i64::try_from(raw::size(tensor.data())).map_err(S::Error::custom)?;
            parameters.insert("binary_data_size".to_owned(), Parameter::Int64(size));
            map.serialize_entry("parameters", &BareParameters(&parameters))?;
            return map.end();
        }
        if data.needs_base64() {
            let mut parameters = tensor.parameters.clone();
            parameters.insert("content_type".to_owned(), Parameter::String("base64".to_owned()));
            map.serialize_entry("parameters", &BareParameters(&parameters))?;
        } else if !tensor.parameters.is_empty() {
            map.serialize_entry("parameters", &BareParameters(&tensor.parameters))?;
        }
        map.serialize_entry("data", &data)?;
        map.end()
    }
}

// === impl Data ===

impl Data<'_> {
    fn needs_base64(&self) -> bool {
        match self.0 {
            TensorData::Bytes(elements) => elements.iter().any(|element| str::from_utf8(element).is_err()),
            _ => false,
        }
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            TensorData::Bool(values) => serializer.collect_seq(values),
            TensorData::Uint8(values) => serializer.collect_seq(values),
            TensorData::Uint16(values) => serializer.collect_seq(values),
            TensorData::Uint32(values) => serializer.collect_seq(values),
            TensorData::Uint64(values) => serializer.collect_seq(values),
            TensorData::Int8(values) => serializer.collect_seq(values),
            TensorData::Int16(values) => serializer.collect_seq(values),
            TensorData::Int32(values) => serializer.collect_seq(values),
            TensorData::Int64(values) => serializer.collect_seq(values),
            TensorData::Fp16(values) => serializer.collect_seq(values.iter().map(|value| value.to_f32())),
            TensorData::Bf16(values) => serializer.collect_seq(values.iter().map(|value| value.to_f32())),
            TensorData::Fp32(values) => serializer.collect_seq(values),
            TensorData::Fp64(values) => serializer.collect_seq(values),
            TensorData::Bytes(elements) => match texts(elements) {
                Some(texts) => serializer.collect_seq(texts),
                None => serializer.collect_seq(elements.iter().map(|element| Base64(element))),
            },
        }
    }
}

fn texts(elements: &[Bytes]) -> Option<Vec<&str>> {
    elements.iter().map(|element| str::from_utf8(element).ok()).collect()
}

// === impl Base64 ===

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(self.0, &STANDARD).fmt(f)
    }
}

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
