//! `generation_config.json`: which tokens end a text, where that differs from what the model was trained with.
//!
//! Of models that chat it often names several, and goes before config.json. What else it has (temperature, top_p)
//! is left to who asks.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::{Config, Ids};
use crate::formats::LoadError;

/// The file's name in a model's folder.
const FILE: &str = "generation_config.json";

#[derive(Debug, Deserialize)]
pub(super) struct Generation {
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
}

// === impl Generation ===

impl Generation {
    /// That of the model in this folder, if it has one.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, LoadError> {
        let path = folder.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LoadError::Read { path, reason: error.to_string() }),
        };
        let read = serde_json::from_slice(&text);
        read.map(Some).map_err(|error| LoadError::Malformed(format!("{}: {error}", path.display())))
    }

    /// What it names takes the place of what the configuration has.
    pub(super) fn goes_before(self, config: &mut Config) {
        if self.eos_token_id.is_some() {
            config.ends = Ids::all(self.eos_token_id);
        }
        config.padding = self.pad_token_id.or(config.padding);
    }
}
