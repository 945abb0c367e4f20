//! Where a model's base and its adapter stand.
//!
//! A model's folder may be a base, or an adapter that names its base, or neither: then the settings name both.

use std::path::{Path, PathBuf};

use super::settings::Settings;
use super::{adapter, is_adapter, is_base};
use crate::formats::LoadError;

/// The folders of a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) base: PathBuf,
    pub(super) adapter: Option<PathBuf>,
}

/// The folders of the model at this path.
pub(super) fn find(path: &Path, settings: &Settings) -> Result<Found, LoadError> {
    if is_base(path) {
        return Ok(Found { base: path.to_owned(), adapter: None });
    }
    let adapter = if is_adapter(path) {
        Some(path.to_owned())
    } else {
        settings.peft_model_id.as_deref().map(|name| folder(name, "peft_model_id", path, is_adapter)).transpose()?
    };
    let base = match (settings.pretrained_model_path.as_deref(), &adapter) {
        (Some(name), _) => folder(name, "pretrained_model_path", path, is_base)?,
        (None, Some(adapter)) => {
            let config = adapter::Config::read(adapter)?;
            let Some(name) = config.base_model_name_or_path else {
                let path = adapter.join(adapter::CONFIG);
                return Err(LoadError::Malformed(format!("{}: base_model_name_or_path is missing", path.display())));
            };
            folder(&name, "base_model_name_or_path", path, is_base)?
        }
        (None, None) => {
            return Err(LoadError::Unsupported(format!(
                "{} has neither a model (config.json and its weights) nor an adapter ({}); set pretrained_model_path and \
                 peft_model_id in parameters.extra of model-settings.json, or PRETRAINED_MODEL_PATH and PEFT_MODEL_ID",
                path.display(),
                adapter::CONFIG
            )));
        }
    };
    Ok(Found { base, adapter })
}

/// The folder of this name: a path, or a folder beside the model.
fn folder(name: &str, setting: &str, beside: &Path, is_right: fn(&Path) -> bool) -> Result<PathBuf, LoadError> {
    let place = beside.parent().unwrap_or(beside).join(name);
    if is_right(&place) {
        return Ok(place);
    }
    Err(LoadError::Unsupported(format!("{setting} is '{name}', and no such model stands at {}", place.display())))
}
