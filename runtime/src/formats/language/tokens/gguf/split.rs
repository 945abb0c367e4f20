//! How a text is split before byte-level BPE, by the names that llama.cpp's converter gave what it met.
//!
//! The expressions are those of the models' own `tokenizer.json`.

use serde_json::{Value, json};

const GPT_4: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|[.,!?…。，、।۔،])]+";

/// A way to split, and what goes with it.
#[derive(Debug)]
pub(super) struct Split {
    names: &'static [&'static str],
    by: By,
    /// Whether a part that is a token is that, whatever its merges would make of it.
    pub(super) is_whole_first: bool,
    /// Whether texts begin with a token for that, where the file does not say.
    pub(super) begins: bool,
    /// Whether letters and their marks are put together first.
    pub(super) composes: bool,
}

#[derive(Debug)]
enum By {
    Expression(&'static str),
    /// What GPT-2 has, which the library knows.
    Gpt2,
    /// Digits one by one, then that.
    DigitsThenGpt2,
}

const OTHER: Split = Split { names: &[], by: By::Gpt2, is_whole_first: false, begins: false, composes: false };

static KNOWN: [Split; 9] = [
    Split { names: &["gpt-2", "phi-2"], ..OTHER },
    Split { names: &["smollm", "starcoder", "refact"], by: By::DigitsThenGpt2, ..OTHER },
    Split {
        names: &["llama-bpe", "llama3", "llama-v3"],
        by: By::Expression(GPT_4),
        is_whole_first: true,
        begins: true,
        ..OTHER
    },
    Split { names: &["dbrx", "smaug-bpe"], by: By::Expression(GPT_4), ..OTHER },
    Split { names: &["qwen2"], by: By::Expression(QWEN), composes: true, ..OTHER },
    Split { names: &["deepseek-r1-qwen"], by: By::Expression(QWEN), ..OTHER },
    Split { names: &["tekken"], by: By::Expression(TEKKEN), is_whole_first: true, begins: true, ..OTHER },
    Split { names: &["gpt-4o"], by: By::Expression(GPT_4O), ..OTHER },
    Split { names: &["bloom", "poro-chat", "gpt3-finnish"], by: By::Expression(BLOOM), ..OTHER },
];

// === impl Split ===

impl Split {
    /// By its name in a file.
    ///
    /// # Errors
    /// Nobody knows it here; the text says which are known.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        KNOWN.iter().find(|split| split.names.contains(&name)).ok_or_else(|| {
            let known: Vec<_> = KNOWN.iter().flat_map(|split| split.names).copied().collect();
            let known = known.join(", ");
            format!("expected one of {known}, got '{name}'; put the model's tokenizer.json beside the file")
        })
    }

    /// As `tokenizer.json` has it.
    pub(super) fn pre_tokenizer(&self) -> Value {
        let bytes = |splits: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": splits});
        let both = |first: Value, then: Value| json!({"type": "Sequence", "pretokenizers": [first, then]});
        match self.by {
            By::Gpt2 => bytes(true),
            By::DigitsThenGpt2 => both(json!({"type": "Digits", "individual_digits": true}), bytes(true)),
            By::Expression(expression) => {
                let pattern = json!({"Regex": expression});
                let split = json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
                both(split, bytes(false))
            }
        }
    }
}
