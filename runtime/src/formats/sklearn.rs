//! scikit-learn models, as `joblib.dump` or `pickle.dump` saved them, read without Python.
//!
//! ```text
//! file ─ compression ─▶ pickle (+ joblib's arrays) ─▶ values ─▶ svc: checks ─▶ a model
//! ```
//!
//! Nothing in the file is executed: a pickle is read as data ([`pickle`]), and a class or function that is not
//! understood is refused by its name. Whatever the file holds, reading it is bounded in time and memory, and
//! ends in a model or in a [`LoadError`].

mod array;
mod compression;
mod joblib;
mod pickle;
mod svc;
mod value;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use svc::{DecisionShape, RowValues, Svc};

use super::{Format, LoadError, ModelFiles};
use crate::model::{Batched, Model};

/// The most that is read of a file, or made of it by decompressing.
pub const DEFAULT_MAX_BYTES: u64 = 4 << 30;

/// How model files are called, by KServe's and MLServer's rules.
const EXTENSIONS: [&str; 3] = ["joblib", "pkl", "pickle"];

/// The format `sklearn`.
#[derive(Clone, Copy, Debug)]
pub struct SklearnFormat {
    max_bytes: u64,
}

// === impl SklearnFormat ===

impl SklearnFormat {
    /// The format with another limit than [`DEFAULT_MAX_BYTES`].
    pub fn with_max_bytes(max_bytes: u64) -> Self {
        Self { max_bytes }
    }
}

impl Default for SklearnFormat {
    fn default() -> Self {
        Self::with_max_bytes(DEFAULT_MAX_BYTES)
    }
}

impl Format for SklearnFormat {
    fn name(&self) -> &'static str {
        "sklearn"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        match &files.format {
            Some(format) => format == self.name(),
            None => has_extension(&files.path),
        }
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let path = model_file(&files.path)?;
        let svc = Svc::from_path_with_limit(&path, self.max_bytes).map_err(|error| in_file(&path, error))?;
        Ok(Arc::new(Batched::new(svc)))
    }
}

/// The model's file: the path itself, or the only such file in a folder.
fn model_file(path: &Path) -> Result<PathBuf, LoadError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let unreadable = |error: std::io::Error| LoadError::Read { path: path.to_owned(), reason: error.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.is_file() && has_extension(&file) {
            found.push(file);
        }
    }
    // MLServer's and KServe's name goes before others.
    let preferred = found.iter().find(|file| file.file_stem().is_some_and(|stem| stem == "model")).cloned();
    match (preferred, found.as_slice()) {
        (Some(file), _) => Ok(file),
        (None, [file]) => Ok(file.clone()),
        (None, files) => Err(LoadError::Unsupported(format!(
            "{} has {} files that end in .joblib, .pkl or .pickle, expected one, or model.joblib",
            path.display(),
            files.len()
        ))),
    }
}

fn has_extension(path: &Path) -> bool {
    let is_one_of = |path: &Path, known: &[&str]| {
        path.extension().is_some_and(|extension| known.iter().any(|known| extension == *known))
    };
    // joblib compresses by itself where the name ends so.
    if is_one_of(path, &["z", "gz"]) {
        return path.file_stem().is_some_and(|stem| is_one_of(Path::new(stem), &EXTENSIONS));
    }
    is_one_of(path, &EXTENSIONS)
}

/// The same error, with the file in its text.
fn in_file(path: &Path, error: LoadError) -> LoadError {
    match error {
        LoadError::Malformed(text) => LoadError::Malformed(format!("{}: {text}", path.display())),
        LoadError::Unsupported(text) => LoadError::Unsupported(format!("{}: {text}", path.display())),
        read @ LoadError::Read { .. } => read,
    }
}
