//! Hugging Face's `config.json`, as far as it says what a decoder computes.
//!
//! Each family has its own names for the same things, see [`bloom`], [`llama`], [`gemma`] and [`phi`]; what they say in
//! common is a [`Config`]. Unknown members are ignored, a missing one is told by its name, and one that changes the
//! computation in a way that is not served is refused.

mod bloom;
mod gemma;
mod generation;
mod gguf;
mod llama;
mod names;
mod phi;
mod rotary;
mod window;

use std::path::Path;

use modelway_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use self::generation::Generation;
pub(super) use self::names::{Names, QueryKeyValue, Widen};
pub(super) use self::rotary::Rotary;
pub(super) use self::window::{Window, is_windowed};
use super::encoder;
use super::gguf::Gguf;
use crate::formats::LoadError;

/// The file's name in a model's folder.
pub(super) const FILE: &str = "config.json";

/// Families that are served, by `model_type`.
const FAMILIES: [&str; 10] =
    ["bloom", "gemma", "gemma2", "gemma3_text", "llama", "mistral", "phi", "phi3", "qwen2", "qwen3"];

/// What the decoder needs to know of a model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    /// `model_type`.
    pub(super) family: String,
    /// What the family's tensors are called.
    pub(super) names: &'static Names,
    /// Token ids that the embedding has.
    pub(super) vocabulary: usize,
    /// Width of a position.
    pub(super) hidden: usize,
    /// Width inside of the feed-forward network.
    pub(super) inner: usize,
    pub(super) layers: usize,
    /// Of queries.
    pub(super) heads: usize,
    /// Of keys and values: as many, or fewer, each for a group of queries.
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) norm: Norm,
    pub(super) positions: Positions,
    pub(super) activation: Activation,
    /// Whether queries and keys are normalised, each head by itself.
    pub(super) has_head_norms: bool,
    pub(super) bias: Biases,
    /// What the vectors of tokens are multiplied with.
    pub(super) embedding_scale: Option<f32>,
    /// What the product of a query and a key is multiplied with.
    pub(super) attention_scale: f32,
    pub(super) caps: Caps,
    /// Layers of which a query does not see all positions before it.
    pub(super) window: Option<Window>,
    /// Whether the embedding is the head, too.
    pub(super) is_tied: bool,
    /// Whether a block adds what its norm gave, instead of what came into it.
    pub(super) is_residual_after_norm: bool,
    /// Positions that the model was made for.
    pub(super) context: Option<usize>,
    /// Tokens that end a text, where the settings name no others.
    pub(super) ends: Vec<u32>,
    /// What fills short texts up in training: with it ends what was trained to end so.
    pub(super) padding: Option<u32>,
}

/// How positions are normalised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Norm {
    /// Mean and variance, with scale and shift, of this ε.
    Layer(f32),
    /// Root of the mean square, with scale, of this ε.
    Rms(f32),
    /// The same, the scale stored less 1.
    RmsFromOne(f32),
}

/// Soft bounds: `cap · tanh(score / cap)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Caps {
    /// Of a query times a key.
    pub(super) attention: Option<f32>,
    /// Of the scores of tokens.
    pub(super) scores: Option<f32>,
}

/// How a model knows where a token stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Positions {
    /// Attention falls with the distance.
    Alibi,
    /// Queries and keys are rotated.
    Rotary(Rotary),
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Biases {
    pub(super) query_key_value: bool,
    pub(super) attention_out: bool,
    pub(super) mlp: bool,
    pub(super) head: bool,
}

/// One id, or several of which any ends a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

// === impl Config ===

impl Config {
    /// The configuration of the model in this folder.
    pub(super) fn read(folder: &Path) -> Result<Self, LoadError> {
        let path = folder.join(FILE);
        let text =
            std::fs::read(&path).map_err(|error| LoadError::Read { path: path.clone(), reason: error.to_string() })?;
        let mut config = Self::parse(&text).map_err(|error| error.in_file(&path))?;
        if let Some(generation) = Generation::read(folder)? {
            generation.goes_before(&mut config);
        }
        Ok(config)
    }

    /// The configuration of the model in a GGUF file, which keeps the tensors that are not a part of it.
    pub(super) fn of_gguf(file: &mut Gguf) -> Result<Self, LoadError> {
        gguf::read(file)
    }

    fn parse(text: &[u8]) -> Result<Self, LoadError> {
        let members: Value = serde_json::from_slice(text).map_err(|error| LoadError::Malformed(error.to_string()))?;
        let family = members.get("model_type").and_then(Value::as_str).unwrap_or("none").to_owned();
        if members.get("quantization_config").is_some_and(|quantised| !quantised.is_null()) {
            let text = "quantization_config: expected null: the weights in f32, f16 or bf16. \
                        The setting weights: int8 makes them smaller when they are loaded";
            return Err(LoadError::Unsupported(text.to_owned()));
        }
        let config = match family.as_str() {
            "bloom" => bloom::read(members)?,
            "gemma" | "gemma2" | "gemma3_text" => gemma::read(&family, members)?,
            "llama" | "mistral" | "phi3" | "qwen2" | "qwen3" => llama::read(&family, members)?,
            "phi" => phi::read(members)?,
            other => {
                let (texts, vectors) = (FAMILIES.join(", "), encoder::FAMILIES.join(", "));
                let text = format!("model_type: expected one of {texts}, or, for embeddings, {vectors}, got '{other}'");
                return Err(LoadError::Unsupported(text));
            }
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), LoadError> {
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            let text = format!("{} heads of queries are no multiple of {} of keys", self.heads, self.kv_heads);
            return Err(LoadError::Malformed(text));
        }
        if let Positions::Rotary(rotary) = &self.positions
            && rotary.width() > self.head_width
        {
            let text = format!("{} values of a head are rotated, it has {}", rotary.width(), self.head_width);
            return Err(LoadError::Malformed(text));
        }
        Ok(())
    }
}

/// What the JSON of a file says; errors name the file.
pub(super) fn read_file<T>(path: &Path, read: impl FnOnce(Value) -> Result<T, LoadError>) -> Result<T, LoadError> {
    let text = std::fs::read(path);
    let text = text.map_err(|error| LoadError::Read { path: path.to_owned(), reason: error.to_string() })?;
    let value = serde_json::from_slice(&text).map_err(|error| LoadError::Malformed(error.to_string()));
    value.and_then(read).map_err(|error| error.in_file(path))
}

/// What a query times a key is multiplied with, if a family says nothing else.
fn attention_scale(head_width: usize) -> f32 {
    (head_width as f32).sqrt().recip()
}

/// An activation, by transformers' name for it.
pub(super) fn activation(name: &str, value: &str) -> Result<Activation, LoadError> {
    match value {
        "silu" | "swish" => Ok(Activation::Silu),
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            let text = format!("{name}: expected silu, gelu, gelu_pytorch_tanh or relu, got '{other}'");
            Err(LoadError::Unsupported(text))
        }
    }
}

// === impl Ids ===

impl Ids {
    fn all(ids: Option<Self>) -> Vec<u32> {
        match ids {
            Some(Self::One(id)) => vec![id],
            Some(Self::Several(ids)) => ids,
            None => Vec::new(),
        }
    }
}

pub(super) fn wanted(name: &str, value: Option<usize>) -> Result<usize, LoadError> {
    match value {
        Some(value) if value > 0 => Ok(value),
        Some(_) => Err(LoadError::Malformed(format!("{name}: expected at least 1, got 0"))),
        None => Err(LoadError::Malformed(format!("{name} is missing"))),
    }
}

pub(super) fn members<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, LoadError> {
    serde_json::from_value(value).map_err(|error| LoadError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests;
