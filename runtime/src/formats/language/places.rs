//! Where a model's base and its adapter stand.
//!
//! A model's folder may be a base, or an adapter that names its base, or neither: then the settings name both.

use std::path::{Path, PathBuf};

use super::adapter;
use super::hub::{Contents, Hub, Id};
use super::settings::Settings;
use crate::formats::LoadError;

/// The folders of a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) base: PathBuf,
    pub(super) adapter: Option<PathBuf>,
}

/// The folders of the model at this path.
pub(super) fn find(path: &Path, settings: &Settings, hub: &Hub) -> Result<Found, LoadError> {
    if Contents::Base.is_in(path) {
        return Ok(Found { base: path.to_owned(), adapter: None });
    }
    let adapter = if Contents::Adapter.is_in(path) {
        Some(path.to_owned())
    } else {
        let name = settings.peft_model_id.as_deref().map(|name| Named::new(name, "peft_model_id", path));
        name.map(|name| name.folder(Contents::Adapter, hub)).transpose()?
    };
    let base = match (settings.pretrained_model_path.as_deref(), &adapter) {
        (Some(name), _) => Named::new(name, "pretrained_model_path", path).folder(Contents::Base, hub)?,
        (None, Some(adapter)) => {
            let config = adapter::Config::read(adapter)?;
            let Some(name) = config.base_model_name_or_path else {
                let path = adapter.join(adapter::CONFIG);
                return Err(LoadError::Malformed(format!(
                    "{}: base_model_name_or_path is missing, set pretrained_model_path instead",
                    path.display()
                )));
            };
            let name =
                Named { revision: config.revision.as_deref(), ..Named::new(&name, "base_model_name_or_path", path) };
            name.folder(Contents::Base, hub)?
        }
        (None, None) => {
            return Err(LoadError::Unsupported(format!(
                "{} has neither a model (config.json and its weights, or one GGUF file) nor an adapter ({}); set \
                 pretrained_model_path and peft_model_id in parameters.extra of model-settings.json, or \
                 PRETRAINED_MODEL_PATH and PEFT_MODEL_ID",
                path.display(),
                adapter::CONFIG
            )));
        }
    };
    Ok(Found { base, adapter })
}

/// A folder, by what a setting says.
struct Named<'a> {
    name: &'a str,
    setting: &'static str,
    /// On the hub, unless the name says one.
    revision: Option<&'a str>,
    beside: &'a Path,
}

// === impl Named ===

impl<'a> Named<'a> {
    fn new(name: &'a str, setting: &'static str, beside: &'a Path) -> Self {
        Self { name, setting, revision: None, beside }
    }

    /// A path, a folder beside the model, or a model of the hub.
    fn folder(&self, contents: Contents, hub: &Hub) -> Result<PathBuf, LoadError> {
        let place = self.beside.parent().unwrap_or(self.beside).join(self.name);
        if contents.is_in(&place) {
            return Ok(place);
        }
        let (setting, name) = (self.setting, self.name);
        let nowhere = format!("{setting} is '{name}', and no such model stands at {}", place.display());
        // What stands there is meant, though it is not whole.
        let Some(id) = Id::read(name).filter(|_| !place.exists()) else {
            return Err(LoadError::Unsupported(nowhere));
        };
        let folder = hub.folder(&id.or_at(self.revision), contents);
        folder.map_err(|reason| LoadError::Unsupported(format!("{nowhere}; as a name on the hub: {reason}")))
    }
}
