//! A model's files, wherever they stand.

use std::any::Any;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::formats::ModelFiles;
#[cfg(feature = "s3")]
use crate::storage::remote::RemoteFiles;

/// The files of a model in storage.
#[derive(Clone)]
pub(crate) struct Stored {
    /// As they are called there.
    files: ModelFiles,
    #[cfg(feature = "s3")]
    remote: Option<Arc<RemoteFiles>>,
}

/// Files on this machine, whole.
pub(crate) struct Local {
    pub(crate) files: ModelFiles,
    /// As long as it is held they stay.
    pub(crate) hold: Option<Hold>,
}

/// Keeps files from being deleted. Nobody looks into it.
#[derive(Clone)]
pub(crate) struct Hold {
    _held: Arc<dyn Any + Send + Sync>,
}

// === impl Stored ===

impl Stored {
    /// The files of a store, called so there.
    #[cfg(feature = "s3")]
    pub(super) fn remote(files: ModelFiles, remote: RemoteFiles) -> Self {
        Self { files, remote: Some(Arc::new(remote)) }
    }

    /// The file or folder, as it is called where it stands.
    pub(crate) fn path(&self) -> &Path {
        &self.files.path
    }

    /// The files by the names that they have where they stand, to recognise a format by.
    pub(crate) fn named(&self) -> &ModelFiles {
        &self.files
    }

    /// The format that a settings file names.
    pub(crate) fn format(&self) -> Option<&str> {
        self.files.format.as_deref()
    }

    /// The format, where no settings say.
    pub(crate) fn or_of_format(&mut self, format: Option<&str>) {
        self.files.format = self.files.format.take().or_else(|| format.map(str::to_owned));
    }

    /// What a settings file says to the format itself.
    pub(crate) fn with_parameters(mut self, parameters: Option<Arc<Map<String, Value>>>) -> Self {
        self.files.parameters = parameters;
        self
    }

    /// Makes them local. Dropped, it stops; what was downloaded by then need not be again.
    ///
    /// # Errors
    /// The reason, in a sentence for whoever waits for the model.
    pub(crate) async fn fetch(&self) -> Result<Local, String> {
        #[cfg(feature = "s3")]
        if let Some(remote) = &self.remote {
            let (path, hold) = remote.fetch().await?;
            return Ok(Local { files: ModelFiles { path, ..self.files.clone() }, hold: Some(hold) });
        }
        Ok(Local { files: self.files.clone(), hold: None })
    }
}

impl From<ModelFiles> for Stored {
    fn from(files: ModelFiles) -> Self {
        Self {
            files,
            #[cfg(feature = "s3")]
            remote: None,
        }
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.fmt(f)
    }
}

// === impl Hold ===

impl Hold {
    #[cfg(feature = "s3")]
    pub(super) fn new(held: impl Any + Send + Sync) -> Self {
        Self { _held: Arc::new(held) }
    }
}
