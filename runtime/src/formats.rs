//! Model formats: each a folder that implements [`Format`]. One of your own stands beside them when a
//! [`Catalogue`](crate::Catalogue) is opened with it.

#[cfg(feature = "llm")]
pub mod language;
pub mod sklearn;

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Device, DeviceChoice, Model};

/// Where a model's files stand, already local and complete.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ModelFiles {
    /// The file that holds the model, or the folder when the format has several.
    pub path: PathBuf,
    /// The format that a settings file names, if any, for instance `sklearn`.
    pub format: Option<String>,
    /// What a settings file says to the format itself: `parameters.extra` of MLServer's `model-settings.json`.
    pub parameters: Option<Arc<serde_json::Map<String, serde_json::Value>>>,
}

// === impl ModelFiles ===

impl ModelFiles {
    /// What most formats answer to [`Format::recognises`]: the settings name this format, or they name none and the
    /// file's name ends in a dot and one of these extensions.
    pub fn is_format(&self, name: &str, extensions: &[&str]) -> bool {
        let has_extension = || self.path.extension().is_some_and(|own| extensions.iter().any(|known| own == *known));
        self.format.as_deref().map_or_else(has_extension, |format| format == name)
    }

    /// The text of the model's file.
    ///
    /// # Errors
    /// The file cannot be read, or is not UTF-8.
    pub fn read_text(&self) -> Result<String, LoadError> {
        let bytes = std::fs::read(&self.path)
            .map_err(|error| LoadError::Read { path: self.path.clone(), reason: error.to_string() })?;
        String::from_utf8(bytes).map_err(|error| self.malformed(format!("not UTF-8: {}", error.utf8_error())))
    }

    /// The error of a file that does not hold what it should; the text begins with the path.
    pub fn malformed(&self, reason: impl std::fmt::Display) -> LoadError {
        LoadError::Malformed(format!("{}: {reason}", self.path.display()))
    }
}

/// Why a model could not be loaded; the text says what was found, where, and what was expected.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is not what its name says: truncated, malformed or hostile.
    #[error("{0}")]
    Malformed(String),
    /// The file is well-formed and holds something that this format does not serve.
    #[error("{0}")]
    Unsupported(String),
}

/// Why a device cannot be computed on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program has no code for it.
    #[error(
        "this program is built without CUDA, so nothing can compute on {0}: take one that `make gpu` built, or cpu"
    )]
    NotBuilt(Device),
    /// The device, or its driver, says so.
    #[error("cannot compute on {device}: {reason}")]
    Refused {
        /// The device.
        device: Device,
        /// What it says.
        reason: String,
    },
}

// === impl LoadError ===

impl LoadError {
    /// The same of what this file holds.
    #[cfg(feature = "llm")]
    fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::Malformed(text) => Self::Malformed(format!("{}: {text}", path.display())),
            Self::Unsupported(text) => Self::Unsupported(format!("{}: {text}", path.display())),
            read @ Self::Read { .. } => read,
        }
    }
}

/// A kind of model file that the runtime can serve.
pub trait Format: Send + Sync + 'static {
    /// The name in settings files and metadata, for instance `sklearn`.
    fn name(&self) -> &'static str;

    /// Whether settings files mean this format by this name.
    fn is_called(&self, name: &str) -> bool {
        self.name() == name
    }

    /// Whether this file looks like this format, by its name or by the settings. It need not be on this machine.
    fn recognises(&self, files: &ModelFiles) -> bool;

    /// Whether a folder with files of these names is one model of this format: a format whose models are several files.
    fn recognises_folder(&self, _names: &[&str]) -> bool {
        false
    }

    /// Whether its models are folders, also such as hold nothing but settings that say where the rest is.
    fn is_of_folders(&self) -> bool {
        false
    }

    /// That these files are no part of a model only, as far as their names say, before any of them is downloaded.
    ///
    /// # Errors
    /// They are; the text says what is expected.
    fn check(&self, _files: &ModelFiles) -> Result<(), LoadError> {
        Ok(())
    }

    /// Where the model of these files will compute, so that room is made there before it is loaded. What
    /// counts in the end is the loaded model's [`Model::device`].
    fn device(&self, _files: &ModelFiles) -> Device {
        Device::Cpu
    }

    /// Bytes of memory to make room for before the model of these files is loaded, which take so many in storage. What
    /// counts in the end is the loaded model's [`Model::size_bytes`].
    fn expected_bytes(&self, _files: &ModelFiles, stored: u64) -> u64 {
        stored
    }

    /// Reads and checks the model. Called on a thread where blocking is allowed.
    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError>;
}

/// Bytes that nothing has taken of the memory of the device that [`builtin`] chose, if it is none of the host's.
pub fn free_device_memory() -> Option<u64> {
    #[cfg(feature = "llm")]
    return language::free_device_memory();
    #[cfg(not(feature = "llm"))]
    None
}

/// The formats that this build has, in the order in which they are asked whether they recognise a model.
///
/// # Errors
/// There is no such device, or none that this build can compute on.
pub fn builtin(device: DeviceChoice) -> Result<Vec<Arc<dyn Format>>, DeviceError> {
    #[cfg(not(feature = "llm"))]
    if let DeviceChoice::On(device @ Device::Cuda(_)) = device {
        return Err(DeviceError::NotBuilt(device));
    }
    Ok(vec![
        Arc::new(sklearn::SklearnFormat::default()),
        #[cfg(feature = "llm")]
        Arc::new(language::LanguageFormat::of_environment(device)?),
    ])
}
