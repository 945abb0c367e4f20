//! `contents` in protobuf's JSON: the arrays of `InferTensorContents`, in either casing.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::protocol::proto::InferTensorContents;
use crate::rest::json::Dialect;
use crate::rest::json::array::{Array, Source};
use crate::rest::json::element::Element;

/// Reads the object.
pub(super) struct Contents<'a> {
    /// The request's body.
    pub(super) body: &'a Bytes,
    /// Elements to make room for.
    pub(super) capacity: usize,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier)]
enum Member {
    #[serde(rename = "bool_contents", alias = "boolContents")]
    Bool,
    #[serde(rename = "int_contents", alias = "intContents")]
    Int,
    #[serde(rename = "int64_contents", alias = "int64Contents")]
    Int64,
    #[serde(rename = "uint_contents", alias = "uintContents")]
    Uint,
    #[serde(rename = "uint64_contents", alias = "uint64Contents")]
    Uint64,
    #[serde(rename = "fp32_contents", alias = "fp32Contents")]
    Fp32,
    #[serde(rename = "fp64_contents", alias = "fp64Contents")]
    Fp64,
    #[serde(rename = "bytes_contents", alias = "bytesContents")]
    Bytes,
}

// === impl Contents ===

impl Contents<'_> {
    fn array<'de, T: Element, A: MapAccess<'de>>(
        &self,
        map: &mut A,
        member: &'static str,
        expected: &'static str,
    ) -> Result<Vec<T>, A::Error> {
        let source = Source { member, expected, dialect: Dialect::Contents, body: self.body, capacity: self.capacity };
        let (values, nesting) = map.next_value_seed(Array::<T>::new(source))?;
        if nesting.lengths().len() > 1 {
            return Err(A::Error::custom(format_args!("{member} is nested, expected a flat array")));
        }
        Ok(values)
    }
}

impl<'de> DeserializeSeed<'de> for Contents<'_> {
    type Value = InferTensorContents;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Contents<'_> {
    type Value = InferTensorContents;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("contents to be an object such as {\"fp32_contents\": [1.0]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut contents = InferTensorContents::default();
        while let Some(member) = map.next_key::<Member>()? {
            match member {
                Member::Bool => {
                    contents.bool_contents = self.array(&mut map, "bool_contents", "a boolean")?;
                }
                Member::Int => {
                    contents.int_contents = self.array(&mut map, "int_contents", "a 32-bit integer")?;
                }
                Member::Int64 => {
                    contents.int64_contents = self.array(&mut map, "int64_contents", "a 64-bit integer")?;
                }
                Member::Uint => {
                    contents.uint_contents = self.array(&mut map, "uint_contents", "a 32-bit unsigned integer")?;
                }
                Member::Uint64 => {
                    contents.uint64_contents = self.array(&mut map, "uint64_contents", "a 64-bit unsigned integer")?;
                }
                Member::Fp32 => {
                    contents.fp32_contents = self.array(&mut map, "fp32_contents", "a 32-bit float")?;
                }
                Member::Fp64 => {
                    contents.fp64_contents = self.array(&mut map, "fp64_contents", "a 64-bit float")?;
                }
                Member::Bytes => {
                    contents.bytes_contents = self.array(&mut map, "bytes_contents", "base64 text")?;
                }
            }
        }
        Ok(contents)
    }
}
