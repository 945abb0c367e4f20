//! What a pickle becomes: plain values in one arena, referring to each other by index.
//!
//! A pickle can share a value between many places and can close a circle. Indices make both harmless:
//! sharing copies four bytes, nothing is ever followed without being asked for, and dropping the arena
//! is a loop over a vector, however deep the values are nested.

use std::borrow::Cow;

use super::array::{Array, Dtype};
use crate::formats::LoadError;

/// A scikit-learn model has some hundreds of values, one with a large vocabulary some millions.
const MAX_VALUES: usize = 4_000_000;

/// The place of a value in its [`Heap`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Id(u32);

/// A value. Bytes and texts are borrowed from the file, so that no value is larger than what it was read from.
#[derive(Debug)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer outside the range of 64 bits; random generators keep some.
    BigInt,
    Float(f64),
    Text(&'a str),
    /// A text that does not stand in the file as such, for instance a NumPy string.
    OwnedText(Box<str>),
    Bytes(&'a [u8]),
    /// Python 2's `str`: text or bytes, depending on who asks.
    ByteText(&'a [u8]),
    /// Bytes that protocol 2 writes as a text of the code points 0 to 255; decoded when they are read.
    Latin1(&'a str),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    Set(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function; never looked up.
    Global(Global<'a>),
    Dtype(Dtype),
    Array(Box<Array>),
    Object(Box<Object<'a>>),
}

/// A class or function, by name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Global<'a> {
    pub(super) module: &'a str,
    pub(super) name: &'a str,
}

/// An instance of a class that is known by name only.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub(super) class: Global<'a>,
    pub(super) state: Option<Id>,
}

/// All values of one file.
#[derive(Debug, Default)]
pub(super) struct Heap<'a> {
    values: Vec<Value<'a>>,
}

// === impl Global ===

impl std::fmt::Display for Global<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

// === impl Heap ===

impl<'a> Heap<'a> {
    /// Adds a value, unless the file has made too many.
    pub(super) fn add(&mut self, value: Value<'a>) -> Result<Id, LoadError> {
        if self.values.len() >= MAX_VALUES {
            return Err(LoadError::Malformed(format!("the pickle has more than {MAX_VALUES} values")));
        }
        let id = u32::try_from(self.values.len())
            .map_err(|_| LoadError::Malformed("the pickle has too many values".into()))?;
        self.values.push(value);
        Ok(Id(id))
    }

    /// The value of this place.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id.0 as usize).unwrap_or(&Value::None)
    }

    /// The value of this place, to be changed by an opcode that completes it.
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Value<'a>> {
        self.values.get_mut(id.0 as usize)
    }

    /// Puts another value in this place; everything that refers to it sees the new one.
    pub(super) fn replace(&mut self, id: Id, value: Value<'a>) {
        if let Some(place) = self.values.get_mut(id.0 as usize) {
            *place = value;
        }
    }

    /// The text there, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Value::Text(text) => Some(text),
            Value::OwnedText(text) => Some(text),
            Value::ByteText(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The bytes there, if it is bytes.
    pub(super) fn bytes(&self, id: Id) -> Option<Cow<'a, [u8]>> {
        match *self.get(id) {
            Value::Bytes(bytes) | Value::ByteText(bytes) => Some(Cow::Borrowed(bytes)),
            Value::Latin1(text) => {
                let bytes: Option<Vec<u8>> = text.chars().map(|point| u8::try_from(point).ok()).collect();
                bytes.map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// The items of the tuple or list there, if it is one.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Value::Tuple(items) => Some(items),
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The integer there, if it is one that 64 bits hold.
    pub(super) fn integer(&self, id: Id) -> Option<i64> {
        match *self.get(id) {
            Value::Int(value) => Some(value),
            Value::Bool(value) => Some(i64::from(value)),
            _ => None,
        }
    }

    /// What a dictionary has under this key; the last entry counts, as in Python.
    pub(super) fn entry(&self, dict: Id, key: &str) -> Option<Id> {
        let Value::Dict(entries) = self.get(dict) else {
            return None;
        };
        entries.iter().rev().find(|(name, _)| self.text(*name) == Some(key)).map(|&(_, value)| value)
    }

    /// What kind of value it is, in words for an error.
    pub(super) fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Value::None => "None".into(),
            Value::Bool(_) => "a bool".into(),
            Value::Int(_) | Value::BigInt => "an integer".into(),
            Value::Float(_) => "a float".into(),
            Value::Text(_) | Value::OwnedText(_) => "a text".into(),
            Value::Bytes(_) | Value::ByteText(_) | Value::Latin1(_) => "bytes".into(),
            Value::Tuple(_) => "a tuple".into(),
            Value::List(_) => "a list".into(),
            Value::Set(_) => "a set".into(),
            Value::Dict(_) => "a dict".into(),
            Value::Global(global) => format!("the class or function '{global}'"),
            Value::Dtype(_) => "a dtype".into(),
            Value::Array(_) => "an array".into(),
            Value::Object(object) => format!("a '{}'", object.class),
        }
    }
}
