//! Llama and those that are built like it (Mistral, Qwen 2, Qwen 3): root mean square norms, rotary positions, gated
//! feed-forward networks, fewer heads of keys than of queries.
//!
//! Touvron et al., "LLaMA: Open and Efficient Foundation Language Models" (2023); Jiang et al., "Mistral 7B" (2023);
//! the configurations of transformers name the differences.

use modelway_kernels::Activation;
use serde::Deserialize;
use serde_json::Value;

use super::rotary::{self, Rotary};
use super::{Biases, Config, Ids, Names, Norm, Positions, QueryKeyValue, Widen, members, wanted};
use crate::formats::LoadError;

static NAMES: Names = Names {
    embedding: "embed_tokens",
    embedding_norm: None,
    blocks: "layers",
    before_attention: "input_layernorm",
    query_key_value: QueryKeyValue::Three(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    head_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    attention_out: "self_attn.o_proj",
    before_mlp: "post_attention_layernorm",
    widen: Widen::Gated(["mlp.gate_proj", "mlp.up_proj"]),
    narrow: "mlp.down_proj",
    last_norm: "norm",
    head: "lm_head",
};

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
    use_sliding_window: Option<bool>,
    max_position_embeddings: Option<usize>,
    #[serde(default)]
    tie_word_embeddings: bool,
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
    #[serde(flatten)]
    rotary: rotary::Members,
}

pub(super) fn read(family: &str, config: Value) -> Result<Config, LoadError> {
    let members: Members = members(config)?;
    let hidden = wanted("hidden_size", members.hidden_size)?;
    let heads = wanted("num_attention_heads", members.num_attention_heads)?;
    let head_width = members.head_dim.unwrap_or(hidden / heads);
    let has_bias = members.attention_bias;
    let bias = match family {
        "qwen2" => Biases { query_key_value: true, ..Biases::default() },
        "qwen3" => Biases { query_key_value: has_bias, attention_out: has_bias, mlp: false },
        "mistral" => Biases::default(),
        _ => Biases { query_key_value: has_bias, attention_out: has_bias, mlp: members.mlp_bias },
    };
    let activation = match members.hidden_act.as_deref() {
        None | Some("silu" | "swish") => Activation::Silu,
        Some("gelu") => Activation::Gelu,
        Some("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => Activation::GeluTanh,
        Some("relu") => Activation::Relu,
        Some(other) => {
            let text = format!("hidden_act: expected silu, gelu, gelu_pytorch_tanh or relu, got '{other}'");
            return Err(LoadError::Unsupported(text));
        }
    };
    // Qwen's files name a window that they do not use.
    let window = match family {
        "mistral" => members.sliding_window,
        "qwen2" | "qwen3" if members.use_sliding_window == Some(true) => {
            let text = "use_sliding_window: expected false, windows of single layers are not served";
            return Err(LoadError::Unsupported(text.to_owned()));
        }
        _ => None,
    };
    Ok(Config {
        family: family.to_owned(),
        names: &NAMES,
        vocabulary: wanted("vocab_size", members.vocab_size)?,
        hidden,
        inner: wanted("intermediate_size", members.intermediate_size)?,
        layers: wanted("num_hidden_layers", members.num_hidden_layers)?,
        heads,
        kv_heads: members.num_key_value_heads.unwrap_or(heads),
        head_width,
        norm: Norm::Rms(members.rms_norm_eps.unwrap_or(1e-6)),
        positions: Positions::Rotary(Rotary::read(&members.rotary, head_width)?),
        activation,
        has_head_norms: family == "qwen3",
        bias,
        window,
        is_tied: members.tie_word_embeddings,
        is_residual_after_norm: false,
        context: members.max_position_embeddings,
        ends: Ids::all(members.eos_token_id),
        padding: members.pad_token_id,
    })
}
