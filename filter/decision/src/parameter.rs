//! Request parameters that rules and keys look at, by number.
//!
//! A configuration names at most 64 of them, so that what is wanted and what has been found are one
//! word each.

/// How many different parameter names a configuration may use.
pub(crate) const MOST_NAMES: usize = 64;

/// Longest value that is kept; a longer one counts as absent.
pub(crate) const LONGEST_VALUE: usize = 1024;

/// A set of parameter names, by their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ParameterSet(u64);

/// Values found so far, as text: `7`, `true` and `"7"` from JSON are the bytes `7`, `true` and `7`,
/// and so are a protobuf int64, bool and string. One user is one unit on every wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parameters {
    found: ParameterSet,
    values: Vec<(usize, Vec<u8>)>,
}

// === impl ParameterSet ===

impl ParameterSet {
    /// One parameter.
    pub(crate) fn of(number: usize) -> Self {
        let mut set = Self::default();
        set.insert(number);
        set
    }

    /// Adds the parameter of this number.
    pub fn insert(&mut self, number: usize) {
        self.0 |= 1_u64.checked_shl(number as u32).unwrap_or_default();
    }

    /// Adds all of these.
    pub(crate) fn insert_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every parameter of `other` is here too.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

// === impl Parameters ===

impl Parameters {
    /// Keeps a value; a later one of the same number replaces it, as JSON and protobuf readers do.
    pub fn set(&mut self, number: usize, value: Vec<u8>) {
        self.found.insert(number);
        match self.values.iter_mut().find(|(key, _)| *key == number) {
            Some((_, kept)) => *kept = value,
            None => self.values.push((number, value)),
        }
    }

    /// The value of this number.
    pub fn get(&self, number: usize) -> Option<&[u8]> {
        self.values.iter().find(|(key, _)| *key == number).map(|(_, value)| value.as_slice())
    }

    /// Which have been found.
    pub fn found(&self) -> ParameterSet {
        self.found
    }
}

/// A number as the text that every wire agrees on: `10`, `10.0` and `1e1` are all `10`.
pub(crate) fn number_text(literal: &str) -> Option<Vec<u8>> {
    if let Ok(integer) = literal.parse::<i64>() {
        return Some(integer.to_string().into_bytes());
    }
    if let Ok(integer) = literal.parse::<u64>() {
        return Some(integer.to_string().into_bytes());
    }
    literal.parse::<f64>().ok().map(double_text)
}

/// A double as the text that every wire agrees on.
pub(crate) fn double_text(value: f64) -> Vec<u8> {
    // `+ 0.0` makes −0 a 0.
    (value + 0.0).to_string().into_bytes()
}
