//! Bases: models that adapters share.
//!
//! A base is in memory once, however many models are made of it, with one thread that computes for all of them. It is
//! there as long as one of them is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Core;
use super::compute::Processor;
use super::config::Config;
use super::decoder::Decoder;
use super::engine::{Engine, EngineOptions};
use super::gguf::{self, Gguf};
use super::hub::Contents;
use super::settings::{self, Settings};
use super::template::ChatTemplate;
use super::tokens::Tokens;
use super::weights::Weights;
use crate::fingerprint::Fingerprint;
use crate::formats::LoadError;
use crate::model::SharedMemory;

/// Texts that are computed together, if nothing else is said.
const BATCH: usize = 32;
const STEP_TOKENS: usize = 512;
const QUEUE: usize = 256;
/// Positions that there is room for, if nothing else is said: of eight texts as long as the model can have them, at most so many.
const CACHED_POSITIONS: usize = 8192;
const CACHED_TEXTS: usize = 8;
/// Positions of a model that says nothing of them.
pub(super) const CONTEXT: usize = 2048;

/// A base in memory.
pub(super) struct Base {
    pub(super) core: Arc<Core>,
    pub(super) engine: Engine,
    pub(super) memory: Arc<SharedMemory>,
}

/// Those in memory.
#[derive(Default)]
pub(super) struct Bases {
    /// Where all of them compute.
    processor: Processor,
    bases: Mutex<HashMap<Key, Entry>>,
}

/// The same files, kept in the same way, are the same base.
#[derive(Clone, Eq, Hash, PartialEq)]
struct Key {
    folder: PathBuf,
    fingerprint: Fingerprint,
    weights: settings::Weights,
}

/// Held while a base is loaded, so that it is loaded once.
type Entry = Arc<Mutex<Weak<Base>>>;

// === impl Bases ===

impl Bases {
    pub(super) fn on(processor: Processor) -> Self {
        Self { processor, bases: Mutex::default() }
    }

    pub(super) fn processor(&self) -> &Processor {
        &self.processor
    }

    /// The base of this folder, loaded unless it is in memory. What limits texts counts for who comes first.
    pub(super) fn get(&self, folder: &Path, settings: &Settings) -> Result<Arc<Base>, LoadError> {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let fingerprint = Fingerprint::of([folder.as_path()]);
        let key = Key { folder, fingerprint, weights: settings.weights.unwrap_or_default() };
        let entry = {
            let mut bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
            bases.retain(|other, entry| *other == key || Arc::strong_count(entry) > 1 || is_in_memory(entry));
            bases.entry(key.clone()).or_default().clone()
        };
        let mut base = entry.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(base) = base.upgrade() {
            return Ok(base);
        }
        let loaded = Arc::new(Base::load(&key, settings, &self.processor)?);
        *base = Arc::downgrade(&loaded);
        Ok(loaded)
    }
}

fn is_in_memory(entry: &Entry) -> bool {
    entry.try_lock().map_or(true, |base| base.strong_count() > 0)
}

// === impl Base ===

impl Base {
    fn load(key: &Key, settings: &Settings, processor: &Processor) -> Result<Self, LoadError> {
        let core = Arc::new(Core::load(&key.folder, key.weights, processor)?);
        let shape = core.decoder.cache_shape();
        let context = core.decoder.config().context.unwrap_or(CONTEXT);
        let positions = (CACHED_TEXTS * context).min(CACHED_POSITIONS.max(context));
        let options = EngineOptions {
            cache_bytes: settings.cache_bytes.unwrap_or_else(|| shape.bytes(positions)),
            texts: settings.max_batch.unwrap_or(BATCH).max(1),
            positions: settings.max_step_tokens.unwrap_or(STEP_TOKENS).max(1),
            queue: settings.max_queue.unwrap_or(QUEUE),
        };
        let bytes = core.decoder.size_bytes() + core.tokens.size_bytes() + options.cache_bytes;
        let engine = Engine::start(core.clone(), options)
            .map_err(|error| LoadError::Unsupported(format!("no thread for the model: {error}")))?;
        Ok(Self { core, engine, memory: Arc::new(SharedMemory::new(bytes as u64)) })
    }
}

// === impl Core ===

impl Core {
    /// Of the model in this folder, or in this GGUF file.
    pub(super) fn load(folder: &Path, weights: settings::Weights, processor: &Processor) -> Result<Self, LoadError> {
        if !Contents::Base.is_in_files(folder)
            && let Some(file) = gguf::find(folder)
        {
            return Self::of_gguf(Gguf::open(&file)?, weights, processor);
        }
        let config = Config::read(folder)?;
        let tokens = Tokens::read(folder, config.vocabulary)?;
        let mut stored = Weights::of_model(folder)?.on(processor.clone());
        let decoder = Decoder::new(config, &mut stored, weights.kept())?;
        Ok(Self { decoder, tokens, template: ChatTemplate::read(folder) })
    }

    fn of_gguf(mut file: Gguf, weights: settings::Weights, processor: &Processor) -> Result<Self, LoadError> {
        let config = Config::of_gguf(&mut file)?;
        let tokens = Tokens::of_gguf(&file, config.vocabulary)?;
        let template = ChatTemplate::of_gguf(&file);
        let mut stored = Weights::of_gguf(file, &config)?.on(processor.clone());
        let decoder = Decoder::new(config, &mut stored, weights.kept())?;
        Ok(Self { decoder, tokens, template })
    }
}
