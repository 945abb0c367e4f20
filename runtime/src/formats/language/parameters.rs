//! Parameters of a request for tensors.

use crate::error::Error;
use crate::parameter::{Parameter, Parameters};

/// Parameters by name, each of its kind.
pub(super) struct Named<'r>(pub(super) &'r Parameters);

// === impl Named ===

impl Named<'_> {
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Parameter::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong(name, "true or false", other)),
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Parameter::Int64(value)) if *value >= 0 => Ok(usize::try_from(*value).ok()),
            Some(Parameter::Uint64(value)) => Ok(usize::try_from(*value).ok()),
            Some(Parameter::Double(value)) if *value >= 0.0 && value.fract() == 0.0 => Ok(Some(*value as usize)),
            Some(other) => Err(wrong(name, "a whole number of at least 0", other)),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f32>, Error> {
        let value = match self.0.get(name) {
            None => return Ok(None),
            Some(Parameter::Int64(value)) => *value as f32,
            Some(Parameter::Uint64(value)) => *value as f32,
            Some(Parameter::Double(value)) => *value as f32,
            Some(other) => return Err(wrong(name, "a number", other)),
        };
        if value.is_finite() && value >= 0.0 {
            return Ok(Some(value));
        }
        Err(Error::invalid(format!("parameter '{name}': expected a number of at least 0, got {value}")))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Parameter::String(value)) => Ok(Some(value.clone())),
            Some(other) => Err(wrong(name, "a text", other)),
        }
    }
}

fn wrong(name: &str, expected: &str, found: &Parameter) -> Error {
    Error::invalid(format!("parameter '{name}': expected {expected}, got {found:?}"))
}
