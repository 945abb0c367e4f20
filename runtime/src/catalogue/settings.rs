//! MLServer's `model-settings.json`, as far as it says which file to serve under which name.

use std::io;
use std::path::Path;

use serde::Deserialize;

/// The file's name in a model's folder.
pub(super) const FILE: &str = "model-settings.json";

/// What the file says; members that MLServer has and this server has no use for are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    /// A Python class, for instance `mlserver_sklearn.SKLearnModel`.
    implementation: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    uri: Option<String>,
    version: Option<String>,
}

// === impl Settings ===

impl Settings {
    /// The settings of this folder, if it has any.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The format that the implementation names: `mlserver_sklearn.SKLearnModel` is `sklearn`.
    pub(super) fn format(&self) -> Option<String> {
        let module = self.implementation.as_deref()?.split('.').next()?;
        Some(module.strip_prefix("mlserver_").unwrap_or(module).to_owned())
    }

    /// The model's file or folder, relative to the settings.
    pub(super) fn uri(&self) -> Option<&str> {
        let uri = self.parameters.as_ref()?.uri.as_deref()?;
        Some(uri.strip_prefix("file://").unwrap_or(uri))
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.parameters.as_ref()?.version.as_deref()
    }
}
