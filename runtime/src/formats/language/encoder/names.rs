//! What families call their tensors.

use crate::formats::language::config::{QueryKeyValue, Widen};

/// What a family's tensors are called, without the name of the whole model before them; those of a layer below its number.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Names {
    /// What stands before every name of a model that has a head beside it.
    pub(super) prefixes: &'static [&'static str],
    pub(super) embedding: &'static str,
    pub(super) positions: Option<&'static str>,
    pub(super) types: Option<&'static str>,
    pub(super) embedding_norm: &'static str,
    pub(super) layers: &'static str,
    pub(super) before_attention: Option<&'static str>,
    pub(super) query_key_value: QueryKeyValue,
    pub(super) attention_out: &'static str,
    /// Behind what attention was added to.
    pub(super) after_attention: Option<&'static str>,
    pub(super) before_mlp: Option<&'static str>,
    pub(super) widen: Widen,
    pub(super) narrow: &'static str,
    /// Behind what the network was added to.
    pub(super) after_mlp: Option<&'static str>,
    pub(super) last_norm: Option<&'static str>,
    /// What attention adds for distances, the same in all layers.
    pub(super) distances: Option<&'static str>,
}

/// Also RoBERTa's.
pub(super) static BERT: Names = BERT_NAMES;

const BERT_NAMES: Names = Names {
    prefixes: &["bert.", "roberta."],
    embedding: "embeddings.word_embeddings",
    positions: Some("embeddings.position_embeddings"),
    types: Some("embeddings.token_type_embeddings"),
    embedding_norm: "embeddings.LayerNorm",
    layers: "encoder.layer",
    before_attention: None,
    query_key_value: QueryKeyValue::Three(["attention.self.query", "attention.self.key", "attention.self.value"]),
    attention_out: "attention.output.dense",
    after_attention: Some("attention.output.LayerNorm"),
    before_mlp: None,
    widen: Widen::Plain("intermediate.dense"),
    narrow: "output.dense",
    after_mlp: Some("output.LayerNorm"),
    last_norm: None,
    distances: None,
};

pub(super) static DISTILBERT: Names = Names {
    // The reader of weights knows the second one by itself, where it stands first.
    prefixes: &["distilbert.", "transformer."],
    embedding: "embeddings.word_embeddings",
    positions: Some("embeddings.position_embeddings"),
    types: None,
    embedding_norm: "embeddings.LayerNorm",
    layers: "layer",
    before_attention: None,
    query_key_value: QueryKeyValue::Three(["attention.q_lin", "attention.k_lin", "attention.v_lin"]),
    attention_out: "attention.out_lin",
    after_attention: Some("sa_layer_norm"),
    before_mlp: None,
    widen: Widen::Plain("ffn.lin1"),
    narrow: "ffn.lin2",
    after_mlp: Some("output_layer_norm"),
    last_norm: None,
    distances: None,
};

pub(super) static MODERNBERT: Names = Names {
    prefixes: &["model."],
    embedding: "embeddings.tok_embeddings",
    positions: None,
    types: None,
    embedding_norm: "embeddings.norm",
    layers: "layers",
    before_attention: Some("attn_norm"),
    query_key_value: QueryKeyValue::Fused("attn.Wqkv"),
    attention_out: "attn.Wo",
    after_attention: None,
    before_mlp: Some("mlp_norm"),
    widen: Widen::Fused("mlp.Wi"),
    narrow: "mlp.Wo",
    after_mlp: None,
    last_norm: Some("final_norm"),
    distances: None,
};

pub(super) static MPNET: Names = Names {
    prefixes: &["mpnet."],
    types: None,
    query_key_value: QueryKeyValue::Three(["attention.attn.q", "attention.attn.k", "attention.attn.v"]),
    attention_out: "attention.attn.o",
    after_attention: Some("attention.LayerNorm"),
    distances: Some("encoder.relative_attention_bias"),
    ..BERT_NAMES
};

// === impl Names ===

impl Names {
    /// A tensor's name as it is here. Early files call a norm's scale and shift by Greek letters.
    pub(super) fn bare(&self, name: &str) -> String {
        let mut bare = name;
        for prefix in self.prefixes {
            bare = bare.strip_prefix(prefix).unwrap_or(bare);
        }
        match (bare.strip_suffix("LayerNorm.gamma"), bare.strip_suffix("LayerNorm.beta")) {
            (Some(begin), _) => format!("{begin}LayerNorm.weight"),
            (_, Some(begin)) => format!("{begin}LayerNorm.bias"),
            _ => bare.to_owned(),
        }
    }

    /// Whether a tensor that nobody took changes nothing: what stands behind the encoder (a pooler, the head of its
    /// training), and numbers of positions.
    pub(super) fn is_needless(&self, bare: &str) -> bool {
        let is_of_encoder =
            bare.starts_with("embeddings.") || bare.strip_prefix(self.layers).is_some_and(|rest| rest.starts_with('.'));
        !is_of_encoder || bare.ends_with(".position_ids") || bare.ends_with(".inv_freq")
    }
}
