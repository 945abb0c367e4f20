//! Parameters: bare values, or protobuf's JSON wrappers such as `{"stringParam": "np"}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::parameter::{Parameter, Parameters};

#[cfg(test)]
mod tests;

/// Parameters as a request writes them, in either dialect. `null` values are left out.
#[derive(Default)]
pub(super) struct ReadParameters(pub(super) Parameters);

struct ReadParameter(Parameter);

/// Parameters as the Open Inference Protocol writes them.
pub(super) struct BareParameters<'a>(pub(super) &'a Parameters);

struct Bare<'a>(&'a Parameter);

/// Parameters as protobuf's JSON writes them.
pub(super) struct WrappedParameters<'a>(pub(super) &'a Parameters);

struct Wrapped<'a>(&'a Parameter);

// === impl ReadParameters ===

impl<'de> Deserialize<'de> for ReadParameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ReadParameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("parameters to be an object")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(ReadParameters::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut parameters = Parameters::new();
                while let Some((name, value)) = map.next_entry::<String, Option<ReadParameter>>()? {
                    if let Some(ReadParameter(value)) = value {
                        parameters.insert(name, value);
                    }
                }
                Ok(ReadParameters(parameters))
            }
        }

        deserializer.deserialize_any(Members)
    }
}

// === impl ReadParameter ===

impl<'de> Deserialize<'de> for ReadParameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl<'de> Visitor<'de> for Value {
            type Value = ReadParameter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter to be a boolean, a number or a string")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
                Ok(ReadParameter(Parameter::Bool(value)))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
                Ok(ReadParameter(Parameter::Int64(value)))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
                let signed = i64::try_from(value).map(Parameter::Int64);
                Ok(ReadParameter(signed.unwrap_or(Parameter::Uint64(value))))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
                Ok(ReadParameter(Parameter::Double(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(ReadParameter(Parameter::String(value.to_owned())))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let Some((choice, ReadParameter(value))) = map.next_entry::<String, ReadParameter>()? else {
                    return Err(A::Error::custom("an empty parameter, expected for instance {\"stringParam\": \"a\"}"));
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(A::Error::custom("a parameter with two values, expected one"));
                }
                let value = unwrap_choice(&choice, value).ok_or_else(|| {
                    A::Error::custom(format_args!("parameter member '{choice}' is unknown or does not fit its value"))
                })?;
                Ok(ReadParameter(value))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

fn unwrap_choice(choice: &str, value: Parameter) -> Option<Parameter> {
    match (choice, value) {
        ("bool_param" | "boolParam", value @ Parameter::Bool(_))
        | ("string_param" | "stringParam", value @ Parameter::String(_))
        | ("int64_param" | "int64Param", value @ Parameter::Int64(_))
        | ("double_param" | "doubleParam", value @ Parameter::Double(_)) => Some(value),
        ("int64_param" | "int64Param", Parameter::String(digits)) => digits.parse().ok().map(Parameter::Int64),
        ("uint64_param" | "uint64Param", Parameter::Int64(value)) => u64::try_from(value).ok().map(Parameter::Uint64),
        ("uint64_param" | "uint64Param", value @ Parameter::Uint64(_)) => Some(value),
        ("uint64_param" | "uint64Param", Parameter::String(digits)) => digits.parse().ok().map(Parameter::Uint64),
        ("double_param" | "doubleParam", Parameter::Int64(value)) => Some(Parameter::Double(value as f64)),
        ("double_param" | "doubleParam", Parameter::Uint64(value)) => Some(Parameter::Double(value as f64)),
        ("double_param" | "doubleParam", Parameter::String(text)) => match text.as_str() {
            "NaN" => Some(Parameter::Double(f64::NAN)),
            "Infinity" => Some(Parameter::Double(f64::INFINITY)),
            "-Infinity" => Some(Parameter::Double(f64::NEG_INFINITY)),
            number => number.parse().ok().filter(|value: &f64| value.is_finite()).map(Parameter::Double),
        },
        _ => None,
    }
}

// === impl BareParameters ===

impl Serialize for BareParameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Bare(value))))
    }
}

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Parameter::Bool(value) => serializer.serialize_bool(*value),
            Parameter::Int64(value) => serializer.serialize_i64(*value),
            Parameter::Uint64(value) => serializer.serialize_u64(*value),
            Parameter::Double(value) => serializer.serialize_f64(*value),
            Parameter::String(value) => serializer.serialize_str(value),
        }
    }
}

// === impl WrappedParameters ===

impl Serialize for WrappedParameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Wrapped(value))))
    }
}

impl Serialize for Wrapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.0 {
            Parameter::Bool(value) => map.serialize_entry("boolParam", value)?,
            Parameter::Int64(value) => map.serialize_entry("int64Param", &value.to_string())?,
            Parameter::Uint64(value) => map.serialize_entry("uint64Param", &value.to_string())?,
            Parameter::Double(value) if value.is_nan() => map.serialize_entry("doubleParam", "NaN")?,
            Parameter::Double(value) if value.is_infinite() => {
                let word = if *value > 0.0 { "Infinity" } else { "-Infinity" };
                map.serialize_entry("doubleParam", word)?;
            }
            Parameter::Double(value) => map.serialize_entry("doubleParam", value)?,
            Parameter::String(value) => map.serialize_entry("stringParam", value)?,
        }
        map.end()
    }
}
