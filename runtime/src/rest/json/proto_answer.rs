//! An answer as protobuf's JSON of `ModelInferResponse`: lowerCamelCase, 64-bit integers as
//! strings, bytes as base64, defaults left out.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::Error;
use crate::message::InferResponse;
use crate::protocol::{contents, raw};
use crate::rest::json::answer::{Base64, Envelope, estimate};
use crate::rest::json::parameters::WrappedParameters;
use crate::tensor::{Tensor, TensorData};

#[cfg(test)]
mod tests;

struct Answer<'a> {
    envelope: Envelope<'a>,
    response: &'a InferResponse,
    is_raw: bool,
}

struct Output<'a> {
    tensor: &'a Tensor,
    is_raw: bool,
}

struct Contents<'a>(&'a TensorData);

/// Serializes each value as its digits in a string.
struct Digits<'a, T>(&'a [T]);

/// Serializes what is not finite as protobuf's words for it.
struct Floats<'a, T>(&'a [T]);

struct Float<T>(T);

struct Text<T>(T);

struct RawContents<'a>(&'a [Tensor]);

/// Writes the answer: typed contents, or raw ones if the request had such or a datatype has no other.
pub(crate) fn write(envelope: Envelope<'_>, response: &InferResponse, is_raw: bool) -> Result<Vec<u8>, Error> {
    let is_raw = is_raw || response.outputs.iter().any(|tensor| !contents::has_field(tensor.datatype()));
    let mut body = Vec::with_capacity(estimate(response));
    serde_json::to_writer(&mut body, &Answer { envelope, response, is_raw })
        .map_err(|error| Error::internal(format!("cannot write the answer: {error}")))?;
    Ok(body)
}

// === impl Answer ===

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { envelope, response, is_raw } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("modelName", envelope.model_name)?;
        if let Some(version) = envelope.model_version {
            map.serialize_entry("modelVersion", version)?;
        }
        if let Some(id) = envelope.id {
            map.serialize_entry("id", id)?;
        }
        if !response.parameters.is_empty() {
            map.serialize_entry("parameters", &WrappedParameters(&response.parameters))?;
        }
        let outputs: Vec<_> = response.outputs.iter().map(|tensor| Output { tensor, is_raw }).collect();
        map.serialize_entry("outputs", &outputs)?;
        if is_raw {
            map.serialize_entry("rawOutputContents", &RawContents(&response.outputs))?;
        }
        map.end()
    }
}

// === impl Output ===

impl Serialize for Output<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { tensor, is_raw } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &tensor.name)?;
        map.serialize_entry("datatype", tensor.datatype().name())?;
        if !tensor.shape().is_empty() {
            map.serialize_entry("shape", &Digits(tensor.shape()))?;
        }
        if !tensor.parameters.is_empty() {
            map.serialize_entry("parameters", &WrappedParameters(&tensor.parameters))?;
        }
        if !is_raw {
            map.serialize_entry("contents", &Contents(tensor.data()))?;
        }
        map.end()
    }
}

// === impl Contents ===

impl Serialize for Contents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.0.is_empty() {
            return map.end();
        }
        match self.0 {
            TensorData::Bool(values) => map.serialize_entry("boolContents", values)?,
            TensorData::Uint8(values) => map.serialize_entry("uintContents", values)?,
            TensorData::Uint16(values) => map.serialize_entry("uintContents", values)?,
            TensorData::Uint32(values) => map.serialize_entry("uintContents", values)?,
            TensorData::Uint64(values) => map.serialize_entry("uint64Contents", &Digits(values))?,
            TensorData::Int8(values) => map.serialize_entry("intContents", values)?,
            TensorData::Int16(values) => map.serialize_entry("intContents", values)?,
            TensorData::Int32(values) => map.serialize_entry("intContents", values)?,
            TensorData::Int64(values) => map.serialize_entry("int64Contents", &Digits(values))?,
            TensorData::Fp32(values) => map.serialize_entry("fp32Contents", &Floats(values))?,
            TensorData::Fp64(values) => map.serialize_entry("fp64Contents", &Floats(values))?,
            TensorData::Bytes(elements) => {
                let texts: Vec<_> = elements.iter().map(|element| Base64(element)).collect();
                map.serialize_entry("bytesContents", &texts)?;
            }
            // The protocol has no typed contents for these, and `write` sends them raw.
            TensorData::Fp16(_) | TensorData::Bf16(_) => {}
        }
        map.end()
    }
}

// === impl Digits ===

impl<T: std::fmt::Display> Serialize for Digits<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Text))
    }
}

// === impl Text ===

impl<T: std::fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

// === impl Floats ===

impl<T: Copy + Into<f64> + Serialize> Serialize for Floats<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|&value| Float(value)))
    }
}

impl<T: Copy + Into<f64> + Serialize> Serialize for Float<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let wide: f64 = self.0.into();
        match wide {
            _ if wide.is_finite() => self.0.serialize(serializer),
            _ if wide.is_nan() => serializer.serialize_str("NaN"),
            _ if wide > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

// === impl RawContents ===

impl Serialize for RawContents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Raw(Vec<u8>);

        impl Serialize for Raw {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Base64(&self.0).serialize(serializer)
            }
        }

        serializer.collect_seq(self.0.iter().map(|tensor| {
            let mut bytes = Vec::with_capacity(raw::size(tensor.data()));
            raw::write(tensor.data(), &mut bytes);
            Raw(bytes)
        }))
    }
}
