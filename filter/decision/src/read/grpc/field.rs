//! The fields that a reader tells apart.

/// A field of a request, or of one of its inputs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Field {
    /// 1 in all v2 requests.
    Name,
    /// 2 in all v2 requests.
    Version,
    /// `ModelInferRequest.id`.
    Id,
    /// An entry of `ModelInferRequest.parameters`.
    Parameter,
    /// One of `ModelInferRequest.inputs`.
    Input,
    /// One of `ModelInferRequest.raw_input_contents`.
    Raw,
    /// `InferInputTensor.name`.
    InputName,
    /// `InferInputTensor.datatype`.
    InputDatatype,
    /// `InferInputTensor.shape`.
    InputShape,
    /// `InferInputTensor.contents`.
    InputContents,
    Other,
}

// === impl Field ===

impl Field {
    pub(super) fn of(number: u64, is_in_input: bool) -> Self {
        match (is_in_input, number) {
            (false, 1) => Self::Name,
            (false, 2) => Self::Version,
            (false, 3) => Self::Id,
            (false, 4) => Self::Parameter,
            (false, 5) => Self::Input,
            (false, 7) => Self::Raw,
            (true, 1) => Self::InputName,
            (true, 2) => Self::InputDatatype,
            (true, 3) => Self::InputShape,
            (true, 5) => Self::InputContents,
            _ => Self::Other,
        }
    }
}
