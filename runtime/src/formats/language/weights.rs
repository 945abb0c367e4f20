//! Named tensors from the files that Hugging Face's libraries write.
//!
//! `model.safetensors`, the same in several files with an index, or torch's own `pytorch_model.bin`. The latter is a
//! pickle; it is read as data, nothing in it is executed. Names come with and without the name of the whole model
//! (`transformer.`, `model.`) before them. Values are read when they are taken, so that memory never holds a model twice.
//! The tensors of a GGUF file are named as in those.

mod gguf;
mod safetensors;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use modelway_kernels::{PackError, Precision};
use serde::Deserialize;

use self::safetensors::Stored;
use super::compute::{ComputeError, Matrix, MatrixError, Processor, Vector};
use super::config::Config;
use super::gguf::Gguf;
use crate::formats::LoadError;

/// The file of a model that is not split.
pub(super) const ONE_FILE: &str = "model.safetensors";
/// Where tensors stand that are split over several files.
pub(super) const INDEX: &str = "model.safetensors.index.json";
/// torch's own format.
pub(super) const TORCH: &str = "pytorch_model.bin";
/// What may stand before every name.
const PREFIXES: [&str; 2] = ["transformer.", "model."];

/// The tensors of a model, by the names without a prefix.
pub(super) struct Weights {
    tensors: HashMap<String, Source>,
    /// The file, or the folder with several, for errors.
    from: PathBuf,
    /// Where they are taken to.
    processor: Processor,
}

/// Where a tensor's values are.
enum Source {
    File(Stored),
    Gguf(gguf::Stored),
    /// Of torch's own format.
    Memory(candle_core::Tensor),
}

/// A tensor whose rows can be read, in 32-bit floats.
enum Rows {
    File(Stored),
    Gguf(gguf::Stored),
    Memory(Vec<f32>),
}

/// How a matrix is to be kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Kept {
    /// As its file has it.
    #[default]
    AsStored,
    /// So.
    As(Precision),
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether a file of a model's weights has this name.
pub(super) fn is_file(name: &str) -> bool {
    [ONE_FILE, INDEX, TORCH].contains(&name)
}

/// Whether a folder has files of weights.
pub(super) fn are_in(folder: &Path) -> bool {
    [ONE_FILE, INDEX, TORCH].iter().any(|name| folder.join(name).is_file())
}

/// The files that an index names, each once. All stand beside it.
pub(super) fn files_of_index(path: &Path) -> Result<Vec<String>, LoadError> {
    let text = fs::read(path).map_err(|error| unreadable(path, &error))?;
    let index: Index = serde_json::from_slice(&text).map_err(|error| malformed(path, &error))?;
    let mut files: Vec<String> = index.weight_map.into_values().collect();
    files.sort();
    files.dedup();
    match files.iter().find(|file| !is_name(file)) {
        Some(file) => Err(malformed(path, &format!("'{file}' is no file beside it"))),
        None => Ok(files),
    }
}

fn is_name(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(name)), None) if name == file)
}

// === impl Weights ===

impl Weights {
    /// The weights of the model in this folder.
    pub(super) fn of_model(folder: &Path) -> Result<Self, LoadError> {
        let (one, index, torch) = (folder.join(ONE_FILE), folder.join(INDEX), folder.join(TORCH));
        if one.is_file() {
            Self::of_file(&one)
        } else if index.is_file() {
            Self::of_index(folder, &index)
        } else if torch.is_file() {
            Self::of_file(&torch)
        } else {
            let folder = folder.display();
            Err(LoadError::Unsupported(format!("no weights in {folder}, expected {ONE_FILE}, {INDEX} or {TORCH}")))
        }
    }

    /// The tensors of a GGUF file, by our names.
    pub(super) fn of_gguf(file: Gguf, config: &Config) -> Result<Self, LoadError> {
        let architecture = file.architecture()?.to_owned();
        let mut tensors = HashMap::new();
        for (theirs, tensor) in file.tensors {
            // What has no name of ours is found when all others are taken.
            let name = gguf::name(config.names, &theirs).unwrap_or_else(|| theirs.clone());
            let stored = gguf::Stored::new(tensor, &theirs, &architecture, config);
            tensors.insert(name, Source::Gguf(stored));
        }
        Ok(Self { tensors, from: file.path, processor: Processor::Host })
    }

    /// The tensors of one file, of the format that its name says.
    pub(super) fn of_file(path: &Path) -> Result<Self, LoadError> {
        let tensors: HashMap<String, Source> = if path.extension().is_some_and(|extension| extension == "safetensors") {
            safetensors::open(path)?.into_iter().map(|(name, stored)| (name, Source::File(stored))).collect()
        } else {
            let tensors = candle_core::pickle::read_all(path).map_err(|error| malformed(path, &error))?;
            if tensors.is_empty() {
                return Err(malformed(path, &"it holds no tensors"));
            }
            tensors.into_iter().map(|(name, tensor)| (name, Source::Memory(tensor))).collect()
        };
        Ok(Self { tensors: bare(tensors), from: path.to_owned(), processor: Processor::Host })
    }

    fn of_index(folder: &Path, path: &Path) -> Result<Self, LoadError> {
        let mut tensors = HashMap::new();
        for file in files_of_index(path)? {
            tensors.extend(Self::of_file(&folder.join(file))?.tensors);
        }
        Ok(Self { tensors, from: folder.to_owned(), processor: Processor::Host })
    }

    /// The same, to be taken to where a decoder computes.
    pub(super) fn on(self, processor: Processor) -> Self {
        Self { processor, ..self }
    }

    pub(super) fn processor(&self) -> &Processor {
        &self.processor
    }

    /// The names that there are, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Whether there is a tensor of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// How a tensor's values are stored.
    pub(super) fn precision(&self, name: &str) -> Precision {
        match self.tensors.get(name) {
            Some(Source::File(stored)) => stored.precision(),
            // Neither llama.cpp nor transformers rounds anything of such a model to what its weights can hold.
            Some(Source::Gguf(_)) => Precision::F32,
            Some(Source::Memory(tensor)) => match tensor.dtype() {
                candle_core::DType::BF16 => Precision::Bf16,
                candle_core::DType::F16 => Precision::F16,
                _ => Precision::F32,
            },
            None => Precision::F32,
        }
    }

    /// The same tensors, by other names.
    pub(super) fn renamed(self, name: impl Fn(&str) -> String) -> Self {
        let Self { tensors, from, processor } = self;
        let tensors = tensors.into_iter().map(|(old, tensor)| (name(&old), tensor)).collect();
        Self { tensors, from, processor }
    }

    /// Leaves a tensor out that is not needed.
    pub(super) fn skip(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// The values of the tensor of this name and shape, taken out.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        match self.rows(name, shape)? {
            Rows::Memory(values) => Ok(values),
            rows => {
                let mut values = vec![0.0; shape.iter().product()];
                let read = match &rows {
                    Rows::Gguf(stored) => stored.read(&mut values),
                    rows => rows.read(0, &mut values),
                };
                read.map_err(|error| self.unreadable(name, &error))?;
                Ok(values)
            }
        }
    }

    /// Values that were taken out, where they are computed with.
    pub(super) fn vector(&self, values: Vec<f32>) -> Result<Vector, LoadError> {
        self.processor.vector(values).map_err(|error| self.not_there(&error))
    }

    /// The matrix of these tensors, one below the other: each a name and its rows, all with as many columns.
    pub(super) fn matrix(
        &mut self,
        parts: &[(String, usize)],
        columns: usize,
        kept: Kept,
    ) -> Result<Matrix, LoadError> {
        let mut found = Vec::with_capacity(parts.len());
        for (name, rows) in parts {
            found.push((self.rows(name, &[*rows, columns])?, *rows));
        }
        let precision = match kept {
            Kept::As(precision) => precision,
            Kept::AsStored => found.iter().map(|(rows, _)| rows.precision()).reduce(both).unwrap_or(Precision::F32),
        };
        let all = parts.iter().map(|(_, rows)| rows).sum();
        let fault = Mutex::new(None);
        let packed = self.processor.matrix((all, columns), precision, |row, to| {
            let mut row = row;
            for (rows, count) in &found {
                if row < *count {
                    if let Err(error) = rows.read(row, to) {
                        *fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                    return;
                }
                row -= count;
            }
        });
        let names = || parts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        if let Some(error) = fault.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(self.unreadable(&names(), &error));
        }
        packed.map_err(|error| match error {
            MatrixError::Pack(PackError::Range { row, precision }) => self.malformed(&format!(
                "the tensor '{}' has a value in row {row} that is no number or too large for {precision:?}",
                names()
            )),
            MatrixError::Pack(PackError::Shape(error)) => self.malformed(&format!("the tensor '{}': {error}", names())),
            MatrixError::Compute(error) => self.not_there(&error),
        })
    }

    /// The same for what computes by the host's kernels, wherever decoders do.
    pub(super) fn host_matrix(
        &mut self,
        parts: &[(String, usize)],
        columns: usize,
        kept: Kept,
    ) -> Result<modelway_kernels::Matrix, LoadError> {
        match self.matrix(parts, columns, kept)? {
            Matrix::Host(matrix) => Ok(matrix),
            Matrix::Device(_) => Err(self.not_there(&ComputeError::Elsewhere)),
        }
    }

    /// An error of what the tensors are.
    pub(super) fn malformed(&self, what: &str) -> LoadError {
        malformed(&self.from, &what)
    }

    /// For instance, there is no memory for it.
    fn not_there(&self, error: &ComputeError) -> LoadError {
        let (from, device) = (self.from.display(), self.processor.device());
        LoadError::Unsupported(format!("{from}: it cannot be held on {device}: {error}"))
    }

    fn unreadable(&self, name: &str, error: &std::io::Error) -> LoadError {
        LoadError::Malformed(format!("{}: the tensor '{name}' cannot be read: {error}", self.from.display()))
    }

    fn rows(&mut self, name: &str, shape: &[usize]) -> Result<Rows, LoadError> {
        let Some(source) = self.tensors.remove(name) else {
            return Err(self.malformed(&format!("the tensor '{name}' is missing")));
        };
        let found = source.shape();
        if found != shape {
            return Err(self.malformed(&format!("the tensor '{name}' has the shape {found:?}, expected {shape:?}")));
        }
        match source {
            Source::File(stored) => Ok(Rows::File(stored)),
            Source::Gguf(stored) => Ok(Rows::Gguf(stored)),
            Source::Memory(tensor) => {
                let values =
                    tensor.to_dtype(candle_core::DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1());
                let values = values.map_err(|error| self.malformed(&format!("the tensor '{name}': {error}")))?;
                Ok(Rows::Memory(values))
            }
        }
    }
}

// === impl Source ===

impl Source {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::File(stored) => stored.shape().to_vec(),
            Self::Gguf(stored) => stored.shape().to_vec(),
            Self::Memory(tensor) => tensor.dims().to_vec(),
        }
    }
}

// === impl Rows ===

impl Rows {
    fn precision(&self) -> Precision {
        match self {
            Self::File(stored) => stored.precision(),
            Self::Gguf(stored) => stored.precision(),
            Self::Memory(_) => Precision::F32,
        }
    }

    fn read(&self, row: usize, to: &mut [f32]) -> std::io::Result<()> {
        let start = row * to.len();
        match self {
            Self::File(stored) => stored.read(start, to),
            Self::Gguf(stored) => stored.read_row(row, to),
            Self::Memory(values) => {
                let values = values.get(start..start + to.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
                to.copy_from_slice(values);
                Ok(())
            }
        }
    }
}

/// What holds values that come as either without loss.
fn both(one: Precision, other: Precision) -> Precision {
    match (one, other) {
        (one, other) if one == other => one,
        (Precision::Int8, other) | (other, Precision::Int8) => other,
        _ => Precision::F32,
    }
}

/// By names without a prefix.
fn bare(tensors: HashMap<String, Source>) -> HashMap<String, Source> {
    let bare_name = |name: String| match PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)) {
        Some(bare) => bare.to_owned(),
        None => name,
    };
    tensors.into_iter().map(|(name, tensor)| (bare_name(name), tensor)).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Read { path: path.to_owned(), reason: error.to_string() }
}

fn malformed(path: &Path, what: &impl std::fmt::Display) -> LoadError {
    LoadError::Malformed(format!("{}: {what}", path.display()))
}
