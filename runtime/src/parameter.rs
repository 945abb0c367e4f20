//! Parameters of requests, responses and tensors.

use std::collections::BTreeMap;

/// A parameter of a request, a response or a tensor. Integers stay exact.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int64(i64),
    /// An unsigned integer above the signed range.
    Uint64(u64),
    /// A number with a fraction or an exponent.
    Double(f64),
    /// A text.
    String(String),
}

/// Parameters by name.
pub type Parameters = BTreeMap<String, Parameter>;
