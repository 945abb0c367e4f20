//! Models that make vectors of texts, as sentence-transformers saves them: an encoder, and modules behind it.
//!
//! ```text
//! text ─ tokens ─▶ queue ─▶ encoder ─▶ pooling, dense layers, length ─▶ vector
//! ```
//!
//! A folder without sentence-transformers' files is taken as that library takes it: the mean of all tokens.

mod modules;
mod pooling;
mod queue;
mod reading;
mod serve;
mod turns;

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use self::modules::Modules;
use self::queue::{Queue, QueueOptions};
use self::reading::Reader;
pub(super) use self::serve::Embedder;
use super::compute::Processor;
use super::config::read_file;
use super::encoder::{Config, Cuts, Encoder, StepError};
use super::settings::Settings;
use super::tokens::Tokens;
use super::weights::Weights;
use crate::formats::LoadError;

/// Which modules there are, in which folders.
pub(super) const MODULES: &str = "modules.json";
/// What sentence-transformers keeps of a model besides.
pub(super) const SETTINGS: &str = "config_sentence_transformers.json";
/// How texts are read; early releases named it after the model's kind.
pub(super) const READING: [&str; 5] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
];

/// New positions in one step, if nothing else is said: enough for the weights to be read once for all of them.
const STEP_TOKENS: usize = 1024;
/// Requests that may wait.
const QUEUE: usize = 256;

/// What makes vectors of tokens.
struct Core {
    encoder: Encoder,
    modules: Modules,
}

/// Of [`SETTINGS`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Saved {
    prompts: std::collections::BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
}

// === impl Embedder ===

impl Embedder {
    /// Of the model in this folder.
    pub(super) fn load(folder: &Path, settings: &Settings) -> Result<Self, LoadError> {
        let listed = folder.join(MODULES).is_file();
        let config = Config::read(folder, listed)?;
        let tokens = (Tokens::read(folder, config.vocabulary)?.of_any_length()?, config.vocabulary);
        let modules = if listed { Modules::read(folder, config.hidden)? } else { Modules::mean(config.hidden) };
        let path = folder.join(SETTINGS);
        let saved: Saved = if path.is_file() { read_file(&path, super::config::members)? } else { Saved::default() };
        let reader = Reader::new(folder, tokens, config.context, settings.context_length, &saved)?;
        let cuts = match &settings.matryoshka_dimensions {
            Some(to) => Cuts::read(None, Some(to.clone())),
            None => config.cuts.clone(),
        };
        let family = config.family.clone();
        let kept = settings.weights.unwrap_or_default().kept();
        let encoder = Encoder::new(config, Weights::of_model(folder)?, kept)?;
        let core = Arc::new(Core { encoder, modules });
        let options = QueueOptions {
            positions: settings.max_step_tokens.unwrap_or(STEP_TOKENS).max(1),
            requests: settings.max_queue.unwrap_or(QUEUE),
        };
        let queue = Queue::start(core.clone(), options)
            .map_err(|error| LoadError::Unsupported(format!("no thread for the model: {error}")))?;
        Ok(Self::new(&family, (core, reader, queue), cuts, saved.truncate_dim, settings))
    }
}

// === impl Core ===

impl Core {
    /// A vector for each of these texts, one after the other.
    fn vectors(&self, texts: &[&[u32]]) -> Result<Vec<f32>, StepError> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        Processor::Host.run(|| Ok(self.modules.apply(&self.encoder.encode(texts)?, &lengths)?))
    }

    fn size_bytes(&self) -> usize {
        self.encoder.size_bytes() + self.modules.size_bytes()
    }
}
