//! NumPy arrays as they stand in a pickle: a dtype, a shape, and bytes that are read on demand.

use half::f16;

use super::value::{Heap, Id, Value};
use crate::formats::LoadError;

/// What the elements are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Float,
    /// UTF-32, padded with zeros.
    Unicode,
    /// Bytes, padded with zeros.
    ByteString,
    /// Python objects.
    Object,
    /// Structures, dates, complex numbers: may stand in the file, are never read.
    Other,
}

/// A NumPy dtype, as far as reading needs it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Dtype {
    pub(super) kind: Kind,
    /// Bytes of one element.
    pub(super) size: usize,
    pub(super) big_endian: bool,
    /// Whether the elements hold Python objects, so that the data is a pickle and not bytes.
    pub(super) has_object: bool,
}

/// An array; what it holds is checked when it is read.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Column-major: the bytes are those of the transpose.
    pub(super) fortran: bool,
    /// Bytes, or a list for Python objects.
    pub(super) data: Id,
}

/// Numbers in row-major order.
#[derive(Debug, PartialEq)]
pub(super) struct Numbers<T> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
}

/// Elements of whatever type the array has.
#[derive(Debug, PartialEq)]
pub(super) enum Elements {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(Vec<String>),
}

// === impl Dtype ===

impl Dtype {
    /// The dtype of a name such as `f8`, `U12` or `|b1`.
    pub(super) fn parse(name: &str) -> Result<Self, LoadError> {
        let malformed = || LoadError::Malformed(format!("'{name}' is no NumPy dtype"));
        let big_endian = name.starts_with('>');
        let bare = name.trim_start_matches(['<', '>', '=', '|']);
        let mut rest = bare.chars();
        let letter = rest.next().ok_or_else(malformed)?;
        let digits = rest.as_str();
        let number = if digits.is_empty() { 0 } else { digits.parse::<usize>().unwrap_or(0) };
        let (kind, size) = match letter {
            'b' | '?' => (Kind::Bool, 1),
            'i' => (Kind::Int, number),
            'u' => (Kind::Uint, number),
            'f' => (Kind::Float, number),
            'U' => (Kind::Unicode, number.checked_mul(4).ok_or_else(malformed)?),
            'S' | 'a' => (Kind::ByteString, number),
            'O' => (Kind::Object, 8),
            _ => (Kind::Other, number),
        };
        Ok(Self { kind, size, big_endian, has_object: kind == Kind::Object })
    }

    /// Takes over what `dtype.__setstate__` gets:
    /// `(version, byte order, sub-dtype, names, fields, element size, alignment, flags, …)`.
    pub(super) fn complete(&mut self, heap: &Heap<'_>, state: Id) -> Result<(), LoadError> {
        let items = heap.items(state).ok_or_else(|| LoadError::Malformed("a dtype's state is no tuple".into()))?;
        if let Some(order) = items.get(1).and_then(|&order| heap.text(order)) {
            self.big_endian = order == ">";
        }
        // −1 where the kind alone says the size.
        if let Some(size) = items.get(5).and_then(|&size| heap.integer(size))
            && let Ok(size) = usize::try_from(size)
            && matches!(self.kind, Kind::Unicode | Kind::ByteString | Kind::Other)
        {
            self.size = size;
        }
        // NumPy's NPY_ITEM_REFCOUNT.
        if let Some(flags) = items.get(7).and_then(|&flags| heap.integer(flags)) {
            self.has_object |= flags & 1 == 1;
        }
        Ok(())
    }
}

// === impl Array ===

impl Array {
    /// The number of elements that the shape says.
    pub(super) fn count(&self) -> Result<usize, LoadError> {
        self.shape
            .iter()
            .try_fold(1_usize, |product, &dimension| product.checked_mul(dimension))
            .ok_or_else(|| LoadError::Malformed(format!("an array of shape {:?} cannot exist", self.shape)))
    }

    /// The shape, from a tuple of integers.
    pub(super) fn shape_of(heap: &Heap<'_>, id: Id) -> Result<Vec<usize>, LoadError> {
        let malformed =
            || LoadError::Malformed(format!("an array's shape is {}, not a tuple of sizes", heap.describe(id)));
        let items = heap.items(id).ok_or_else(malformed)?;
        // NumPy knows no more than 64 dimensions.
        if items.len() > 64 {
            return Err(LoadError::Malformed(format!("an array of {} dimensions cannot exist", items.len())));
        }
        items
            .iter()
            .map(|&item| heap.integer(item).and_then(|size| usize::try_from(size).ok()).ok_or_else(malformed))
            .collect()
    }

    /// All elements as floats, if they are numbers; `what` names the array in errors.
    pub(super) fn floats(&self, heap: &Heap<'_>, what: &str) -> Result<Numbers<f64>, LoadError> {
        let values = match self.elements(heap, what)? {
            Elements::Float(values) => values,
            Elements::Int(values) => values.into_iter().map(|value| value as f64).collect(),
            Elements::Bool(_) | Elements::Text(_) => {
                return Err(LoadError::Malformed(format!("{what} holds no numbers")));
            }
        };
        Ok(Numbers { shape: self.shape.clone(), values })
    }

    /// All elements as integers, if they are.
    pub(super) fn integers(&self, heap: &Heap<'_>, what: &str) -> Result<Numbers<i64>, LoadError> {
        match self.elements(heap, what)? {
            Elements::Int(values) => Ok(Numbers { shape: self.shape.clone(), values }),
            _ => Err(LoadError::Malformed(format!("{what} holds no integers"))),
        }
    }

    /// All elements in row-major order.
    pub(super) fn elements(&self, heap: &Heap<'_>, what: &str) -> Result<Elements, LoadError> {
        let count = self.count().map_err(|error| LoadError::Malformed(format!("{what}: {error}")))?;
        let elements =
            if self.dtype.has_object { self.objects(heap, what, count)? } else { self.decode(heap, what, count)? };
        if !self.fortran || self.shape.len() < 2 {
            return Ok(elements);
        }
        let &[rows, columns] = self.shape.as_slice() else {
            return Err(LoadError::Unsupported(format!("{what} is a column-major array of more than two dimensions")));
        };
        Ok(match elements {
            Elements::Bool(values) => Elements::Bool(transpose(&values, rows, columns)),
            Elements::Int(values) => Elements::Int(transpose(&values, rows, columns)),
            Elements::Float(values) => Elements::Float(transpose(&values, rows, columns)),
            Elements::Text(values) => Elements::Text(transpose(&values, rows, columns)),
        })
    }

    fn decode(&self, heap: &Heap<'_>, what: &str, count: usize) -> Result<Elements, LoadError> {
        let bytes = heap
            .bytes(self.data)
            .ok_or_else(|| LoadError::Malformed(format!("{what}: the array's data is no bytes")))?;
        let Dtype { kind, size, big_endian, .. } = self.dtype;
        if count.checked_mul(size) != Some(bytes.len()) {
            return Err(LoadError::Malformed(format!(
                "{what}: shape {:?} of {size}-byte elements does not fit the {} bytes of its data",
                self.shape,
                bytes.len()
            )));
        }
        Ok(match (kind, size) {
            (Kind::Bool, 1) => Elements::Bool(bytes.iter().map(|&byte| byte != 0).collect()),
            (Kind::Int, 1) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(i8::from_le_bytes(b)))),
            (Kind::Int, 2) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(i16::from_le_bytes(b)))),
            (Kind::Int, 4) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(i32::from_le_bytes(b)))),
            (Kind::Int, 8) => Elements::Int(fixed(&bytes, big_endian, i64::from_le_bytes)),
            (Kind::Uint, 1) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(u8::from_le_bytes(b)))),
            (Kind::Uint, 2) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(u16::from_le_bytes(b)))),
            (Kind::Uint, 4) => Elements::Int(fixed(&bytes, big_endian, |b| i64::from(u32::from_le_bytes(b)))),
            (Kind::Uint, 8) => {
                let values = fixed(&bytes, big_endian, u64::from_le_bytes);
                let signed: Result<Vec<_>, _> = values.into_iter().map(i64::try_from).collect();
                Elements::Int(signed.map_err(|_| LoadError::Unsupported(format!("{what} holds integers above 2⁶³")))?)
            }
            (Kind::Float, 2) => Elements::Float(fixed(&bytes, big_endian, |b| f16::from_le_bytes(b).to_f64())),
            (Kind::Float, 4) => Elements::Float(fixed(&bytes, big_endian, |b| f64::from(f32::from_le_bytes(b)))),
            (Kind::Float, 8) => Elements::Float(fixed(&bytes, big_endian, f64::from_le_bytes)),
            (Kind::Unicode, 4..) => {
                let texts: Result<Vec<_>, _> =
                    bytes.chunks_exact(size).map(|chunk| unicode_text(chunk, big_endian)).collect();
                Elements::Text(texts.map_err(|error| LoadError::Malformed(format!("{what}: {error}")))?)
            }
            (Kind::ByteString, 1..) => {
                let texts: Option<Vec<_>> = bytes.chunks_exact(size).map(byte_text).collect();
                let texts =
                    texts.ok_or_else(|| LoadError::Unsupported(format!("{what} holds bytes that are no text")))?;
                Elements::Text(texts)
            }
            _ => {
                return Err(LoadError::Unsupported(format!(
                    "{what} has a dtype ({kind:?}, {size} bytes) that this reader does not know"
                )));
            }
        })
    }

    /// Python objects, all of one simple type.
    fn objects(&self, heap: &Heap<'_>, what: &str, count: usize) -> Result<Elements, LoadError> {
        let items = heap
            .items(self.data)
            .ok_or_else(|| LoadError::Malformed(format!("{what}: an object array's data is no list")))?;
        if items.len() != count {
            return Err(LoadError::Malformed(format!(
                "{what}: shape {:?} does not fit the {} objects of its data",
                self.shape,
                items.len()
            )));
        }
        let mixed = |found: Id| {
            LoadError::Unsupported(format!(
                "{what} is an object array with {}, expected all texts or all numbers of one type",
                heap.describe(found)
            ))
        };
        let Some(&first) = items.first() else {
            return Ok(Elements::Text(Vec::new()));
        };
        match heap.get(first) {
            Value::Bool(_) => {
                let values = items.iter().map(|&item| match *heap.get(item) {
                    Value::Bool(value) => Ok(value),
                    _ => Err(mixed(item)),
                });
                Ok(Elements::Bool(values.collect::<Result<_, _>>()?))
            }
            Value::Int(_) => {
                let values = items.iter().map(|&item| match *heap.get(item) {
                    Value::Int(value) => Ok(value),
                    _ => Err(mixed(item)),
                });
                Ok(Elements::Int(values.collect::<Result<_, _>>()?))
            }
            Value::Float(_) => {
                let values = items.iter().map(|&item| match *heap.get(item) {
                    Value::Float(value) => Ok(value),
                    _ => Err(mixed(item)),
                });
                Ok(Elements::Float(values.collect::<Result<_, _>>()?))
            }
            _ => {
                // One long text that a thousand items share would become a thousand copies.
                let mut allowance = MAX_OBJECT_TEXT;
                let mut texts = Vec::with_capacity(items.len());
                for &item in items {
                    let text = heap.text(item).ok_or_else(|| mixed(item))?;
                    allowance = allowance.checked_sub(text.len()).ok_or_else(|| {
                        LoadError::Unsupported(format!("{what} holds more than {MAX_OBJECT_TEXT} bytes of text"))
                    })?;
                    texts.push(text.to_owned());
                }
                Ok(Elements::Text(texts))
            }
        }
    }
}

/// Bytes of text that an object array may hold in all.
const MAX_OBJECT_TEXT: usize = 64 << 20;

/// A single element, as `numpy.core.multiarray.scalar` gets it.
pub(super) fn scalar<'a>(heap: &Heap<'a>, dtype: Dtype, data: Id) -> Result<Value<'a>, LoadError> {
    // Longest are texts; a scalar of kilobytes would be a way to make much of little.
    if dtype.size > 256 {
        return Err(LoadError::Unsupported(format!("a NumPy scalar of {} bytes", dtype.size)));
    }
    let oversized = matches!(heap.get(data), Value::Latin1(text) if text.len() > 1024);
    if oversized {
        return Err(LoadError::Malformed("a NumPy scalar's data is longer than its dtype".into()));
    }
    let one = Array { dtype, shape: Vec::new(), fortran: false, data };
    Ok(match one.elements(heap, "a NumPy scalar")? {
        Elements::Bool(values) => values.first().map_or(Value::None, |&value| Value::Bool(value)),
        Elements::Int(values) => values.first().map_or(Value::None, |&value| Value::Int(value)),
        Elements::Float(values) => values.first().map_or(Value::None, |&value| Value::Float(value)),
        Elements::Text(values) => {
            values.into_iter().next().map_or(Value::None, |value| Value::OwnedText(value.into_boxed_str()))
        }
    })
}

/// Elements of `N` bytes each, brought to little-endian order.
fn fixed<const N: usize, T>(bytes: &[u8], big_endian: bool, element: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    let element_of = |&chunk: &[u8; N]| {
        let mut chunk = chunk;
        if big_endian {
            chunk.reverse();
        }
        element(chunk)
    };
    chunks.iter().map(element_of).collect()
}

fn unicode_text(bytes: &[u8], big_endian: bool) -> Result<String, LoadError> {
    let points = fixed(bytes, big_endian, u32::from_le_bytes);
    let length = points.iter().rposition(|&point| point != 0).map_or(0, |last| last + 1);
    points
        .into_iter()
        .take(length)
        .map(|point| char::from_u32(point).ok_or_else(|| LoadError::Malformed(format!("{point:#x} is no character"))))
        .collect()
}

fn byte_text(bytes: &[u8]) -> Option<String> {
    let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..length).and_then(|text| std::str::from_utf8(text).ok()).map(str::to_owned)
}

/// The row-major order of `rows × columns` values that stand column after column.
fn transpose<T: Clone>(values: &[T], rows: usize, columns: usize) -> Vec<T> {
    let row = |row: usize| values.iter().skip(row).step_by(rows.max(1)).take(columns).cloned();
    (0..rows).flat_map(row).collect()
}
