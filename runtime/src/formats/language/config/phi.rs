//! Phi 1 to 2: attention and feed-forward network take the same norm of what comes in, and are added at once; a part
//! of each head is rotated; a bias everywhere, the head's included. Phi 3 is another family, see [`super::llama`].
//!
//! Li et al., "Textbooks Are All You Need II: phi-1.5 technical report" (2023).

use serde::Deserialize;
use serde_json::Value;

use super::rotary::{self, Rotary};
use super::{
    Biases, Caps, Config, Ids, Names, Norm, Positions, QueryKeyValue, Widen, activation, attention_scale, members,
    names, wanted,
};
use crate::formats::LoadError;

static NAMES: Names = NAMED;

/// The same with one layer for queries, keys and values, as early files of llama.cpp's converter have it.
pub(super) static FUSED: Names = Names { query_key_value: QueryKeyValue::Fused("self_attn.qkv_proj"), ..NAMED };

const NAMED: Names = Names {
    head_norms: ["self_attn.q_layernorm", "self_attn.k_layernorm"],
    attention_out: "self_attn.dense",
    before_mlp: None,
    widen: Widen::Plain("mlp.fc1"),
    narrow: "mlp.fc2",
    last_norm: "final_layernorm",
    ..names::LLAMA
};

/// The part of a head that is rotated, in files that do not say it.
const ROTATED: f64 = 0.5;

#[derive(Debug, Deserialize)]
struct Members {
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    layer_norm_eps: Option<f32>,
    hidden_act: Option<String>,
    #[serde(default)]
    qk_layernorm: bool,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
}

pub(super) fn read(config: Value) -> Result<Config, LoadError> {
    let mut rope: rotary::Members = members(config.clone())?;
    rope.partial_rotary_factor = rope.partial_rotary_factor.or(Some(ROTATED));
    let members: Members = members(config)?;
    let hidden = wanted("hidden_size", members.hidden_size)?;
    let heads = wanted("num_attention_heads", members.num_attention_heads)?;
    if !hidden.is_multiple_of(heads) {
        let text = format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}");
        return Err(LoadError::Malformed(text));
    }
    let head_width = hidden / heads;
    Ok(Config {
        family: "phi".to_owned(),
        names: &NAMES,
        vocabulary: wanted("vocab_size", members.vocab_size)?,
        hidden,
        inner: wanted("intermediate_size", members.intermediate_size)?,
        layers: wanted("num_hidden_layers", members.num_hidden_layers)?,
        heads,
        kv_heads: members.num_key_value_heads.unwrap_or(heads),
        head_width,
        norm: Norm::Layer(members.layer_norm_eps.unwrap_or(1e-5)),
        positions: Positions::Rotary(Rotary::read(&rope, head_width, 10_000.0)?),
        activation: activation("hidden_act", members.hidden_act.as_deref().unwrap_or("gelu_new"))?,
        has_head_norms: members.qk_layernorm,
        bias: Biases { query_key_value: true, attention_out: true, mlp: true, head: true },
        embedding_scale: None,
        attention_scale: attention_scale(head_width),
        caps: Caps::default(),
        window: None,
        is_tied: members.tie_word_embeddings,
        is_residual_after_norm: false,
        context: members.max_position_embeddings,
        ends: Ids::all(members.eos_token_id),
        padding: members.pad_token_id,
    })
}
