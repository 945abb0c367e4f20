//! Hugging Face's `config.json`, as far as it says what an encoder computes.
//!
//! BERT (Devlin et al., 2018) and those that are built like it: RoBERTa (Liu et al., 2019) and XLM-RoBERTa count positions
//! behind the padding token, DistilBERT (Sanh et al., 2019) has no types of tokens, MPNet (Song et al., 2020) adds to a score
//! what the distance says. ModernBERT (Warner et al., 2024)
//! normalises before instead of behind, rotates positions, gates its networks, and looks around only so far in most layers.

use std::ops::RangeInclusive;
use std::path::Path;

use modelway_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use super::names::{self, Names};
use crate::formats::LoadError;
use crate::formats::language::config::{self, FILE, Rotary, activation, members, wanted};

/// Families that are served, by `model_type`.
pub(in crate::formats::language) const FAMILIES: [&str; 7] =
    ["bert", "camembert", "distilbert", "modernbert", "mpnet", "roberta", "xlm-roberta"];

/// What the encoder needs to know of a model.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats::language) struct Config {
    /// `model_type`.
    pub(in crate::formats::language) family: String,
    /// What the family's tensors are called.
    pub(super) names: &'static Names,
    /// Token ids that the embedding has.
    pub(in crate::formats::language) vocabulary: usize,
    /// Width of a position.
    pub(in crate::formats::language) hidden: usize,
    /// Width inside of the feed-forward network.
    pub(super) inner: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// ε of the norms.
    pub(super) epsilon: f32,
    pub(super) activation: Activation,
    pub(super) positions: Positions,
    /// Types of tokens: a text by itself has the first.
    pub(super) types: usize,
    /// Kinds of distances that attention knows, half of them for keys behind a query; 0: it does not look at distances.
    pub(super) distances: usize,
    pub(super) bias: Biases,
    /// Tokens that a text may have.
    pub(in crate::formats::language) context: usize,
    /// How many values vectors may be cut to, where the model was trained for that.
    pub(in crate::formats::language) cuts: Option<Cuts>,
}

/// How a model knows where a token stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Positions {
    /// A vector for each of so many is added to the token's.
    Learned {
        count: usize,
        /// The token that has this very place in the table. Others begin behind it.
        padding: Option<u32>,
    },
    /// Queries and keys are rotated.
    Rotary {
        everywhere: Rotary,
        /// In layers that see only so many positions on either side, their own counted.
        windowed: Rotary,
        window: usize,
        /// Whether a layer is one of them, for each.
        layers: Vec<bool>,
    },
}

/// What has a bias.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Biases {
    pub(super) attention: bool,
    pub(super) mlp: bool,
    pub(super) norm: bool,
}

/// Lengths that vectors may be cut to: Kusupati et al., "Matryoshka Representation Learning" (2022).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::formats::language) enum Cuts {
    Any,
    To(Vec<usize>),
}

/// Members that all families have, by the names that most have for them: see [`OWN_NAMES`].
#[derive(Debug, Deserialize)]
struct Members {
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f32>,
    max_position_embeddings: Option<usize>,
    type_vocab_size: Option<usize>,
    relative_attention_num_buckets: Option<usize>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    architectures: Option<Vec<String>>,
    is_matryoshka: Option<bool>,
    matryoshka_dimensions: Option<Vec<usize>>,
}

/// ModernBERT's own.
#[derive(Debug, Deserialize)]
struct ModernMembers {
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    norm_bias: bool,
    local_attention: Option<usize>,
    global_attn_every_n_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    rope_parameters: Option<ModernRotary>,
}

/// For each kind of layer, as newer files have it.
#[derive(Debug, Deserialize)]
struct ModernRotary {
    full_attention: Option<Value>,
    sliding_attention: Option<Value>,
}

/// What a family calls a member that others call otherwise: the family, its name, that of the others.
const OWN_NAMES: [(&str, &str, &str); 7] = [
    ("distilbert", "dim", "hidden_size"),
    ("distilbert", "hidden_dim", "intermediate_size"),
    ("distilbert", "n_layers", "num_hidden_layers"),
    ("distilbert", "n_heads", "num_attention_heads"),
    ("distilbert", "activation", "hidden_act"),
    ("modernbert", "hidden_activation", "hidden_act"),
    ("modernbert", "norm_eps", "layer_norm_eps"),
];

/// What transformers takes for files that have no such member.
const EPSILON: f32 = 1e-12;
const ROBERTA_PADDING: u32 = 1;
/// Whatever the file says.
const MPNET_PADDING: u32 = 1;
const MPNET_DISTANCES: usize = 32;
/// With fewer there are none for single distances, with more none for many.
const POSSIBLE_DISTANCES: RangeInclusive<usize> = 4..=511;
const MODERN_EPSILON: f32 = 1e-5;
const MODERN_WINDOW: usize = 128;
const MODERN_EVERY: usize = 3;
const MODERN_THETAS: [f64; 2] = [160_000.0, 10_000.0];

/// Heads that make something else than embeddings.
const OTHER_HEADS: [&str; 4] =
    ["ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice"];

/// Whether the configuration in this folder is an encoder's. One that cannot be read is nobody's.
pub(in crate::formats::language) fn is_in(folder: &Path) -> bool {
    let value: Option<Value> =
        std::fs::read(folder.join(FILE)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let family = value.as_ref().and_then(|value| value.get("model_type")?.as_str());
    family.is_some_and(|family| FAMILIES.contains(&family))
}

/// A configuration in which members have the names that most families have for them. Files may have both: then a family's
/// own counts.
fn with_usual_names(family: &str, mut config: Value) -> Value {
    let Some(members) = config.as_object_mut() else { return config };
    for (of, own, usual) in OWN_NAMES {
        let Some(stated) = members.remove(own).filter(|stated| !stated.is_null()) else { continue };
        if of == family || members.get(usual).is_none_or(Value::is_null) {
            members.insert(usual.to_owned(), stated);
        }
    }
    config
}

// === impl Config ===

impl Config {
    /// The configuration of the model in this folder. `is_embedder`: something else than its architecture says that it
    /// makes embeddings.
    pub(in crate::formats::language) fn read(folder: &Path, is_embedder: bool) -> Result<Self, LoadError> {
        config::read_file(&folder.join(FILE), |members| Self::parse(members, is_embedder))
    }

    fn parse(value: Value, is_embedder: bool) -> Result<Self, LoadError> {
        let unsupported = |text: String| Err(LoadError::Unsupported(text));
        let family = value.get("model_type").and_then(Value::as_str).unwrap_or("none").to_owned();
        let members: Members = members(with_usual_names(&family, value.clone()))?;
        if members.is_decoder {
            return unsupported("is_decoder: expected false: as a decoder this family is not served".to_owned());
        }
        let other = |name: &&String| OTHER_HEADS.iter().any(|head| name.ends_with(head));
        if let Some(name) = members.architectures.iter().flatten().find(other).filter(|_| !is_embedder) {
            let text = format!("architectures: '{name}' does not make embeddings, which is what is served of {family}");
            return unsupported(text);
        }
        let hidden = wanted("hidden_size (or dim)", members.hidden_size)?;
        let heads = wanted("num_attention_heads (or n_heads)", members.num_attention_heads)?;
        if !hidden.is_multiple_of(heads) {
            let text = format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}");
            return Err(LoadError::Malformed(text));
        }
        let layers = wanted("num_hidden_layers (or n_layers)", members.num_hidden_layers)?;
        let count = wanted("max_position_embeddings", members.max_position_embeddings)?;
        let learned = |padding: Option<u32>| Positions::Learned { count, padding };
        let mut bias = Biases { attention: true, mlp: true, norm: true };
        let (names, positions, types, epsilon) = match family.as_str() {
            "bert" => (&names::BERT, learned(None), members.type_vocab_size.unwrap_or(2), EPSILON),
            "distilbert" => (&names::DISTILBERT, learned(None), 0, EPSILON),
            "mpnet" => (&names::MPNET, learned(Some(MPNET_PADDING)), 0, EPSILON),
            "modernbert" => {
                let own: ModernMembers = config::members(value)?;
                bias = Biases { attention: own.attention_bias, mlp: own.mlp_bias, norm: own.norm_bias };
                (&names::MODERNBERT, own.positions(hidden / heads, layers)?, 0, MODERN_EPSILON)
            }
            _ => {
                let padding = members.pad_token_id.unwrap_or(ROBERTA_PADDING);
                (&names::BERT, learned(Some(padding)), members.type_vocab_size.unwrap_or(2), EPSILON)
            }
        };
        // Others have the member, too, and do not look at it: ModernBERT's files say sans_pos.
        let is_learned = matches!(positions, Positions::Learned { .. });
        let kind = members.position_embedding_type.as_deref().filter(|kind| is_learned && *kind != "absolute");
        if let Some(kind) = kind {
            return unsupported(format!("position_embedding_type: expected absolute, got '{kind}'"));
        }
        let distances = match names.distances {
            Some(_) => members.relative_attention_num_buckets.unwrap_or(MPNET_DISTANCES),
            None => 0,
        };
        if names.distances.is_some() && !POSSIBLE_DISTANCES.contains(&distances) {
            let (least, most) = (POSSIBLE_DISTANCES.start(), POSSIBLE_DISTANCES.end());
            return unsupported(format!("relative_attention_num_buckets: expected {least} to {most}, got {distances}"));
        }
        let context = match &positions {
            Positions::Learned { padding: Some(padding), .. } => count.saturating_sub(*padding as usize + 1),
            _ => count,
        };
        let context = wanted("max_position_embeddings, less those up to padding", Some(context))?;
        Ok(Self {
            names,
            vocabulary: wanted("vocab_size", members.vocab_size)?,
            hidden,
            inner: wanted("intermediate_size (or hidden_dim)", members.intermediate_size)?,
            layers,
            heads,
            epsilon: if family == "distilbert" { EPSILON } else { members.layer_norm_eps.unwrap_or(epsilon) },
            activation: activation("hidden_act", members.hidden_act.as_deref().unwrap_or("gelu"))?,
            positions,
            types,
            distances,
            bias,
            context,
            cuts: Cuts::read(members.is_matryoshka, members.matryoshka_dimensions),
            family,
        })
    }
}

// === impl ModernMembers ===

impl ModernMembers {
    fn positions(&self, head_width: usize, count: usize) -> Result<Positions, LoadError> {
        let thetas = [self.global_rope_theta, self.local_rope_theta];
        let stated = self.rope_parameters.as_ref();
        let stated =
            [stated.and_then(|own| own.full_attention.clone()), stated.and_then(|own| own.sliding_attention.clone())];
        let rotary = |theta: Option<f64>, stated: Option<Value>, usual: f64| {
            Rotary::read_stated(stated, head_width, theta.unwrap_or(usual))
        };
        let [global_theta, local_theta] = thetas;
        let [full, sliding] = stated;
        let every = self.global_attn_every_n_layers.unwrap_or(MODERN_EVERY).max(1);
        let layers = match &self.layer_types {
            None => (0..count).map(|layer| !layer.is_multiple_of(every)).collect(),
            Some(types) if types.len() == count => {
                types.iter().map(|kind| config::is_windowed(kind)).collect::<Result<_, _>>()?
            }
            Some(types) => {
                return Err(LoadError::Malformed(format!("layer_types: expected {count}, got {}", types.len())));
            }
        };
        Ok(Positions::Rotary {
            everywhere: rotary(global_theta, full, MODERN_THETAS[0])?,
            windowed: rotary(local_theta, sliding, MODERN_THETAS[1])?,
            window: self.local_attention.unwrap_or(MODERN_WINDOW) / 2 + 1,
            layers,
        })
    }
}

// === impl Cuts ===

impl Cuts {
    /// By the names that vLLM and sentence-transformers' configurations have for them.
    pub(in crate::formats::language) fn read(is_any: Option<bool>, to: Option<Vec<usize>>) -> Option<Self> {
        match to {
            Some(to) if !to.is_empty() => Some(Self::To(to)),
            _ => (is_any == Some(true)).then_some(Self::Any),
        }
    }
}
