//! Configurations from the metadata of GGUF files.
//!
//! What they say is put as `config.json` says it and read as that, so that one place knows what a family is. Then what
//! llama.cpp's converter did to the tensors is taken into account: Gemma's norms have their 1 already, and the factors
//! that Llama 3's long contexts come from are a tensor.
//!
//! Sources: ggml's `docs/gguf.md`; what llama.cpp's `convert_hf_to_gguf.py` writes and its models read.

use serde_json::{Map, Value, json};

use super::{Biases, Config, Norm, Positions, bloom, gemma, llama, phi};
use crate::formats::LoadError;
use crate::formats::language::gguf::{self, Gguf};
use crate::formats::language::tokens;

/// Architectures that are served, by `general.architecture`.
const ARCHITECTURES: [&str; 9] = ["bloom", "gemma", "gemma2", "gemma3", "llama", "phi2", "phi3", "qwen2", "qwen3"];

/// Where positions turn as elsewhere, and no file says how fast.
const THETA: f64 = 10_000.0;
/// Every which layer of Gemma 3 has no window.
const PATTERN: usize = 6;
/// No width, length or count of a model is greater.
const GREATEST: usize = 1 << 24;
/// Factors of the rotation's speeds, one a pair.
const FACTORS: &str = "rope_freqs.weight";
const SHORT_FACTORS: &str = "rope_factors_short.weight";
const LONG_FACTORS: &str = "rope_factors_long.weight";

/// A file's metadata, those of its architecture by the rest of their names.
struct Metadata<'a> {
    file: &'a Gguf,
    architecture: &'a str,
}

/// The configuration of the model in this file. Tensors that it has in it are taken out.
pub(super) fn read(file: &mut Gguf) -> Result<Config, LoadError> {
    let metadata = Metadata { file, architecture: file.architecture()? };
    let mut config = metadata.config()?;
    let name = |error| match error {
        LoadError::Malformed(text) => metadata.file.malformed(&text),
        LoadError::Unsupported(text) => metadata.file.unsupported(&text),
        read @ LoadError::Read { .. } => read,
    };
    metadata.adjust(&mut config).map_err(name)?;
    config.check().map_err(name)?;
    for name in [FACTORS, SHORT_FACTORS, LONG_FACTORS] {
        file.tensors.remove(name);
    }
    Ok(config)
}

// === impl Metadata ===

impl Metadata<'_> {
    fn config(&self) -> Result<Config, LoadError> {
        if !ARCHITECTURES.contains(&self.architecture) {
            let served = ARCHITECTURES.join(", ");
            let text = format!("general.architecture: expected one of {served}, got '{}'", self.architecture);
            return Err(self.file.unsupported(&text));
        }
        self.refuse()?;
        let members = Value::Object(self.members()?);
        let config = match self.architecture {
            "bloom" => bloom::read(members),
            "gemma" | "gemma2" => gemma::read(self.architecture, members),
            "gemma3" => gemma::read("gemma3_text", members),
            "phi2" => phi::read(members),
            "llama" if members.get("sliding_window").is_some() => llama::read("mistral", members),
            family => llama::read(family, members),
        };
        config.map_err(|error| match error {
            LoadError::Malformed(text) => self.file.malformed(&format!("as config.json: {text}")),
            LoadError::Unsupported(text) => self.file.unsupported(&format!("as config.json: {text}")),
            read @ LoadError::Read { .. } => read,
        })
    }

    /// What would be computed otherwise.
    fn refuse(&self) -> Result<(), LoadError> {
        if self.number("expert_count")?.is_some_and(|experts| experts > 0) {
            let text = format!("{}: expected 0, mixtures of experts are not served", self.key("expert_count"));
            return Err(self.file.unsupported(&text));
        }
        if self.file.flag(&self.key("attention.causal"))? == Some(false) {
            let text = format!("{}: expected true, a model of text that goes on", self.key("attention.causal"));
            return Err(self.file.unsupported(&text));
        }
        let (key, value) = (self.number("attention.key_length")?, self.number("attention.value_length")?);
        if let (Some(key), Some(value)) = (key, value)
            && key != value
        {
            let text = format!("{} {key} is not attention.value_length {value}", self.key("attention.key_length"));
            return Err(self.file.unsupported(&text));
        }
        Ok(())
    }

    /// As `config.json` has them.
    fn members(&self) -> Result<Map<String, Value>, LoadError> {
        let hidden = self.wanted("embedding_length")?;
        let layers = self.wanted("block_count")?;
        let heads = self.same_in_all("attention.head_count")?.unwrap_or(0);
        if heads == 0 {
            return Err(self.file.malformed(&format!("{}: expected at least 1", self.key("attention.head_count"))));
        }
        let head_width = self.number("attention.key_length")?.unwrap_or(hidden / heads);
        let rotated = self.number("rope.dimension_count")?;
        let vocabulary = self.file.tensors.get("token_embd.weight").and_then(|tensor| tensor.shape().first().copied());
        let vocabulary = vocabulary.ok_or_else(|| self.file.malformed("the tensor 'token_embd.weight' is missing"))?;
        let mut members = Map::new();
        let mut say = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        say("vocab_size", json!(vocabulary));
        say("hidden_size", json!(hidden));
        say("intermediate_size", json!(self.same_in_all("feed_forward_length")?));
        say("num_hidden_layers", json!(layers));
        say("num_attention_heads", json!(heads));
        say("num_key_value_heads", json!(self.same_in_all("attention.head_count_kv")?.unwrap_or(heads)));
        say("head_dim", json!(head_width));
        say("max_position_embeddings", json!(self.number("context_length")?));
        say("seq_length", json!(self.number("context_length")?));
        say("rms_norm_eps", json!(self.float("attention.layer_norm_rms_epsilon")?));
        let epsilon = self.float("attention.layer_norm_epsilon")?;
        say("layer_norm_eps", json!(epsilon));
        say("layer_norm_epsilon", json!(epsilon));
        say("rope_theta", json!(self.float("rope.freq_base")?.unwrap_or(THETA)));
        if let Some(rotated) = rotated {
            if rotated > head_width {
                let text = format!("{rotated} values of a head are rotated, it has {head_width}");
                return Err(self.file.malformed(&text));
            }
            // Half a value more, so that the product with the width is no less than what it was made of.
            say("partial_rotary_factor", json!((rotated as f64 + 0.5) / head_width as f64));
        }
        say("rope_scaling", self.scaling()?);
        let has_head = self.file.has("output.weight") && self.architecture != "bloom";
        say("tie_word_embeddings", json!(!has_head));
        say("eos_token_id", json!(tokens::ends_of_gguf(self.file)?));
        say("pad_token_id", json!(self.file.number("tokenizer.ggml.padding_token_id")?));
        let window = self.number("attention.sliding_window")?.filter(|window| *window > 0);
        match self.architecture {
            "gemma2" | "gemma3" => {
                // The largest of each have queries scaled by what a head would have without a width of its own.
                let is_largest = layers == if self.architecture == "gemma2" { 46 } else { 62 };
                say("query_pre_attn_scalar", json!(if is_largest { hidden / heads } else { head_width }));
                let caps = [
                    ("attn_logit_softcapping", self.float("attn_logit_softcapping")?),
                    ("final_logit_softcapping", self.float("final_logit_softcapping")?),
                ];
                for (name, cap) in caps {
                    if let Some(cap) = cap {
                        say(name, json!(cap));
                    }
                }
                if window.is_some() || self.architecture == "gemma3" {
                    say("sliding_window", json!(window));
                }
                say("rope_local_base_freq", json!(self.float("rope.freq_base_swa")?.unwrap_or(THETA)));
                match self.file.value(&self.key("attention.sliding_window_pattern")) {
                    Some(gguf::Value::Flags(flags)) => {
                        let kind = |windowed: &bool| if *windowed { "sliding_attention" } else { "full_attention" };
                        say("layer_types", json!(flags.iter().map(kind).collect::<Vec<_>>()));
                    }
                    _ if self.architecture == "gemma3" => {
                        let pattern = self.number("attention.sliding_window_pattern")?.unwrap_or(PATTERN);
                        say("sliding_window_pattern", json!(pattern));
                    }
                    _ => {}
                }
            }
            _ => {
                if let Some(window) = window {
                    say("sliding_window", json!(window));
                }
            }
        }
        Ok(members)
    }

    /// `rope_scaling`
    fn scaling(&self) -> Result<Value, LoadError> {
        let key = self.key("rope.scaling.type");
        let factor = match self.float("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.float("rope.scale_linear")?,
        };
        let short = self.file.values(SHORT_FACTORS)?;
        match (self.file.text(&key), short) {
            (None | Some("none" | "longrope"), Some(short)) if self.architecture == "phi3" => Ok(json!({
                "type": "longrope",
                "short_factor": short,
                "original_max_position_embeddings": self.wanted("rope.scaling.original_context_length")?,
                "attention_factor": self.float("rope.scaling.attn_factor")?,
            })),
            (None | Some("linear"), None) if factor.is_some_and(|factor| factor != 0.0 && factor != 1.0) => {
                Ok(json!({"type": "linear", "factor": factor}))
            }
            (None | Some("none" | "linear"), None) => Ok(Value::Null),
            (Some("yarn"), None) => self.yarn(factor),
            (kind, _) => {
                let kind = kind.unwrap_or("longrope");
                let text = format!("{key}: expected none, linear or yarn, or for phi3 longrope, got '{kind}'");
                Err(self.file.unsupported(&text))
            }
        }
    }

    /// What llama.cpp has beyond what transformers computes is refused where it counts.
    fn yarn(&self, factor: Option<f64>) -> Result<Value, LoadError> {
        let neutral = [
            ("rope.scaling.attn_factor", 1.0),
            ("rope.scaling.yarn_attn_factor", 1.0),
            ("rope.scaling.yarn_ext_factor", 1.0),
            ("rope.scaling.yarn_log_multiplier", 0.0),
        ];
        for (name, expected) in neutral {
            if let Some(found) = self.float(name)?.filter(|found| *found != expected) {
                let text = format!("{}: expected {expected}, got {found}", self.key(name));
                return Err(self.file.unsupported(&text));
            }
        }
        let Some(factor) = factor else {
            return Err(self.file.malformed(&format!("{} is missing", self.key("rope.scaling.factor"))));
        };
        Ok(json!({
            "type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": self.wanted("rope.scaling.original_context_length")?,
            "beta_fast": self.float("rope.scaling.yarn_beta_fast")?,
            "beta_slow": self.float("rope.scaling.yarn_beta_slow")?,
        }))
    }

    /// What the converter did, and what only tensors say.
    fn adjust(&self, config: &mut Config) -> Result<(), LoadError> {
        if let Norm::RmsFromOne(epsilon) = config.norm {
            config.norm = Norm::Rms(epsilon);
        }
        if !matches!(self.architecture, "bloom" | "phi2") {
            let has = |name: &str| self.file.has(&format!("blk.0.{name}.bias"));
            config.bias = Biases {
                query_key_value: has("attn_q"),
                attention_out: has("attn_output"),
                mlp: has("ffn_up"),
                head: false,
            };
        }
        if self.architecture == "phi2" && self.file.has("blk.0.attn_qkv.weight") {
            config.names = &phi::FUSED;
        }
        let Positions::Rotary(rotary) = &mut config.positions else { return Ok(()) };
        if self.architecture == "llama" && rotary.width() != config.head_width {
            let text = format!("rope.dimension_count: expected {}, as wide as a head", config.head_width);
            return Err(LoadError::Unsupported(text));
        }
        let Some(factors) = self.file.values(FACTORS)? else { return Ok(()) };
        let pairs = rotary.frequencies.len();
        if factors.len() != pairs || factors.iter().any(|factor| factor.is_nan() || *factor <= 0.0) {
            return Err(LoadError::Malformed(format!("the tensor '{FACTORS}': expected {pairs} values above 0")));
        }
        for (frequency, factor) in rotary.frequencies.iter_mut().zip(factors) {
            *frequency = (f64::from(*frequency) / f64::from(factor)) as f32;
        }
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn number(&self, name: &str) -> Result<Option<usize>, LoadError> {
        match self.file.number(&self.key(name))? {
            Some(number) if number > GREATEST => {
                Err(self.file.malformed(&format!("{}: expected at most {GREATEST}, got {number}", self.key(name))))
            }
            number => Ok(number),
        }
    }

    fn float(&self, name: &str) -> Result<Option<f64>, LoadError> {
        self.file.float(&self.key(name))
    }

    fn wanted(&self, name: &str) -> Result<usize, LoadError> {
        match self.number(name)? {
            Some(number) if number > 0 => Ok(number),
            Some(_) => Err(self.file.malformed(&format!("{}: expected at least 1, got 0", self.key(name)))),
            None => Err(self.file.malformed(&format!("{} is missing", self.key(name)))),
        }
    }

    /// A number, or as many as layers, which are all the same.
    fn same_in_all(&self, name: &str) -> Result<Option<usize>, LoadError> {
        let key = self.key(name);
        let Some(gguf::Value::Numbers(numbers)) = self.file.value(&key) else { return self.number(name) };
        match numbers.first() {
            Some(first) if numbers.iter().all(|number| number == first) && *first <= GREATEST as f64 => {
                Ok(Some(*first as usize))
            }
            _ => Err(self.file.unsupported(&format!("{key}: expected the same number for all layers"))),
        }
    }
}
