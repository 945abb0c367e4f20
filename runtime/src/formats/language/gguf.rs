//! GGUF: a language model as one file, as llama.cpp and its kin have it.
//!
//! The file's metadata say what `config.json`, `tokenizer.json` and the chat template say elsewhere; its tensors are
//! those of the weights, under other names, and most of the time in blocks of few bits. Of a large model's file the first
//! part of several has all metadata, and each its own tensors.

mod header;
mod kind;
mod place;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::header::{Fault, Header};
pub(super) use self::header::{Metadata, Value};
pub(super) use self::kind::Kind;
pub(super) use self::place::{bits, check_whole, find, is_file_name, is_folder_of_one};
use super::super::LoadError;

/// A model's file, or its files, of which only the headers are read.
pub(super) struct Gguf {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

/// A tensor in a file.
#[derive(Clone)]
pub(super) struct Tensor {
    file: Arc<File>,
    /// Of its first value.
    at: u64,
    kind: Kind,
    /// Rows first, as everywhere here.
    shape: Vec<usize>,
}

// === impl Gguf ===

impl Gguf {
    /// The model in this file, and in those that belong to it.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let mut gguf = Self::open_one(path)?;
        let count = gguf.number("split.count")?.unwrap_or(1);
        if count > 1 && gguf.number("split.no")?.unwrap_or(0) != 0 {
            return Err(gguf.malformed("it is not the first of its files; name that one"));
        }
        for number in 1..count {
            let next = place::part(path, number, count).ok_or_else(|| {
                gguf.malformed(&format!("it is one of {count} files, and not called …-00001-of-{count:05}.gguf"))
            })?;
            let part = Self::open_one(&next)?;
            if part.number("split.no")? != Some(number) || part.number("split.count")? != Some(count) {
                return Err(part.malformed(&format!("it is not part {} of {count}", number + 1)));
            }
            for (name, tensor) in part.tensors {
                if gguf.tensors.insert(name.clone(), tensor).is_some() {
                    return Err(gguf.malformed(&format!("the tensor '{name}' is in two of its files")));
                }
            }
        }
        match gguf.number("split.tensors.count")? {
            Some(expected) if expected != gguf.tensors.len() => {
                let text = format!("its files have {} tensors, expected {expected}", gguf.tensors.len());
                Err(gguf.malformed(&text))
            }
            _ => Ok(gguf),
        }
    }

    fn open_one(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |error: std::io::Error| LoadError::Read { path: path.to_owned(), reason: error.to_string() };
        let of_file = |fault: Fault| match fault {
            Fault::Read(error) => unreadable(error),
            Fault::Malformed(text) => LoadError::Malformed(format!("{}: {text}", path.display())),
            Fault::Unsupported(text) => LoadError::Unsupported(format!("{}: {text}", path.display())),
        };
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let Header { metadata, tensors } = Header::read(BufReader::new(&file), size).map_err(of_file)?;
        let file = Arc::new(file);
        let tensors = tensors.into_iter().map(|(name, described)| {
            let tensor = Tensor { file: file.clone(), at: described.at, kind: described.kind, shape: described.shape };
            (name, tensor)
        });
        Ok(Self { path: path.to_owned(), metadata, tensors: tensors.collect() })
    }

    /// `general.architecture`
    pub(super) fn architecture(&self) -> Result<&str, LoadError> {
        if let Some(kind) = self.text("general.type").filter(|kind| *kind != "model") {
            return Err(self.unsupported(&format!("general.type: expected model, got '{kind}'")));
        }
        self.text("general.architecture").ok_or_else(|| self.malformed("general.architecture is missing"))
    }

    pub(super) fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.malformed(&format!("{key}: expected true or false"))),
        }
    }

    /// A whole number, at least 0.
    pub(super) fn number(&self, key: &str) -> Result<Option<usize>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Whole(number)) => match usize::try_from(*number) {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.malformed(&format!("{key}: expected at least 0, got {number}"))),
            },
            Some(_) => Err(self.malformed(&format!("{key}: expected a whole number"))),
        }
    }

    pub(super) fn float(&self, key: &str) -> Result<Option<f64>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(float)) => Ok(Some(*float)),
            Some(Value::Whole(number)) => Ok(Some(*number as f64)),
            Some(_) => Err(self.malformed(&format!("{key}: expected a number"))),
        }
    }

    pub(super) fn texts(&self, key: &str) -> Result<Option<&[String]>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            Some(_) => Err(self.malformed(&format!("{key}: expected a list of texts"))),
        }
    }

    pub(super) fn numbers(&self, key: &str) -> Result<Option<&[f64]>, LoadError> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(self.malformed(&format!("{key}: expected a list of numbers"))),
        }
    }

    /// All values of a tensor.
    pub(super) fn values(&self, name: &str) -> Result<Option<Vec<f32>>, LoadError> {
        let Some(tensor) = self.tensors.get(name) else { return Ok(None) };
        let mut values = vec![0.0; tensor.shape.iter().product()];
        let read = tensor.read(0, &mut values);
        read.map_err(|error| self.malformed(&format!("the tensor '{name}' cannot be read: {error}")))?;
        Ok(Some(values))
    }

    pub(super) fn malformed(&self, what: &str) -> LoadError {
        LoadError::Malformed(format!("{}: {what}", self.path.display()))
    }

    pub(super) fn unsupported(&self, what: &str) -> LoadError {
        LoadError::Unsupported(format!("{}: {what}", self.path.display()))
    }
}

// === impl Tensor ===

impl Tensor {
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// ggml's number of its kind, its place and its bytes.
    #[cfg(test)]
    pub(super) fn stored(&self) -> (u32, u64, usize) {
        (self.kind.number(), self.at, self.kind.bytes(self.shape.iter().product()).unwrap_or(0))
    }

    /// Values from this one on, which begins a block, as many as there is room for, whole blocks.
    pub(super) fn read(&self, start: usize, to: &mut [f32]) -> std::io::Result<()> {
        let place = self.kind.bytes(start).zip(self.kind.bytes(to.len()));
        let (before, length) = place.ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.at + before as u64)?;
        self.kind.decode(&bytes, to)
    }
}
