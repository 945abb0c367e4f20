//! Causal language models as Hugging Face's libraries save them, and PEFT's adapters for them; and models that make vectors
//! of texts.
//!
//! ```text
//! config.json ─┐
//! weights ─────┴▶ decoder ◀─ adapter      text ─ tokens ─▶ engine ─▶ decoder (one cache a text) ─ tokens ─▶ text
//! ```
//!
//! Beside the decoder stands the encoder of [`embedder`]s, with the same readers of weights and texts.
//!
//! The decoder is our own, over kernels of our own: a text's cache is the text's, so that texts of different lengths
//! share one step, and the models of a base share it.

mod adapter;
mod alibi;
mod base;
mod cache;
mod compute;
mod config;
mod decoder;
mod embedder;
mod encoder;
mod engine;
mod gguf;
mod hub;
mod parameters;
mod places;
mod serve;
mod settings;
mod template;
mod tokens;
mod weights;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::adapter::Adapter;
use self::base::Bases;
use self::compute::Processor;
use self::decoder::Decoder;
use self::embedder::Embedder;
use self::hub::{Contents, Hub, HubOptions};
use self::serve::LanguageModel;
use self::settings::Settings;
use self::template::ChatTemplate;
use self::tokens::Tokens;
use super::{DeviceError, Format, LoadError, ModelFiles};
use crate::model::{Device, DeviceChoice, Model};

/// What MLServer's settings call it: the runtime of Hugging Face's models, and the server of ModelMesh's example.
const MODULES: [&str; 2] = ["huggingface", "peft_model_server"];

/// The format `huggingface`.
#[derive(Default)]
pub struct LanguageFormat {
    /// Of the server, for all models.
    settings: Settings,
    hub: Hub,
    bases: Bases,
}

/// A model and what reads and writes its tokens.
struct Core {
    decoder: Decoder,
    tokens: Tokens,
    /// Of those models that are trained to converse.
    template: Option<ChatTemplate>,
}

/// Bytes that nothing has taken of a CUDA device's memory.
pub(super) fn free_device_memory() -> Option<u64> {
    compute::free_memory()
}

// === impl LanguageFormat ===

impl LanguageFormat {
    /// With the settings that the environment has for all models: `PRETRAINED_MODEL_PATH`, `PEFT_MODEL_ID` and
    /// `DATASET_TEXT_COLUMN_NAME`; and with those of Hugging Face's libraries for its hub, `HF_HOME`, `HF_ENDPOINT` and
    /// their like. Without these (by default) nothing is looked up on the hub.
    ///
    /// # Errors
    /// There is no such device, or none that this build can compute on.
    pub fn of_environment(device: DeviceChoice) -> Result<Self, DeviceError> {
        let hub = Hub::new(HubOptions::of_environment());
        let bases = Bases::on(Processor::choose(device)?);
        Ok(Self { settings: Settings::of_environment(), hub, bases })
    }

    fn settings(&self, files: &ModelFiles) -> Result<Settings, LoadError> {
        let own = files.parameters.as_ref().map(|parameters| Settings::of(parameters)).transpose();
        let own = own.map_err(|reason| LoadError::Malformed(format!("model-settings.json: {reason}")))?;
        Ok(own.unwrap_or_default().or(&self.settings))
    }
}

impl Format for LanguageFormat {
    fn name(&self) -> &'static str {
        MODULES[0]
    }

    fn is_called(&self, name: &str) -> bool {
        MODULES.contains(&name)
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        match files.format.as_deref() {
            Some(format) => self.is_called(format),
            None => files.path.file_name().and_then(|name| name.to_str()).is_some_and(gguf::is_file_name),
        }
    }

    fn recognises_folder(&self, names: &[&str]) -> bool {
        names.contains(&adapter::CONFIG)
            || (names.contains(&config::FILE) && names.iter().any(|name| weights::is_file(name)))
            || gguf::is_folder_of_one(names)
    }

    fn is_of_folders(&self) -> bool {
        true
    }

    fn check(&self, files: &ModelFiles) -> Result<(), LoadError> {
        gguf::check_whole(&files.path)
    }

    fn device(&self, files: &ModelFiles) -> Device {
        // Embedders compute on the host.
        if encoder::is_in(&files.path) { Device::Cpu } else { self.bases.processor().device() }
    }

    fn expected_bytes(&self, files: &ModelFiles, stored: u64) -> u64 {
        // Then that is what is loaded, whatever else stands there.
        if [Contents::Base, Contents::Adapter].iter().any(|contents| contents.is_in_files(&files.path)) {
            return stored;
        }
        let kept = self.settings(files).unwrap_or_default().weights.unwrap_or_default();
        gguf::bits(&files.path).map_or(stored, |bits| (stored as f64 * kept.bits_of(bits) / bits) as u64)
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let settings = self.settings(files)?;
        let found = places::find(&files.path, &settings, &self.hub)?;
        if encoder::is_in(&found.base) {
            if let Some(adapter) = &found.adapter {
                return Err(LoadError::Unsupported(format!(
                    "{} is an adapter for {}, which makes embeddings: adapters are served on models that make texts; merge \
                     it into its base (PEFT's merge_and_unload) and serve what comes of that",
                    adapter.display(),
                    found.base.display()
                )));
            }
            return Ok(Arc::new(Embedder::load(&found.base, &settings)?));
        }
        gguf::check_whole(&found.base)?;
        let base = self.bases.get(&found.base, &settings)?;
        let adapter = found.adapter.map(|folder| Adapter::load(&folder, &base.core.decoder)).transpose()?;
        Ok(Arc::new(LanguageModel::new(base, adapter, settings)))
    }
}
