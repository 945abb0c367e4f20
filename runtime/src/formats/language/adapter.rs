//! PEFT's adapters: what was learned beside a base model that stays as it is.
//!
//! - Prompt tuning and P-tuning: vectors that stand before every text, in the place of token embeddings.
//! - Prefix tuning: keys and values that stand before every text, ready for each layer.
//! - LoRA: a change of low rank to linear layers.
//!
//! The first two end as keys and values, too: they are the same for every text, so they are computed once.
//! Files: `adapter_config.json`, `adapter_model.safetensors` or `adapter_model.bin`.

use std::path::{Path, PathBuf};

use modelway_kernels::Heads;
use serde::Deserialize;
use serde_json::Value;

use super::cache::Cache;
use super::decoder::{Decoder, LowRank, New, Row, Site, StepError, Target};
use super::weights::Weights;
use crate::formats::LoadError;

/// What says that a folder is an adapter.
pub(super) const CONFIG: &str = "adapter_config.json";
/// The weights, the first that is there.
pub(super) const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// What PEFT writes before the names of the base's modules.
const BASE: &str = "base_model.model.";

/// An adapter for one decoder.
pub(super) struct Adapter {
    /// What stands before every text.
    before: Option<Cache>,
    /// The scores of what begins a text. Keys and values alone have none.
    first_scores: Option<Vec<f32>>,
    low_rank: Option<LowRank>,
}

/// `adapter_config.json`; members that say nothing of inference are ignored.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    peft_type: String,
    task_type: Option<String>,
    /// The base, as a folder or as a name on the hub.
    pub(super) base_model_name_or_path: Option<String>,
    /// Of the base, on the hub.
    pub(super) revision: Option<String>,
    num_virtual_tokens: Option<usize>,
    num_transformer_submodules: Option<usize>,
    #[serde(default)]
    prefix_projection: bool,
    r: Option<usize>,
    lora_alpha: Option<f64>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    fan_in_fan_out: bool,
    bias: Option<String>,
    #[serde(default)]
    rank_pattern: Value,
    #[serde(default)]
    alpha_pattern: Value,
    #[serde(default)]
    modules_to_save: Value,
}

// === impl Config ===

impl Config {
    /// The configuration of the adapter in this folder.
    pub(super) fn read(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(CONFIG);
        let text =
            std::fs::read(&path).map_err(|error| LoadError::Read { path: path.clone(), reason: error.to_string() })?;
        let config: Self = serde_json::from_slice(&text)
            .map_err(|error| LoadError::Malformed(format!("{}: {error}", path.display())))?;
        config.check().map_err(|reason| LoadError::Unsupported(format!("{}: {reason}", path.display())))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(task) = self.task_type.as_deref().filter(|task| *task != "CAUSAL_LM") {
            return Err(format!("task_type: expected CAUSAL_LM, got {task}"));
        }
        if self.num_transformer_submodules.is_some_and(|number| number != 1) {
            return Err("num_transformer_submodules: expected 1".to_owned());
        }
        let is_set = |value: &Value| match value {
            Value::Null => false,
            Value::Array(values) => !values.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        };
        let refused = [
            ("modules_to_save", is_set(&self.modules_to_save)),
            ("rank_pattern", is_set(&self.rank_pattern)),
            ("alpha_pattern", is_set(&self.alpha_pattern)),
            ("use_dora", self.use_dora),
            ("fan_in_fan_out", self.fan_in_fan_out),
            ("bias", self.bias.as_deref().is_some_and(|bias| bias != "none")),
        ];
        match refused.into_iter().find(|(_, is_set)| *is_set) {
            Some((name, _)) => Err(format!("{name} is set, which is not served")),
            None => Ok(()),
        }
    }

    fn virtual_tokens(&self) -> Result<usize, String> {
        self.num_virtual_tokens.filter(|count| *count > 0).ok_or("num_virtual_tokens is missing".to_owned())
    }
}

// === impl Adapter ===

impl Adapter {
    /// The adapter in this folder, made for this decoder.
    pub(super) fn load(folder: &Path, decoder: &Decoder) -> Result<Self, LoadError> {
        let config = Config::read(folder)?;
        let path = weights_file(folder)?;
        let mut weights = Weights::of_file(&path)?;
        match config.peft_type.as_str() {
            "PROMPT_TUNING" | "P_TUNING" => {
                let count = config.virtual_tokens().map_err(|reason| in_config(folder, &reason))?;
                let vectors = weights.take("prompt_embeddings", &[count, decoder.config().hidden])?;
                let (before, scores) =
                    run_before(decoder, &vectors).map_err(|error| weights.malformed(&error.to_string()))?;
                Ok(Self { before: Some(before), first_scores: Some(scores), low_rank: None })
            }
            "PREFIX_TUNING" => {
                let count = config.virtual_tokens().map_err(|reason| in_config(folder, &reason))?;
                if config.prefix_projection && weights.names().iter().any(|name| name.contains("transform")) {
                    return Err(in_config(
                        folder,
                        "prefix_projection: expected the projected prefix, as PEFT saves it",
                    ));
                }
                let base = decoder.config();
                let width = base.kv_heads * base.head_width;
                let saved = weights.take("prompt_embeddings", &[count, 2 * base.layers * width])?;
                let before =
                    split_prefix(decoder, &saved, count).map_err(|error| weights.malformed(&error.to_string()))?;
                Ok(Self { before: Some(before), first_scores: None, low_rank: None })
            }
            "LORA" => {
                let low_rank = low_rank(&config, &mut weights, decoder)?;
                Ok(Self { before: None, first_scores: None, low_rank: Some(low_rank) })
            }
            other => Err(in_config(
                folder,
                &format!("peft_type: expected PROMPT_TUNING, P_TUNING, PREFIX_TUNING or LORA, got {other}"),
            )),
        }
    }

    /// The cache of a text for this adapter.
    pub(super) fn cache(&self, decoder: &Decoder) -> Cache {
        self.before.clone().unwrap_or_else(|| decoder.cache_shape().empty())
    }

    /// The scores of what follows an empty prompt.
    pub(super) fn first_scores(&self) -> Option<&[f32]> {
        self.first_scores.as_deref()
    }

    pub(super) fn low_rank(&self) -> Option<&LowRank> {
        self.low_rank.as_ref()
    }

    /// Positions that it takes from every text.
    pub(super) fn positions(&self) -> usize {
        self.before.as_ref().map_or(0, Cache::length)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.before.as_ref().map_or(0, Cache::size_bytes) + self.low_rank.as_ref().map_or(0, LowRank::size_bytes)
    }
}

fn weights_file(folder: &Path) -> Result<PathBuf, LoadError> {
    let found = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        LoadError::Unsupported(format!("no weights in {}, expected {}", folder.display(), WEIGHTS.join(" or ")))
    })
}

fn in_config(folder: &Path, reason: &str) -> LoadError {
    LoadError::Unsupported(format!("{}: {reason}", folder.join(CONFIG).display()))
}

/// Keys and values of vectors that stand before every text.
fn run_before(decoder: &Decoder, vectors: &[f32]) -> Result<(Cache, Vec<f32>), StepError> {
    let mut cache = decoder.cache_shape().empty();
    let row = Row { new: New::Vectors(vectors), cache: &mut cache, low_rank: None, wants_scores: true };
    let scores = decoder.step(&mut [row])?;
    let scores = scores.rows().next().unwrap_or_default().to_vec();
    Ok((cache, scores))
}

/// `[positions, 2·layers·width]`, in which keys and values of the layers take turns.
fn split_prefix(decoder: &Decoder, saved: &[f32], count: usize) -> Result<Cache, StepError> {
    let base = decoder.config();
    let width = base.kv_heads * base.head_width;
    let heads = |index: usize| {
        let values = saved.get(index * width..).unwrap_or_default();
        Heads { values, row_stride: 2 * base.layers * width, head_stride: base.head_width }
    };
    let mut cache = decoder.cache_shape().empty();
    for layer in 0..base.layers {
        cache.append(layer, count, heads(2 * layer), heads(2 * layer + 1))?;
    }
    Ok(cache)
}

fn low_rank(config: &Config, weights: &mut Weights, decoder: &Decoder) -> Result<LowRank, LoadError> {
    let (Some(rank), Some(alpha)) = (config.r.filter(|rank| *rank > 0), config.lora_alpha) else {
        return Err(weights.malformed("adapter_config.json has no r or no lora_alpha"));
    };
    let root = if config.use_rslora { (rank as f64).sqrt() } else { rank as f64 };
    let scale = alpha / root;
    let mut low_rank = LowRank::default();
    let base = decoder.config();
    for block in 0..base.layers {
        for target in Site::ALL.into_iter().flat_map(|site| Target::of(site, base)) {
            let Some(name) = lora_name(weights, base, block, target.name) else { continue };
            let a = weights.take(&name("lora_A"), &[rank, target.inputs])?;
            let b = weights.take(&name("lora_B"), &[target.outputs, rank])?;
            low_rank
                .add(decoder.processor(), block, &target, (&a, &b), (rank, scale))
                .map_err(|reason| weights.malformed(&format!("'{}': {reason}", name("lora_A"))))?;
        }
    }
    if let Some(name) = weights.names().first() {
        return Err(weights.malformed(&format!("the tensor '{name}' changes nothing that this base has")));
    }
    if low_rank.is_empty() {
        return Err(weights.malformed("it changes no layer"));
    }
    Ok(low_rank)
}

/// The names of a layer's two matrices, if the adapter changes it. The base's own prefix stands in them as in its files.
fn lora_name(
    weights: &Weights,
    base: &super::config::Config,
    block: usize,
    layer: &str,
) -> Option<impl Fn(&str) -> String + use<>> {
    let blocks = base.names.blocks;
    let names = ["transformer.", "model.", ""].map(|prefix| format!("{BASE}{prefix}{blocks}.{block}.{layer}"));
    let found = names.into_iter().find(|name| weights.has(&format!("{name}.lora_A.weight")))?;
    Some(move |matrix: &str| format!("{found}.{matrix}.weight"))
}
