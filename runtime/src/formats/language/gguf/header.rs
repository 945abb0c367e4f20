//! A file's header: metadata, and where each tensor stands.
//!
//! Source: ggml's `docs/gguf.md`, versions 2 and 3, little-endian.
//!
//! Nothing is believed that the file's size does not bear out: a number that would be the length of something is held
//! against the bytes that are left, before there is memory for it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::Kind;

/// The file's first bytes.
pub(super) const MAGIC: [u8; 4] = *b"GGUF";
/// Versions that are read. The first had shorter lengths, and was soon replaced.
const VERSIONS: [u32; 2] = [2, 3];
/// Tensors have no more dimensions.
const DIMENSIONS: u32 = 4;
/// No header of a model is longer: the largest vocabularies take some 30 MB.
const LONGEST: u64 = 1 << 28;
/// No list is longer: the largest vocabularies have some 300 thousand tokens. In memory a list's values take more than in
/// the file.
const MOST_VALUES: u64 = 4_000_000;
/// Where tensors begin, and the key that says otherwise.
const ALIGNMENT: u64 = 32;
const ALIGNMENT_KEY: &str = "general.alignment";

pub(in crate::formats::language) type Metadata = BTreeMap<String, Value>;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats::language) enum Value {
    Whole(i128),
    Float(f64),
    Flag(bool),
    Text(String),
    /// Of numbers of any kind.
    Numbers(Vec<f64>),
    Flags(Vec<bool>),
    Texts(Vec<String>),
}

/// A file's header.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Described>,
}

/// Where a tensor stands, which is in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub(super) at: u64,
    pub(super) kind: Kind,
    pub(super) shape: Vec<usize>,
}

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum Fault {
    Read(io::Error),
    Malformed(String),
    Unsupported(String),
}

/// Reads no further than the file goes.
struct Bytes<R> {
    from: R,
    at: u64,
    size: u64,
}

// === impl Header ===

impl Header {
    /// Of a file of this size.
    pub(super) fn read(from: impl Read, size: u64) -> Result<Self, Fault> {
        let mut bytes = Bytes { from, at: 0, size };
        let magic: [u8; 4] = bytes.array()?;
        if magic != MAGIC {
            return Err(malformed("no GGUF file: it does not begin with GGUF"));
        }
        let version = u32::from_le_bytes(bytes.array()?);
        if VERSIONS.contains(&version.swap_bytes()) {
            return Err(Fault::Unsupported("a big-endian file, expected a little-endian one".to_owned()));
        }
        if !VERSIONS.contains(&version) {
            return Err(Fault::Unsupported(format!("version: expected 2 or 3, got {version}")));
        }
        let (tensors, entries) = (bytes.whole()?, bytes.whole()?);
        let mut metadata = Metadata::new();
        for _ in 0..entries {
            let key = bytes.name()?;
            let kind = u32::from_le_bytes(bytes.array()?);
            let value = bytes.value(kind).map_err(|fault| fault.of(&key))?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(malformed(format!("{key} is there twice")));
            }
        }
        let alignment = match metadata.get(ALIGNMENT_KEY) {
            None => ALIGNMENT,
            Some(Value::Whole(alignment)) if (1..=1 << 20).contains(alignment) => *alignment as u64,
            Some(_) => return Err(malformed(format!("{ALIGNMENT_KEY}: expected 1 to {}", 1 << 20))),
        };
        let mut described = BTreeMap::new();
        for _ in 0..tensors {
            let name = bytes.name()?;
            let tensor = bytes.tensor().map_err(|fault| fault.of(&format!("the tensor '{name}'")))?;
            if described.insert(name.clone(), tensor).is_some() {
                return Err(malformed(format!("the tensor '{name}' is there twice")));
            }
        }
        let start = bytes.at.next_multiple_of(alignment);
        let mut end = start;
        for (name, tensor) in &mut described {
            let length = tensor.length().ok_or_else(|| malformed(format!("the tensor '{name}' has no such size")))?;
            let last = start.checked_add(tensor.at).and_then(|at| at.checked_add(length));
            end = end.max(last.ok_or_else(|| malformed(format!("the tensor '{name}' has no such place")))?);
            tensor.at += start;
        }
        // A file without tensors may end before they would begin.
        if end > size && !described.is_empty() {
            return Err(malformed(format!("the file is cut off: it has {size} bytes, its header tells of {end}")));
        }
        Ok(Self { metadata, tensors: described })
    }
}

// === impl Described ===

impl Described {
    /// Bytes; a row is whole blocks.
    fn length(&self) -> Option<u64> {
        let row = self.kind.bytes(self.shape.last().copied().unwrap_or(1))?;
        let rows = self.shape.iter().rev().skip(1).try_fold(1_usize, |rows, dimension| rows.checked_mul(*dimension))?;
        u64::try_from(row.checked_mul(rows)?).ok()
    }
}

// === impl Fault ===

impl Fault {
    fn of(self, what: &str) -> Self {
        match self {
            read @ Self::Read(_) => read,
            Self::Malformed(text) => Self::Malformed(format!("{what}: {text}")),
            Self::Unsupported(text) => Self::Unsupported(format!("{what}: {text}")),
        }
    }
}

// === impl Bytes ===

impl<R: Read> Bytes<R> {
    fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// That so many things of so many bytes can be there.
    fn expect(&self, count: u64, each: u64) -> Result<usize, Fault> {
        match count.checked_mul(each) {
            Some(length) if length <= self.left() && self.at + length > LONGEST => {
                Err(malformed(format!("its header goes beyond {LONGEST} bytes, which is none of a model")))
            }
            Some(length) if length <= self.left() => usize::try_from(count).map_err(|_| malformed("too long")),
            _ => {
                let (left, size) = (self.left(), self.size);
                Err(malformed(format!(
                    "the file is cut off: {left} of its {size} bytes are left for {count} times {each} or more"
                )))
            }
        }
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        self.expect(LENGTH as u64, 1)?;
        let mut array = [0; LENGTH];
        self.from.read_exact(&mut array).map_err(Fault::Read)?;
        self.at += LENGTH as u64;
        Ok(array)
    }

    fn whole(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        let length = self.whole()?;
        let mut bytes = vec![0; self.expect(length, 1)?];
        self.from.read_exact(&mut bytes).map_err(Fault::Read)?;
        self.at += length;
        Ok(bytes)
    }

    fn name(&mut self) -> Result<String, Fault> {
        String::from_utf8(self.bytes()?).map_err(|_| malformed("a name that is not UTF-8"))
    }

    /// What people wrote into a file is not always UTF-8.
    fn text(&mut self) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    fn value(&mut self, kind: u32) -> Result<Value, Fault> {
        match kind {
            0 => Ok(Value::Whole(u8::from_le_bytes(self.array()?).into())),
            1 => Ok(Value::Whole(i8::from_le_bytes(self.array()?).into())),
            2 => Ok(Value::Whole(u16::from_le_bytes(self.array()?).into())),
            3 => Ok(Value::Whole(i16::from_le_bytes(self.array()?).into())),
            4 => Ok(Value::Whole(u32::from_le_bytes(self.array()?).into())),
            5 => Ok(Value::Whole(i32::from_le_bytes(self.array()?).into())),
            6 => Ok(Value::Float(f32::from_le_bytes(self.array()?).into())),
            7 => Ok(Value::Flag(self.array::<1>()? != [0])),
            8 => Ok(Value::Text(self.text()?)),
            9 => self.list(),
            10 => Ok(Value::Whole(u64::from_le_bytes(self.array()?).into())),
            11 => Ok(Value::Whole(i64::from_le_bytes(self.array()?).into())),
            12 => Ok(Value::Float(f64::from_le_bytes(self.array()?))),
            other => Err(malformed(format!("a value of the unknown type {other}"))),
        }
    }

    fn list(&mut self) -> Result<Value, Fault> {
        let kind = u32::from_le_bytes(self.array()?);
        let count = self.whole()?;
        let each = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            other => return Err(malformed(format!("a list of the type {other}"))),
        };
        let count = self.expect(count, each)?;
        if count as u64 > MOST_VALUES {
            return Err(malformed(format!("a list of {count} values, expected at most {MOST_VALUES}")));
        }
        match kind {
            7 => {
                let mut flags = Vec::with_capacity(count);
                for _ in 0..count {
                    flags.push(self.array::<1>()? != [0]);
                }
                Ok(Value::Flags(flags))
            }
            8 => {
                let mut texts = Vec::new();
                for _ in 0..count {
                    texts.push(self.text()?);
                }
                Ok(Value::Texts(texts))
            }
            kind => {
                let mut numbers = Vec::new();
                for _ in 0..count {
                    numbers.push(match self.value(kind)? {
                        Value::Whole(number) => number as f64,
                        Value::Float(number) => number,
                        _ => return Err(malformed("no number")),
                    });
                }
                Ok(Value::Numbers(numbers))
            }
        }
    }

    /// Its place is counted from the first tensor's.
    fn tensor(&mut self) -> Result<Described, Fault> {
        let dimensions = u32::from_le_bytes(self.array()?);
        if dimensions > DIMENSIONS {
            return Err(malformed(format!("{dimensions} dimensions, expected at most {DIMENSIONS}")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.whole()?).map_err(|_| malformed("a dimension that is too large"))?);
        }
        shape.reverse();
        let values = shape.iter().try_fold(1_usize, |values, dimension| values.checked_mul(*dimension));
        if values.is_none_or(|values| values == 0) {
            return Err(malformed(format!("dimensions {shape:?}, expected at least one value and less than 2^64")));
        }
        let kind = Kind::of(u32::from_le_bytes(self.array()?)).map_err(Fault::Unsupported)?;
        let row = shape.last().copied().unwrap_or(1);
        if !row.is_multiple_of(kind.block()) {
            return Err(malformed(format!("rows of {row} values, expected a multiple of {}", kind.block())));
        }
        Ok(Described { at: self.whole()?, kind, shape })
    }
}

fn malformed(text: impl Into<String>) -> Fault {
    Fault::Malformed(text.into())
}
