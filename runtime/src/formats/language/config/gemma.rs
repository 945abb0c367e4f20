//! Gemma: Llama with norms whose scale is stored less 1, and with embeddings that are multiplied by √hidden.
//!
//! Gemma 2 adds norms behind attention and feed-forward network, soft bounds of scores, and a window in every other
//! layer. Gemma 3 has norms of queries and keys in the place of the bounds, and positions that turn faster in layers
//! with a window. Gemma Team, "Gemma" (2024), "Gemma 2" (2024), "Gemma 3 Technical Report" (2025).

use serde::Deserialize;
use serde_json::Value;

use super::rotary::{self, Rotary};
use super::{
    Biases, Caps, Config, Ids, Names, Norm, Positions, Window, activation, attention_scale, members, names, wanted,
};
use crate::formats::LoadError;

static FIRST: Names = names::LLAMA;

/// Of Gemma 2 and 3.
static NAMES: Names = Names {
    after_attention: Some("post_attention_layernorm"),
    before_mlp: Some("pre_feedforward_layernorm"),
    after_mlp: Some("post_feedforward_layernorm"),
    ..names::LLAMA
};

/// What transformers takes for files that have no such member.
const WINDOW: usize = 4096;
const HEAD_WIDTH: usize = 256;
const QUERY_SCALAR: f32 = 256.0;
/// Every which layer of Gemma 3 has no window.
const PATTERN: usize = 6;

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
    hidden_activation: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    query_pre_attn_scalar: Option<f32>,
    attn_logit_softcapping: Option<f32>,
    final_logit_softcapping: Option<f32>,
    sliding_window: Option<usize>,
    #[serde(alias = "_sliding_window_pattern")]
    sliding_window_pattern: Option<usize>,
    layer_types: Option<Vec<String>>,
    rope_local_base_freq: Option<f64>,
    use_bidirectional_attention: Option<bool>,
    max_position_embeddings: Option<usize>,
    tie_word_embeddings: Option<bool>,
    eos_token_id: Option<Ids>,
    pad_token_id: Option<u32>,
}

pub(super) fn read(family: &str, config: Value) -> Result<Config, LoadError> {
    let says = |name: &str| config.get(name).is_some();
    let (says_window, says_caps) = (says("sliding_window"), says("final_logit_softcapping"));
    let says_attention_cap = says("attn_logit_softcapping");
    let rope = config.clone();
    let members: Members = members(without_double(config))?;
    if members.use_bidirectional_attention == Some(true) {
        let text = "use_bidirectional_attention: expected false, a model of text that goes on";
        return Err(LoadError::Unsupported(text.to_owned()));
    }
    if family == "gemma3_text" && members.attn_logit_softcapping.is_some() {
        let text = "attn_logit_softcapping: expected null, as Gemma 3 has it";
        return Err(LoadError::Unsupported(text.to_owned()));
    }
    let hidden = wanted("hidden_size", members.hidden_size)?;
    let heads = wanted("num_attention_heads", members.num_attention_heads)?;
    let layers = wanted("num_hidden_layers", members.num_hidden_layers)?;
    let head_width = wanted("head_dim", members.head_dim.or(Some(HEAD_WIDTH)))?;
    // Gemma 1's first files say gelu, and mean the other.
    let named =
        if family == "gemma" { members.hidden_activation.or(members.hidden_act) } else { members.hidden_activation };
    let activation = match named.as_deref() {
        Some("gelu") if family == "gemma" => activation("hidden_act", "gelu_pytorch_tanh")?,
        named => activation("hidden_activation", named.unwrap_or("gelu_pytorch_tanh"))?,
    };
    let stated = if says_window { members.sliding_window } else { Some(WINDOW) };
    let layer_types = members.layer_types.as_deref();
    let pattern = members.sliding_window_pattern.unwrap_or(PATTERN).max(1);
    let (rotary, window) = match family {
        "gemma" => (rotary(rope, head_width)?, None),
        "gemma2" => (rotary(rope, head_width)?, Window::read(stated, layers, layer_types, |layer| layer % 2 == 0)?),
        _ => {
            let (everywhere, windowed) = two_rotaries(&rope, members.rope_local_base_freq, head_width)?;
            let window = Window::read(stated, layers, layer_types, |layer| (layer + 1) % pattern != 0)?;
            (everywhere, window.map(|window| Window { rotary: Some(windowed), ..window }))
        }
    };
    let attention_scale = match family {
        "gemma" => attention_scale(head_width),
        _ => members.query_pre_attn_scalar.unwrap_or(QUERY_SCALAR).sqrt().recip(),
    };
    let caps = match family {
        "gemma2" => Caps {
            attention: if says_attention_cap { members.attn_logit_softcapping } else { Some(50.0) },
            scores: if says_caps { members.final_logit_softcapping } else { Some(30.0) },
        },
        "gemma3_text" => Caps { attention: None, scores: members.final_logit_softcapping },
        _ => Caps::default(),
    };
    let has_bias = members.attention_bias;
    Ok(Config {
        family: family.to_owned(),
        names: if family == "gemma" { &FIRST } else { &NAMES },
        vocabulary: wanted("vocab_size", members.vocab_size)?,
        hidden,
        inner: wanted("intermediate_size", members.intermediate_size)?,
        layers,
        heads,
        kv_heads: members.num_key_value_heads.unwrap_or(heads),
        head_width,
        norm: Norm::RmsFromOne(members.rms_norm_eps.unwrap_or(1e-6)),
        positions: Positions::Rotary(rotary),
        activation,
        has_head_norms: family == "gemma3_text",
        bias: Biases { query_key_value: has_bias, attention_out: has_bias, ..Biases::default() },
        embedding_scale: Some((hidden as f64).sqrt() as f32),
        attention_scale,
        caps,
        window,
        is_tied: members.tie_word_embeddings.unwrap_or(true),
        is_residual_after_norm: false,
        context: members.max_position_embeddings,
        ends: Ids::all(members.eos_token_id),
        padding: members.pad_token_id,
    })
}

/// transformers writes the pattern by both of its names.
fn without_double(mut config: Value) -> Value {
    if let Some(object) = config.as_object_mut()
        && object.contains_key("sliding_window_pattern")
    {
        object.remove("_sliding_window_pattern");
    }
    config
}

fn rotary(config: Value, head_width: usize) -> Result<Rotary, LoadError> {
    let rope: rotary::Members = members(config)?;
    Rotary::read(&rope, head_width, 10_000.0)
}

/// Of layers without and with a window. Newer files name each, older ones the base of the second beside the first.
fn two_rotaries(config: &Value, local: Option<f64>, head_width: usize) -> Result<(Rotary, Rotary), LoadError> {
    let of = |kind: &str| -> Result<Option<rotary::Members>, LoadError> {
        let own = config.get("rope_parameters").and_then(|parameters| parameters.get(kind));
        let own = own.filter(|own| !own.is_null()).cloned();
        own.map(|own| members(serde_json::json!({ "rope_parameters": own }))).transpose()
    };
    let everywhere = match of("full_attention")? {
        Some(rope) => rope,
        None => members(config.clone())?,
    };
    let windowed = of("sliding_attention")?.unwrap_or_default();
    let local = local.unwrap_or(10_000.0);
    Ok((Rotary::read(&everywhere, head_width, 1_000_000.0)?, Rotary::read(&windowed, head_width, local)?))
}
