//! Values that YAML, JSON and protobuf's Struct spell differently.

#[cfg(feature = "schema")]
use std::borrow::Cow;

use super::json::Node;
use super::read::{Place, Read};
use crate::number::number_text;

/// A text that may be written as a number or a boolean: `version: 2` is the version `2`, and so is
/// the `2.0` that a protobuf Struct makes of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScalarText(pub String);

/// A relative weight: a finite number, not below 0. Default 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight(pub f64);

/// A number of bytes: `24KiB`, `1MiB`, `32kB` or a plain number. Default 24 KiB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteSize(pub usize);

// === impl ScalarText ===

impl Read for ScalarText {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        match node {
            Node::Text(text) => Some(Self(text.clone())),
            Node::Bool(value) => Some(Self(value.to_string())),
            Node::Number(literal) => {
                number_text(literal.as_bytes()).map(|text| Self(String::from_utf8_lossy(&text).into_owned()))
            }
            other => {
                place.expected("a text, a number or a boolean", other);
                None
            }
        }
    }
}

// === impl Weight ===

impl Default for Weight {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Read for Weight {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let weight = f64::read(node, place)?;
        if weight < 0.0 {
            place.fault(format!("expected a number not below 0, got {weight}"));
            return None;
        }
        Some(Self(weight))
    }
}

// === impl ByteSize ===

impl Default for ByteSize {
    fn default() -> Self {
        Self(24 * 1024)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
        let factor = match unit.trim() {
            "" | "B" => 1.0,
            "kB" | "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" | "Ki" => 1024.0,
            "MiB" | "Mi" => 1024.0 * 1024.0,
            "GiB" | "Gi" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(format!("expected a size such as 24KiB, 1MiB or 65536, got '{text}'")),
        };
        let number: f64 =
            number.parse().map_err(|_| format!("expected a size such as 24KiB, 1MiB or 65536, got '{text}'"))?;
        Ok(Self((number * factor) as usize))
    }
}

impl Read for ByteSize {
    fn read(node: &Node, place: &mut Place) -> Option<Self> {
        let ScalarText(text) = ScalarText::read(node, place)?;
        text.parse().map_err(|error: String| place.fault(error)).ok()
    }
}

// === JSON Schema ===

#[cfg(feature = "schema")]
mod schema {
    use super::{ByteSize, Cow, ScalarText, Weight};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for ScalarText {
        fn schema_name() -> Cow<'static, str> {
            "ScalarText".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": ["string", "number", "boolean"]})
        }
    }

    impl JsonSchema for Weight {
        fn schema_name() -> Cow<'static, str> {
            "Weight".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "number", "minimum": 0, "default": 1})
        }
    }

    impl JsonSchema for ByteSize {
        fn schema_name() -> Cow<'static, str> {
            "ByteSize".into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": ["string", "integer"], "pattern": r"^[0-9.]+ *(B|kB|KB|MB|GB|Ki|KiB|Mi|MiB|Gi|GiB)?$"})
        }
    }
}
