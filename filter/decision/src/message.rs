//! What the body of a request tells routing, and what of it routing needs.
//!
//! A configuration names at most 60 parameters, so that what is needed and what has been found are
//! one word each: a bit for every parameter's number, and one each for the message's id, its inputs
//! and its encoding.

/// How many different parameter names a configuration may use.
pub(crate) const MOST_NAMES: usize = 60;

/// Longest value that is kept; a longer one counts as absent.
pub(crate) const LONGEST_VALUE: usize = 1024;

/// Most inputs that are kept; rules do not see those behind.
pub(crate) const MOST_INPUTS: usize = 64;

/// Most dimensions of an input that are kept.
pub(crate) const MOST_DIMENSIONS: usize = 32;

/// A set of what a body can tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs(u64);

/// What a body has told so far. Parameters are kept as text: `7`, `true` and `"7"` from JSON are the
/// bytes `7`, `true` and `7`, and so are a protobuf int64, bool and string. One user is one unit on
/// every wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    found: Needs,
    parameters: Vec<(usize, Vec<u8>)>,
    /// The id that the client gave the request.
    pub id: Option<Vec<u8>>,
    /// The tensors sent, in order.
    pub inputs: Vec<Input>,
    /// How the tensors' elements are written.
    pub encoding: Option<Encoding>,
}

/// What is said about a tensor, its elements aside.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: Vec<u8>,
    /// Its datatype, such as `FP32`.
    pub datatype: Vec<u8>,
    /// Its dimensions; the first is the batch. What is no whole number is −1.
    pub shape: Vec<i64>,
}

/// How the elements of tensors are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// JSON's `data`.
    Json,
    /// Typed contents: gRPC's `contents`, or protobuf's JSON of it.
    Contents,
    /// Bytes behind a JSON header.
    Binary,
    /// gRPC's `raw_input_contents`.
    Raw,
}

// === impl Needs ===

impl Needs {
    /// The message's id.
    pub const ID: Self = Self(1 << 63);
    /// Names, datatypes and shapes of the inputs.
    pub const INPUTS: Self = Self(1 << 62);
    /// How the inputs' elements are written.
    pub const ENCODING: Self = Self(1 << 61);
    /// The id, the inputs and the encoding.
    pub(crate) const TENSORS: Self = Self(Self::ID.0 | Self::INPUTS.0 | Self::ENCODING.0);

    /// Every parameter.
    const PARAMETERS: Self = Self((1 << MOST_NAMES) - 1);

    /// One parameter, by its number.
    pub(crate) fn parameter(number: usize) -> Self {
        let mut set = Self::default();
        set.insert(number);
        set
    }

    /// Adds the parameter of this number.
    pub fn insert(&mut self, number: usize) {
        if number < MOST_NAMES {
            self.0 |= 1 << number;
        }
    }

    /// Adds all of these.
    pub fn insert_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any of `other` is here too.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all of `other` is here too.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

// === impl Input ===

impl Input {
    /// Adds a dimension, unless there are enough to tell that nobody means it.
    pub(crate) fn push_dimension(&mut self, dimension: i64) {
        if self.shape.len() < MOST_DIMENSIONS {
            self.shape.push(dimension);
        }
    }
}

// === impl Message ===

impl Message {
    /// Keeps a parameter; a later one of the same number replaces it, as JSON and protobuf readers do.
    pub fn set_parameter(&mut self, number: usize, value: Vec<u8>) {
        self.found.insert(number);
        match self.parameters.iter_mut().find(|(key, _)| *key == number) {
            Some((_, kept)) => *kept = value,
            None => self.parameters.push((number, value)),
        }
    }

    /// Forgets a parameter, whose last value is none that routing can use.
    pub(crate) fn forget_parameter(&mut self, number: usize) {
        self.found.0 &= !Needs::parameter(number).0;
        self.parameters.retain(|(key, _)| *key != number);
    }

    /// Forgets all parameters.
    pub(crate) fn forget_parameters(&mut self) {
        self.found.0 &= !Needs::PARAMETERS.0;
        self.parameters.clear();
    }

    /// The parameter of this number.
    pub fn parameter(&self, number: usize) -> Option<&[u8]> {
        self.parameters.iter().find(|(key, _)| *key == number).map(|(_, value)| value.as_slice())
    }

    /// These are known now, or known to be absent.
    pub fn mark_found(&mut self, found: Needs) {
        self.found.insert_all(found);
    }

    /// What has been found.
    pub fn found(&self) -> Needs {
        self.found
    }
}
