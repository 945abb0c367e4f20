//! Llama and those that are built like it (Mistral, Phi 3, Qwen 2, Qwen 3): root mean square norms, rotary positions,
//! gated feed-forward networks, fewer heads of keys than of queries.
//!
//! Touvron et al., "LLaMA: Open and Efficient Foundation Language Models" (2023); Jiang et al., "Mistral 7B" (2023);
//! the configurations of transformers name the differences.

use serde::Deserialize;
use serde_json::Value;

use super::rotary::{self, Rotary};
use super::{
    Biases, Caps, Config, Ids, Names, Norm, Positions, QueryKeyValue, Widen, Window, activation, attention_scale,
    members, names, wanted,
};
use crate::formats::LoadError;

static NAMES: Names = names::LLAMA;

/// Phi 3's: what has the same input is one layer.
static FUSED: Names = Names {
    query_key_value: QueryKeyValue::Fused("self_attn.qkv_proj"),
    widen: Widen::Fused("mlp.gate_up_proj"),
    ..names::LLAMA
};

/// What transformers takes for Mistral and Qwen files that have no such member; null is no window.
const WINDOW: usize = 4096;
/// The same of Qwen's first layer with a window.
const FIRST_WINDOWED: usize = 28;

#[derive(Debug, Deserialize)]
struct Members {
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    sliding_window: Option<usize>,
    #[serde(default)]
    use_sliding_window: bool,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
}

pub(super) fn read(family: &str, config: Value) -> Result<Config, LoadError> {
    let rope: rotary::Members = members(config.clone())?;
    let says_window = config.get("sliding_window").is_some();
    let members: Members = members(config)?;
    let hidden = wanted("hidden_size", members.hidden_size)?;
    let heads = wanted("num_attention_heads", members.num_attention_heads)?;
    let layers = wanted("num_hidden_layers", members.num_hidden_layers)?;
    let head_width =
        wanted("head_dim (or hidden_size / num_attention_heads)", members.head_dim.or(Some(hidden / heads)))?;
    let has_bias = members.attention_bias;
    let bias = match family {
        "qwen2" => Biases { query_key_value: true, ..Biases::default() },
        "qwen3" => Biases { query_key_value: has_bias, attention_out: has_bias, ..Biases::default() },
        "mistral" | "phi3" => Biases::default(),
        _ => Biases { query_key_value: has_bias, attention_out: has_bias, mlp: members.mlp_bias, head: false },
    };
    let stated = if says_window { members.sliding_window } else { Some(WINDOW) };
    let layer_types = members.layer_types.as_deref();
    let window = match family {
        "mistral" => Window::read(stated, layers, None, |_| true)?,
        "phi3" => Window::read(members.sliding_window, layers, None, |_| true)?,
        // Qwen's files name a window that they do not use, unless they say so.
        "qwen2" | "qwen3" if members.use_sliding_window => {
            let first = members.max_window_layers.unwrap_or(FIRST_WINDOWED);
            Window::read(stated, layers, layer_types, |layer| layer >= first)?
        }
        _ => None,
    };
    let epsilon = if family == "phi3" { 1e-5 } else { 1e-6 };
    let rotary = Rotary::read(&rope, head_width, 10_000.0)?;
    let context = rotary.context.or(members.max_position_embeddings);
    Ok(Config {
        family: family.to_owned(),
        names: if family == "phi3" { &FUSED } else { &NAMES },
        vocabulary: wanted("vocab_size", members.vocab_size)?,
        hidden,
        inner: wanted("intermediate_size", members.intermediate_size)?,
        layers,
        heads,
        kv_heads: members.num_key_value_heads.unwrap_or(heads),
        head_width,
        norm: Norm::Rms(members.rms_norm_eps.unwrap_or(epsilon)),
        positions: Positions::Rotary(rotary),
        activation: activation("hidden_act", members.hidden_act.as_deref().unwrap_or("silu"))?,
        has_head_norms: family == "qwen3",
        bias,
        embedding_scale: None,
        attention_scale: attention_scale(head_width),
        caps: Caps::default(),
        window,
        is_tied: members.tie_word_embeddings,
        is_residual_after_norm: false,
        context,
        ends: Ids::all(members.eos_token_id),
        padding: members.pad_token_id,
    })
}
