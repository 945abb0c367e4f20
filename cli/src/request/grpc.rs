//! A ModelInferRequest from its JSON, framed as it travels.
//!
//! Protobuf's JSON has both spellings of a name (`modelName`, `model_name`) and 64-bit numbers also
//! as texts; the short form of a parameter (`"user_id": "u7"`) is taken as well.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use modelway_runtime::proto::infer_parameter::ParameterChoice;
use modelway_runtime::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use modelway_runtime::proto::{InferParameter, InferTensorContents, ModelInferRequest};
use prost::Message;
use serde_json::{Map, Value};

/// The body of a unary call: one message with its prefix.
pub(super) fn framed(json: &[u8]) -> anyhow::Result<Vec<u8>> {
    let value: Value = serde_json::from_slice(json).context("expected a ModelInferRequest as JSON")?;
    let message = request(&value)?.encode_to_vec();
    let length = u32::try_from(message.len()).context("the message is longer than a frame can be")?;
    Ok([&[0], length.to_be_bytes().as_slice(), &message].concat())
}

fn request(value: &Value) -> anyhow::Result<ModelInferRequest> {
    let mut fields = Fields::of(value, "")?;
    let request = ModelInferRequest {
        model_name: fields.text("modelName")?,
        model_version: fields.text("modelVersion")?,
        id: fields.text("id")?,
        parameters: parameters(fields.take("parameters"), "parameters")?,
        inputs: fields
            .list("inputs")?
            .iter()
            .enumerate()
            .map(|(index, input)| tensor(input, index))
            .collect::<Result<_, _>>()?,
        outputs: fields
            .list("outputs")?
            .iter()
            .enumerate()
            .map(|(index, output)| requested(output, index))
            .collect::<Result<_, _>>()?,
        raw_input_contents: fields.list("rawInputContents")?.iter().map(decoded).collect::<Result<_, _>>()?,
    };
    fields.finish()?;
    Ok(request)
}

fn tensor(value: &Value, index: usize) -> anyhow::Result<InferInputTensor> {
    let mut fields = Fields::of(value, &format!("inputs[{index}]"))?;
    let contents = fields.take("contents");
    let path = format!("inputs[{index}].contents");
    let tensor = InferInputTensor {
        name: fields.text("name")?,
        datatype: fields.text("datatype")?,
        shape: fields.list("shape")?.iter().map(integer).collect::<anyhow::Result<_>>()?,
        parameters: parameters(fields.take("parameters"), &format!("inputs[{index}].parameters"))?,
        contents: contents.map(|contents| tensor_contents(&contents, &path)).transpose()?,
    };
    fields.finish()?;
    Ok(tensor)
}

fn requested(value: &Value, index: usize) -> anyhow::Result<InferRequestedOutputTensor> {
    let mut fields = Fields::of(value, &format!("outputs[{index}]"))?;
    let parameters = parameters(fields.take("parameters"), &format!("outputs[{index}].parameters"))?;
    let output = InferRequestedOutputTensor { name: fields.text("name")?, parameters };
    fields.finish()?;
    Ok(output)
}

fn tensor_contents(value: &Value, path: &str) -> anyhow::Result<InferTensorContents> {
    let mut fields = Fields::of(value, path)?;
    let mut integers = |name: &str| -> anyhow::Result<Vec<i64>> { fields.list(name)?.iter().map(integer).collect() };
    let (int, int64, uint) = (integers("intContents")?, integers("int64Contents")?, integers("uintContents")?);
    let fits = || format!("{path}: expected numbers that fit their type");
    let contents = InferTensorContents {
        bool_contents: fields
            .list("boolContents")?
            .iter()
            .map(|value| value.as_bool().context("expected a boolean"))
            .collect::<Result<_, _>>()?,
        int_contents: int.into_iter().map(i32::try_from).collect::<Result<_, _>>().with_context(fits)?,
        int64_contents: int64,
        uint_contents: uint.into_iter().map(u32::try_from).collect::<Result<_, _>>().with_context(fits)?,
        uint64_contents: fields.list("uint64Contents")?.iter().map(unsigned).collect::<Result<_, _>>()?,
        fp32_contents: fields
            .list("fp32Contents")?
            .iter()
            .map(|value| Ok(number(value)? as f32))
            .collect::<anyhow::Result<_>>()?,
        fp64_contents: fields.list("fp64Contents")?.iter().map(number).collect::<Result<_, _>>()?,
        bytes_contents: fields
            .list("bytesContents")?
            .iter()
            .map(|value| Ok(decoded(value)?.to_vec().into()))
            .collect::<anyhow::Result<_>>()?,
    };
    fields.finish()?;
    Ok(contents)
}

fn parameters(value: Option<Value>, path: &str) -> anyhow::Result<BTreeMap<String, InferParameter>> {
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let members = value.as_object().with_context(|| format!("{path}: expected an object"))?;
    let of = |(name, value): (&String, &Value)| {
        let choice = parameter(value).with_context(|| format!("{path}.{name}"))?;
        Ok((name.clone(), InferParameter { parameter_choice: Some(choice) }))
    };
    members.iter().map(of).collect()
}

fn parameter(value: &Value) -> anyhow::Result<ParameterChoice> {
    let typed = value.as_object().and_then(|members| members.iter().next());
    Ok(match typed {
        Some((kind, value)) => match camel_case(kind).as_str() {
            "boolParam" => ParameterChoice::BoolParam(value.as_bool().context("expected a boolean")?),
            "int64Param" => ParameterChoice::Int64Param(integer(value)?),
            "stringParam" => ParameterChoice::StringParam(value.as_str().context("expected a text")?.to_owned()),
            "doubleParam" => ParameterChoice::DoubleParam(number(value)?),
            "uint64Param" => ParameterChoice::Uint64Param(unsigned(value)?),
            _ => bail!("expected stringParam, int64Param, uint64Param, doubleParam or boolParam, got `{kind}`"),
        },
        None => match value {
            Value::String(text) => ParameterChoice::StringParam(text.clone()),
            Value::Bool(value) => ParameterChoice::BoolParam(*value),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => ParameterChoice::Int64Param(integer),
                None => ParameterChoice::DoubleParam(number.as_f64().context("expected a number")?),
            },
            _ => bail!("expected a text, a number or a boolean"),
        },
    })
}

/// An object's members while they are taken one by one; what is left is unknown.
struct Fields {
    path: String,
    members: Map<String, Value>,
}

// === impl Fields ===

impl Fields {
    fn of(value: &Value, path: &str) -> anyhow::Result<Self> {
        let members = value.as_object().with_context(|| format!("{path}: expected an object"))?;
        let members = members.iter().map(|(name, value)| (camel_case(name), value.clone())).collect();
        Ok(Self { path: path.to_owned(), members })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> anyhow::Result<String> {
        match self.take(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => bail!("{}{name}: expected a text", self.before()),
        }
    }

    fn list(&mut self, name: &str) -> anyhow::Result<Vec<Value>> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(_) => bail!("{}{name}: expected a list", self.before()),
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(unknown) => bail!("{}{unknown}: a ModelInferRequest has no such field", self.before()),
        }
    }

    fn before(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}.", self.path) }
    }
}

/// `model_name` is `modelName`, and `fp32_contents` is `fp32Contents`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |camel, word| {
        let mut letters = word.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
        camel + &capital.chain(letters).collect::<String>()
    })
}

fn integer(value: &Value) -> anyhow::Result<i64> {
    let of_text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_i64().or_else(of_text).with_context(|| format!("expected a whole number, got {value}"))
}

fn unsigned(value: &Value) -> anyhow::Result<u64> {
    let of_text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_u64().or_else(of_text).with_context(|| format!("expected a whole number not below 0, got {value}"))
}

fn number(value: &Value) -> anyhow::Result<f64> {
    let of_text = || value.as_str().and_then(|text| text.parse().ok());
    value.as_f64().or_else(of_text).with_context(|| format!("expected a number, got {value}"))
}

fn decoded(value: &Value) -> anyhow::Result<bytes::Bytes> {
    let text = value.as_str().context("expected base64")?;
    Ok(BASE64_STANDARD.decode(text).context("expected base64")?.into())
}
