//! Where in a document the reader is, and what the next value is for.

use crate::message::Encoding;

/// The container that the reader is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Before the document.
    Start,
    /// The document's object.
    Top,
    /// The request's `parameters`.
    Parameters,
    /// A parameter's own object, as protobuf's JSON has it.
    Typed,
    /// The list of inputs.
    Inputs,
    /// One input.
    Input,
    /// An input's shape.
    Shape,
    /// Behind the document.
    End,
}

/// What a value is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slot {
    Nothing,
    /// The model's name.
    Name,
    /// A parameter, by its number.
    Parameter(usize),
    Parameters,
    Id,
    Inputs,
    InputName,
    InputDatatype,
    InputShape,
    /// Tensor elements: the key alone tells how they are written.
    Encoding(Encoding),
}

// === impl Place ===

impl Place {
    /// The container that opens here for this slot; `None` for one of which nothing is read.
    pub(super) fn opened(self, slot: Slot, is_object: bool) -> Option<Self> {
        match (self, slot, is_object) {
            (Self::Start, _, true) => Some(Self::Top),
            (_, Slot::Parameters, true) => Some(Self::Parameters),
            (Self::Parameters, Slot::Parameter(_), true) => Some(Self::Typed),
            (_, Slot::Inputs, false) => Some(Self::Inputs),
            (Self::Inputs, _, true) => Some(Self::Input),
            (_, Slot::InputShape, false) => Some(Self::Shape),
            _ => None,
        }
    }

    /// The container around this one.
    pub(super) fn parent(self) -> Self {
        match self {
            Self::Start | Self::Top | Self::End => Self::End,
            Self::Parameters | Self::Inputs => Self::Top,
            Self::Typed => Self::Parameters,
            Self::Input => Self::Inputs,
            Self::Shape => Self::Input,
        }
    }
}

// === impl Slot ===

impl Slot {
    /// Of a key of a v2 request.
    pub(super) fn of_request(key: &[u8], reads_inputs: bool) -> Self {
        match key {
            b"parameters" => Self::Parameters,
            b"id" => Self::Id,
            b"inputs" if reads_inputs => Self::Inputs,
            b"raw_input_contents" | b"rawInputContents" => Self::Encoding(Encoding::Raw),
            _ => Self::Nothing,
        }
    }

    /// Of a key of an input.
    pub(super) fn of_input(key: &[u8]) -> Self {
        match key {
            b"name" => Self::InputName,
            b"datatype" => Self::InputDatatype,
            b"shape" => Self::InputShape,
            b"data" => Self::Encoding(Encoding::Json),
            b"contents" => Self::Encoding(Encoding::Contents),
            _ => Self::Nothing,
        }
    }

    /// Of a key of a parameter's own object: protobuf's JSON has two spellings of each.
    pub(super) fn of_typed(key: &[u8], number: usize) -> Self {
        match key {
            b"stringParam" | b"string_param" | b"int64Param" | b"int64_param" | b"boolParam" | b"bool_param"
            | b"doubleParam" | b"double_param" | b"uint64Param" | b"uint64_param" => Self::Parameter(number),
            _ => Self::Nothing,
        }
    }
}
