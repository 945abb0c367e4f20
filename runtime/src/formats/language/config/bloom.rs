//! BLOOM: layer norms, ALiBi, one layer for queries, keys and values, a bias everywhere.
//!
//! Older checkpoints (bigscience's own) and what transformers writes today spell several members differently; both are
//! read. Scao et al., "BLOOM: A 176B-Parameter Open-Access Multilingual Language Model" (2022).

use modelway_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Biases, Caps, Config, Ids, Names, Norm, Positions, QueryKeyValue, Widen, attention_scale, members, wanted,
};
use crate::formats::LoadError;

static NAMES: Names = Names {
    embedding: "word_embeddings",
    embedding_norm: Some("word_embeddings_layernorm"),
    blocks: "h",
    before_attention: "input_layernorm",
    query_key_value: QueryKeyValue::ByHead("self_attention.query_key_value"),
    head_norms: ["", ""],
    attention_out: "self_attention.dense",
    after_attention: None,
    before_mlp: Some("post_attention_layernorm"),
    widen: Widen::Plain("mlp.dense_h_to_4h"),
    narrow: "mlp.dense_4h_to_h",
    after_mlp: None,
    last_norm: "ln_f",
    head: "lm_head",
};

#[derive(Debug, Deserialize)]
struct Members {
    vocab_size: Option<usize>,
    #[serde(alias = "n_embed")]
    hidden_size: Option<usize>,
    #[serde(alias = "num_hidden_layers")]
    n_layer: Option<usize>,
    #[serde(alias = "num_attention_heads")]
    n_head: Option<usize>,
    layer_norm_epsilon: Option<f32>,
    #[serde(default)]
    apply_residual_connection_post_layernorm: bool,
    seq_length: Option<usize>,
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
    tie_word_embeddings: Option<bool>,
}

pub(super) fn read(config: Value) -> Result<Config, LoadError> {
    let members: Members = members(config)?;
    if members.tie_word_embeddings == Some(false) {
        let text = "tie_word_embeddings: expected true, as BLOOM has it, got false";
        return Err(LoadError::Unsupported(text.to_owned()));
    }
    let hidden = wanted("hidden_size (or n_embed)", members.hidden_size)?;
    let heads = wanted("n_head (or num_attention_heads)", members.n_head)?;
    if !hidden.is_multiple_of(heads) {
        return Err(LoadError::Malformed(format!("hidden_size {hidden} is no multiple of n_head {heads}")));
    }
    Ok(Config {
        family: "bloom".to_owned(),
        names: &NAMES,
        vocabulary: wanted("vocab_size", members.vocab_size)?,
        hidden,
        inner: 4 * hidden,
        layers: wanted("n_layer", members.n_layer)?,
        heads,
        kv_heads: heads,
        head_width: hidden / heads,
        norm: Norm::Layer(members.layer_norm_epsilon.unwrap_or(1e-5)),
        positions: Positions::Alibi,
        activation: Activation::GeluTanh,
        has_head_norms: false,
        bias: Biases { query_key_value: true, attention_out: true, mlp: true, head: false },
        embedding_scale: None,
        attention_scale: attention_scale(hidden / heads),
        caps: Caps::default(),
        window: None,
        is_tied: true,
        is_residual_after_norm: members.apply_residual_connection_post_layernorm,
        context: members.seq_length,
        ends: Ids::all(members.eos_token_id),
        padding: members.pad_token_id,
    })
}
