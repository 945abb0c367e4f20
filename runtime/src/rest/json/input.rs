//! One element of `inputs`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use half::{bf16, f16};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Error;
use crate::parameter::{Parameter, Parameters};
use crate::protocol;
use crate::protocol::proto::InferTensorContents;
use crate::rest::json::Dialect;
use crate::rest::json::array::{Array, Nesting, Source};
use crate::rest::json::contents::Contents;
use crate::rest::json::element::{Element, decode_base64};
use crate::rest::json::parameters::ReadParameters;
use crate::tensor::{DataType, Tensor, TensorData, element_count};

/// An input, as far as it could be read.
pub(super) enum Input {
    /// The values stood in it, in this dialect.
    Whole(Tensor, Dialect),
    /// The values stand elsewhere: in the binary part, or in `raw_input_contents`.
    Described(Description),
}

/// An input without its values.
pub(super) struct Description {
    pub(super) name: String,
    pub(super) datatype: DataType,
    pub(super) shape: Vec<usize>,
    pub(super) parameters: Parameters,
}

/// Reads `inputs`.
pub(super) struct Inputs<'a> {
    /// The request's body.
    pub(super) body: &'a Bytes,
}

/// Reads one input.
struct OneInput<'a> {
    body: &'a Bytes,
    /// Its place in `inputs`, for error texts before the name is known.
    index: usize,
}

/// Reads `data` as values of the datatype.
struct Data<'a> {
    datatype: DataType,
    body: &'a Bytes,
    capacity: usize,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Member {
    Name,
    Shape,
    Datatype,
    Parameters,
    Data,
    Contents,
    #[serde(other)]
    Other,
}

/// A dimension: a number, or its digits in a string as protobuf's JSON writes 64-bit integers.
struct Dimension(i64);

// === impl Input ===

impl Input {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Whole(tensor, _) => &tensor.name,
            Self::Described(description) => &description.name,
        }
    }
}

// === impl Description ===

impl Description {
    /// The tensor with these values; an error when they are not as many as the shape says.
    pub(super) fn with_values(self, data: TensorData) -> Result<Tensor, Error> {
        Ok(Tensor::new(self.name, self.shape, data)?.with_parameters(self.parameters))
    }
}

/// MLServer's and the KServe REST proxy's way to put bytes that are no text into JSON.
fn is_base64(parameters: &Parameters) -> bool {
    match parameters.get("content_type") {
        Some(Parameter::String(content_type)) => matches!(content_type.as_str(), "base64" | "b64" | "BASE64" | "B64"),
        _ => false,
    }
}

fn decode_elements(name: &str, elements: &[Bytes]) -> Result<Vec<Bytes>, Error> {
    let decoded = elements.iter().enumerate().map(|(index, element)| {
        decode_base64(element).ok_or_else(|| {
            let example = STANDARD.encode("example");
            Error::invalid(format!(
                "input '{name}': data[{index}] is not base64, as its content_type says; expected for instance {example}"
            ))
        })
    });
    decoded.collect()
}

// === impl Inputs ===

impl<'de> DeserializeSeed<'de> for Inputs<'_> {
    type Value = Vec<Input>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inputs<'_> {
    type Value = Vec<Input>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inputs to be an array of tensors")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut inputs = Vec::new();
        while let Some(input) = items.next_element_seed(OneInput { body: self.body, index: inputs.len() })? {
            inputs.push(input);
        }
        Ok(inputs)
    }
}

// === impl OneInput ===

impl<'de> DeserializeSeed<'de> for OneInput<'_> {
    type Value = Input;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Input, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneInput<'_> {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inputs[{}] to be an object with name, shape, datatype and values", self.index)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Input, A::Error> {
        let mut name: Option<String> = None;
        let mut datatype: Option<DataType> = None;
        let mut shape: Option<Vec<usize>> = None;
        let mut parameters = Parameters::new();
        let mut data: Option<(TensorData, Nesting)> = None;
        // `data` that came before its datatype: read once that is known.
        let mut early_data: Option<&RawValue> = None;
        let mut contents: Option<InferTensorContents> = None;

        while let Some(member) = map.next_key::<Member>()? {
            // What came so far gives an error its place.
            let place = name.as_deref().unwrap_or("?");
            match member {
                Member::Name => name = Some(map.next_value()?),
                Member::Datatype => {
                    let text: String = map.next_value()?;
                    datatype = Some(DataType::from_name(&text).map_err(A::Error::custom)?);
                }
                Member::Shape => {
                    let dimensions: Vec<Dimension> = map.next_value()?;
                    let dimensions: Vec<i64> = dimensions.into_iter().map(|dimension| dimension.0).collect();
                    shape = Some(protocol::shape_from_wire(place, &dimensions).map_err(A::Error::custom)?);
                }
                Member::Parameters => parameters = map.next_value::<ReadParameters>()?.0,
                Member::Data if data.is_some() || early_data.is_some() => {
                    return Err(A::Error::custom(format_args!("input '{place}' has data twice")));
                }
                Member::Data => match datatype {
                    Some(datatype) => {
                        let capacity = room_for(shape.as_deref(), self.body);
                        data = Some(map.next_value_seed(Data { datatype, body: self.body, capacity })?);
                    }
                    None => early_data = Some(map.next_value()?),
                },
                Member::Contents => {
                    let capacity = room_for(shape.as_deref(), self.body);
                    contents = Some(map.next_value_seed(Contents { body: self.body, capacity })?);
                }
                Member::Other => {
                    map.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }

        let name = name.ok_or_else(|| A::Error::custom(format_args!("inputs[{}] has no name", self.index)))?;
        let missing = |member: &str| A::Error::custom(format_args!("input '{name}' has no {member}"));
        let datatype = datatype.ok_or_else(|| missing("datatype"))?;
        let shape = shape.ok_or_else(|| missing("shape"))?;
        if let Some(text) = early_data {
            let seed = Data { datatype, body: self.body, capacity: room_for(Some(&shape), self.body) };
            let read = seed.deserialize(text);
            data = Some(read.map_err(|error| A::Error::custom(format_args!("input '{name}': {error}")))?);
        }
        let description = Description { name, datatype, shape, parameters };
        // Checked here and not at the end: an input may reserve for its shape, a thousand may not.
        match (data, contents) {
            (Some(_), Some(_)) => {
                let name = &description.name;
                Err(Error::invalid(format!("input '{name}' has both data and contents, send one of them")))
            }
            (Some((data, nesting)), None) => with_data(description, data, &nesting),
            (None, Some(contents)) => with_contents(description, contents),
            (None, None) => Ok(Input::Described(description)),
        }
        .map_err(A::Error::custom)
    }
}

fn with_data(description: Description, mut data: TensorData, nesting: &Nesting) -> Result<Input, Error> {
    let Description { name, shape, parameters, .. } = &description;
    if !nesting.follows(shape) {
        let nested = nesting.lengths();
        return Err(Error::invalid(format!("input '{name}': data is nested as {nested:?}, its shape is {shape:?}")));
    }
    if let TensorData::Bytes(elements) = &data
        && is_base64(parameters)
    {
        data = TensorData::Bytes(decode_elements(name, elements)?);
    }
    Ok(Input::Whole(description.with_values(data)?, Dialect::Data))
}

fn with_contents(description: Description, contents: InferTensorContents) -> Result<Input, Error> {
    let data = protocol::contents::read(&description.name, description.datatype, contents)?;
    Ok(Input::Whole(description.with_values(data)?, Dialect::Contents))
}

/// Elements to reserve for: those of the shape, if the body can hold them at two characters each.
fn room_for(shape: Option<&[usize]>, body: &Bytes) -> usize {
    let count = shape.and_then(element_count).unwrap_or(0);
    count.min(body.len() / 2)
}

// === impl Data ===

impl Data<'_> {
    fn read<'de, T: Element, D: Deserializer<'de>>(self, deserializer: D) -> Result<(Vec<T>, Nesting), D::Error> {
        let source = Source {
            member: "data",
            expected: self.datatype.name(),
            dialect: Dialect::Data,
            body: self.body,
            capacity: self.capacity,
        };
        Array::new(source).deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = (TensorData, Nesting);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        /// Reads values of one type and wraps them in its variant.
        macro_rules! read {
            ($($variant:ident: $element:ty),+) => {
                match self.datatype {
                    $(DataType::$variant => {
                        let (values, nesting) = self.read::<$element, D>(deserializer)?;
                        Ok((TensorData::$variant(values), nesting))
                    })+
                }
            };
        }
        read!(
            Bool: bool,
            Uint8: u8,
            Uint16: u16,
            Uint32: u32,
            Uint64: u64,
            Int8: i8,
            Int16: i16,
            Int32: i32,
            Int64: i64,
            Fp16: f16,
            Bf16: bf16,
            Fp32: f32,
            Fp64: f64,
            Bytes: Bytes
        )
    }
}

// === impl Dimension ===

impl<'de> serde::Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Dimension;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a dimension to be an integer")
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Dimension, E> {
                Ok(Dimension(value))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Dimension, E> {
                let too_large = || E::custom(format_args!("the dimension {value} is too large"));
                i64::try_from(value).map(Dimension).map_err(|_| too_large())
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<Dimension, E> {
                let unexpected = || E::invalid_value(serde::de::Unexpected::Str(digits), &self);
                digits.parse().map(Dimension).map_err(|_| unexpected())
            }
        }

        deserializer.deserialize_any(Number)
    }
}
