//! Arrays of tensor elements, flat or nested, read into one typed vector.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use crate::rest::json::Dialect;
use crate::rest::json::element::{Element, Shown};

#[cfg(test)]
mod tests;

/// Deeper than any tensor, and far from the end of the stack.
const DEEPEST: usize = 32;

/// What is read, and in whose words.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The member's name in error texts, for instance `data`.
    pub(super) member: &'static str,
    /// What an element should be, in error texts, for instance `FP32`.
    pub(super) expected: &'static str,
    pub(super) dialect: Dialect,
    /// The request's body, which texts without escapes share.
    pub(super) body: &'a Bytes,
    /// Elements to make room for.
    pub(super) capacity: usize,
}

/// How arrays stood in one another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Nesting {
    /// By depth, the outermost first: the length of every array there, once one ended.
    lengths: Vec<Option<usize>>,
    /// The depth of the arrays that hold elements, once one was seen.
    element_depth: Option<usize>,
}

/// Reads an array of `T`; nested arrays come out flattened, row-major.
pub(super) struct Array<'a, T> {
    source: Source<'a>,
    element: PhantomData<T>,
}

/// One array at its depth.
struct Level<'a, 'v, T> {
    source: Source<'a>,
    values: &'v mut Vec<T>,
    nesting: &'v mut Nesting,
    depth: usize,
}

/// One member of an array: an element or a further array.
struct Item<'a, 'v, T>(Level<'a, 'v, T>);

// === impl Source ===

impl Source<'_> {
    /// The same bytes as a part of the body, or a copy where the text had escapes.
    fn share(&self, text: &str) -> Bytes {
        let start = (text.as_ptr() as usize).wrapping_sub(self.body.as_ptr() as usize);
        match start.checked_add(text.len()) {
            Some(end) if end <= self.body.len() => self.body.slice(start..end),
            _ => Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}

// === impl Nesting ===

impl Nesting {
    /// Whether nested arrays follow the shape; a flat array follows every shape.
    pub(super) fn follows(&self, shape: &[usize]) -> bool {
        let lengths = self.lengths();
        if lengths.len() <= 1 {
            return true;
        }
        // Nothing is nested in an empty dimension.
        let is_complete = lengths.len() == shape.len() || lengths.last() == Some(&0);
        is_complete && shape.starts_with(&lengths)
    }

    /// The lengths of the arrays, the outermost first.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.lengths.iter().copied().flatten().collect()
    }

    fn open<E: Error>(&mut self, depth: usize, member: &str) -> Result<(), E> {
        if depth >= DEEPEST {
            return Err(E::custom(format_args!("{member} is nested deeper than {DEEPEST} arrays")));
        }
        if self.element_depth.is_some_and(|elements| elements < depth) {
            return Err(E::custom(format_args!("{member} has an array beside values")));
        }
        if depth == self.lengths.len() {
            self.lengths.push(None);
        }
        Ok(())
    }

    fn element<E: Error>(&mut self, depth: usize, member: &str) -> Result<(), E> {
        if self.element_depth == Some(depth) {
            return Ok(());
        }
        if self.element_depth.is_some() || self.lengths.len() > depth + 1 {
            return Err(E::custom(format_args!("{member} has a value beside arrays")));
        }
        self.element_depth = Some(depth);
        Ok(())
    }

    fn close<E: Error>(&mut self, depth: usize, length: usize, member: &str) -> Result<(), E> {
        let Some(known) = self.lengths.get_mut(depth) else { return Ok(()) };
        match *known {
            None => *known = Some(length),
            Some(other) if other == length => {}
            Some(other) => {
                let text = format_args!("{member} has rows of {other} and of {length} values, expected equal rows");
                return Err(E::custom(text));
            }
        }
        Ok(())
    }
}

// === impl Array ===

impl<'a, T> Array<'a, T> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self { source, element: PhantomData }
    }
}

impl<'de, T: Element> DeserializeSeed<'de> for Array<'_, T> {
    type Value = (Vec<T>, Nesting);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut values = Vec::with_capacity(self.source.capacity);
        let mut nesting = Nesting::default();
        let level = Level { source: self.source, values: &mut values, nesting: &mut nesting, depth: 0 };
        deserializer.deserialize_any(level)?;
        Ok((values, nesting))
    }
}

// === impl Level ===

impl<T> Level<'_, '_, T> {
    fn mismatch<E: Error>(&self, got: impl fmt::Display) -> E {
        let Source { member, expected, .. } = self.source;
        E::custom(format_args!("{member}[{}]: expected {expected}, got {got}", self.values.len()))
    }
}

impl<'de, T: Element> Visitor<'de> for Level<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be an array of {}", self.source.member, self.source.expected)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { source, values, nesting, depth } = self;
        nesting.open(depth, source.member)?;
        let mut length = 0;
        loop {
            let level = Level { source, values: &mut *values, nesting: &mut *nesting, depth };
            if items.next_element_seed(Item(level))?.is_none() {
                break;
            }
            length += 1;
        }
        nesting.close(depth, length, source.member)
    }
}

// === impl Item ===

impl<T: Element> Item<'_, '_, T> {
    fn push<E: Error>(self, value: Option<T>, got: impl fmt::Display) -> Result<(), E> {
        let Some(value) = value else { return Err(self.0.mismatch(got)) };
        self.0.nesting.element(self.0.depth, self.0.source.member)?;
        self.0.values.push(value);
        Ok(())
    }
}

impl<'de, T: Element> DeserializeSeed<'de> for Item<'_, '_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Element> Visitor<'de> for Item<'_, '_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to hold {}", self.0.source.member, self.0.source.expected)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.push(T::of_bool(value), value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.push(T::of_u64(value), value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.push(T::of_i64(value), value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.push(T::of_f64(value), value)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        let source = self.0.source;
        self.push(T::of_text(text, source.dialect, || source.share(text)), Shown(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let dialect = self.0.source.dialect;
        let copy = || Bytes::copy_from_slice(text.as_bytes());
        self.push(T::of_text(text, dialect, copy), Shown(text))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.0.mismatch("null"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        let inner = Level { depth: self.0.depth + 1, ..self.0 };
        inner.visit_seq(items)
    }
}
