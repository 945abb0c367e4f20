//! An inference request in JSON, with or without a binary part behind it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::error::Error;
use crate::message::{InferRequest, RequestedOutput};
use crate::parameter::Parameter;
use crate::protocol::raw;
use crate::rest::json::Dialect;
use crate::rest::json::element::decode_base64;
use crate::rest::json::input::{Description, Input, Inputs};
use crate::rest::json::parameters::ReadParameters;
use crate::tensor::Tensor;

#[cfg(test)]
mod tests;

/// A request read, and how it wants to be answered. The model is the path's to name.
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) request: InferRequest,
    pub(crate) dialect: Dialect,
    pub(crate) binary: BinaryOutputs,
}

/// Which outputs the client wants as binary tensor data.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BinaryOutputs {
    /// `binary_data_output` of the request.
    pub(crate) by_default: bool,
    /// `binary_data` of requested outputs.
    pub(crate) by_name: BTreeMap<String, bool>,
}

/// Reads the top-level object.
struct Request<'a> {
    body: &'a Bytes,
}

/// The top-level object, with inputs whose values may stand elsewhere.
#[derive(Default)]
struct Members {
    id: Option<String>,
    model_version: Option<String>,
    parameters: ReadParameters,
    inputs: Option<Vec<Input>>,
    outputs: Vec<RequestedOutput>,
    raw_input_contents: Option<Vec<Bytes>>,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Id,
    #[serde(alias = "modelVersion")]
    ModelVersion,
    Parameters,
    Inputs,
    Outputs,
    #[serde(alias = "rawInputContents")]
    RawInputContents,
    #[serde(other)]
    Other,
}

#[derive(serde::Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: ReadParameters,
}

/// Texts of base64, decoded.
struct Base64Texts(Vec<Bytes>);

/// Reads a body of which the first `json_length` bytes are JSON and the rest is binary tensor data.
pub(crate) fn read(body: &Bytes, json_length: usize) -> Result<Read, Error> {
    if json_length > body.len() {
        return Err(Error::invalid(format!(
            "the header inference-header-content-length says {json_length} bytes, the body has {}",
            body.len()
        )));
    }
    let json = body.slice(..json_length);
    let mut deserializer = serde_json::Deserializer::from_slice(&json);
    let members = Request { body: &json }
        .deserialize(&mut deserializer)
        .and_then(|members| deserializer.end().map(|()| members))
        .map_err(|error| describe(&error))?;
    assemble(members, body.slice(json_length..))
}

fn describe(error: &serde_json::Error) -> Error {
    Error::invalid(match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("malformed JSON: {error}"),
    })
}

fn assemble(members: Members, binary: Bytes) -> Result<Read, Error> {
    let Members { id, model_version, parameters: ReadParameters(mut parameters), inputs, mut outputs, .. } = members;
    let inputs = inputs.ok_or_else(|| Error::invalid("the request has no inputs"))?;
    let mut dialect = match inputs.first() {
        Some(Input::Whole(_, dialect)) => *dialect,
        _ => Dialect::Data,
    };
    let inputs = match members.raw_input_contents {
        Some(raw) => {
            dialect = Dialect::RawContents;
            with_raw_contents(inputs, raw)?
        }
        None => with_binary(inputs, binary)?,
    };
    let binary = BinaryOutputs {
        by_default: parameters.remove("binary_data_output") == Some(Parameter::Bool(true)),
        by_name: outputs.iter_mut().filter_map(take_binary_data).collect(),
    };
    let request = InferRequest {
        model: String::new(),
        version: model_version.filter(|version| !version.is_empty()),
        id: id.filter(|id| !id.is_empty()),
        parameters,
        inputs,
        outputs,
    };
    Ok(Read { request, dialect, binary })
}

fn take_binary_data(output: &mut RequestedOutput) -> Option<(String, bool)> {
    match output.parameters.remove("binary_data") {
        Some(Parameter::Bool(is_binary)) => Some((output.name.clone(), is_binary)),
        _ => None,
    }
}

/// Values of `raw_input_contents`: one for each input, none in the inputs themselves.
fn with_raw_contents(inputs: Vec<Input>, raw: Vec<Bytes>) -> Result<Vec<Tensor>, Error> {
    if inputs.len() != raw.len() {
        return Err(Error::invalid(format!(
            "raw_input_contents has {} entries for {} inputs, expected one each",
            raw.len(),
            inputs.len()
        )));
    }
    let tensors = inputs.into_iter().zip(raw).map(|(input, raw)| match input {
        Input::Whole(tensor, _) => Err(Error::invalid(format!(
            "input '{}' has values beside raw_input_contents, send one of them",
            tensor.name
        ))),
        Input::Described(description) => read_raw(description, raw),
    });
    tensors.collect()
}

/// Values of the binary tensor data extension, in the order of the inputs that have a size.
fn with_binary(inputs: Vec<Input>, mut binary: Bytes) -> Result<Vec<Tensor>, Error> {
    let mut tensors = Vec::with_capacity(inputs.len());
    for input in inputs {
        let tensor = match input {
            Input::Whole(tensor, _) => tensor,
            Input::Described(mut description) => {
                let size = binary_data_size(&mut description)?;
                if size > binary.len() {
                    return Err(Error::invalid(format!(
                        "input '{}': binary_data_size is {size}, {} bytes are left of the body",
                        description.name,
                        binary.len()
                    )));
                }
                read_raw(description, binary.split_to(size))?
            }
        };
        tensors.push(tensor);
    }
    if !binary.is_empty() {
        return Err(Error::invalid(format!("{} bytes are left after the last input's binary data", binary.len())));
    }
    Ok(tensors)
}

fn binary_data_size(description: &mut Description) -> Result<usize, Error> {
    let name = &description.name;
    match description.parameters.remove("binary_data_size") {
        Some(Parameter::Int64(size)) => usize::try_from(size)
            .map_err(|_| Error::invalid(format!("input '{name}': binary_data_size is {size}, expected a size"))),
        Some(_) => Err(Error::invalid(format!("input '{name}': binary_data_size is no integer"))),
        None => Err(Error::invalid(format!(
            "input '{name}' has no tensor values, expected one of data, contents, raw_input_contents or the \
             parameter binary_data_size"
        ))),
    }
}

fn read_raw(description: Description, raw: Bytes) -> Result<Tensor, Error> {
    let data = raw::read(&description.name, description.datatype, &description.shape, raw)?;
    description.with_values(data)
}

// === impl BinaryOutputs ===

impl BinaryOutputs {
    /// Every output, as after a request that was itself raw.
    pub(crate) fn all() -> Self {
        Self { by_default: true, by_name: BTreeMap::new() }
    }

    /// Whether the output of this name goes into the binary part.
    pub(crate) fn includes(&self, name: &str) -> bool {
        self.by_name.get(name).copied().unwrap_or(self.by_default)
    }
}

// === impl Request ===

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = Members;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Members, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an inference request to be an object with inputs")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::default();
        while let Some(member) = map.next_key::<Member>()? {
            match member {
                Member::Id => members.id = map.next_value()?,
                Member::ModelVersion => members.model_version = map.next_value()?,
                Member::Parameters => members.parameters = map.next_value()?,
                Member::Inputs if members.inputs.is_some() => return Err(A::Error::custom("inputs stand twice")),
                Member::Inputs => {
                    let inputs = map.next_value_seed(Inputs { body: self.body })?;
                    refuse_duplicates(inputs.iter().map(Input::name)).map_err(A::Error::custom)?;
                    members.inputs = Some(inputs);
                }
                Member::Outputs => {
                    let outputs: Option<Vec<Output>> = map.next_value()?;
                    members.outputs = outputs.unwrap_or_default().into_iter().map(RequestedOutput::from).collect();
                }
                Member::RawInputContents => {
                    let texts: Option<Base64Texts> = map.next_value()?;
                    members.raw_input_contents = texts.map(|texts| texts.0);
                }
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// An input's name stands for one tensor.
fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("input '{name}' stands twice in inputs, expected each name once"));
        }
    }
    Ok(())
}

// === impl Output ===

impl From<Output> for RequestedOutput {
    fn from(output: Output) -> Self {
        Self { name: output.name, parameters: output.parameters.0 }
    }
}

// === impl Base64Texts ===

impl<'de> serde::Deserialize<'de> for Base64Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Base64Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("raw_input_contents to be an array of base64 texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut decoded = Vec::new();
                while let Some(text) = items.next_element::<Base64Text>()? {
                    decoded.push(text.0);
                }
                Ok(Base64Texts(decoded))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

/// One text of base64, decoded without a copy of the text.
struct Base64Text(Bytes);

impl<'de> serde::Deserialize<'de> for Base64Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Base64Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("raw_input_contents to hold base64 texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                decode_base64(text.as_bytes())
                    .map(Base64Text)
                    .ok_or_else(|| E::custom("raw_input_contents is not base64"))
            }
        }

        deserializer.deserialize_str(Text)
    }
}
