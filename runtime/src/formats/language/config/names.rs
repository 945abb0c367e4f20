//! What families call their tensors.

/// What a family's tensors are called, without a prefix; those of a block below its number.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::formats::language) struct Names {
    pub(in crate::formats::language) embedding: &'static str,
    pub(in crate::formats::language) embedding_norm: Option<&'static str>,
    pub(in crate::formats::language) blocks: &'static str,
    pub(in crate::formats::language) before_attention: &'static str,
    pub(in crate::formats::language) query_key_value: QueryKeyValue,
    pub(in crate::formats::language) head_norms: [&'static str; 2],
    pub(in crate::formats::language) attention_out: &'static str,
    /// A norm of what attention gives, before it is added.
    pub(in crate::formats::language) after_attention: Option<&'static str>,
    /// Without, the network takes what attention took, and both are added at once.
    pub(in crate::formats::language) before_mlp: Option<&'static str>,
    pub(in crate::formats::language) widen: Widen,
    pub(in crate::formats::language) narrow: &'static str,
    /// A norm of what the network gives, before it is added.
    pub(in crate::formats::language) after_mlp: Option<&'static str>,
    pub(in crate::formats::language) last_norm: &'static str,
    pub(in crate::formats::language) head: &'static str,
}

/// How a block's queries, keys and values are made.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::formats::language) enum QueryKeyValue {
    /// By one layer, for each head its query, key and value side by side.
    ByHead(&'static str),
    /// By one layer, all queries, then all keys, then all values.
    Fused(&'static str),
    /// By three.
    Three([&'static str; 3]),
}

/// How the feed-forward network widens.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::formats::language) enum Widen {
    Plain(&'static str),
    /// The first, behind the activation, times the second.
    Gated([&'static str; 2]),
    /// Both as one layer, one below the other.
    Fused(&'static str),
}

/// Llama's names, which most have.
pub(super) const LLAMA: Names = Names {
    embedding: "embed_tokens",
    embedding_norm: None,
    blocks: "layers",
    before_attention: "input_layernorm",
    query_key_value: QueryKeyValue::Three(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    head_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    attention_out: "self_attn.o_proj",
    after_attention: None,
    before_mlp: Some("post_attention_layernorm"),
    widen: Widen::Gated(["mlp.gate_proj", "mlp.up_proj"]),
    narrow: "mlp.down_proj",
    after_mlp: None,
    last_norm: "norm",
    head: "lm_head",
};
