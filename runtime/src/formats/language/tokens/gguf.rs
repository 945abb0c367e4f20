//! Tokenizers of GGUF files: the `tokenizer.json` that such a file stands for.
//!
//! `tokenizer.ggml.model` is `gpt2` for byte-level BPE, whose merges are in the file, with a split of texts before it
//! that has only a name there; or `llama` for SentencePiece's BPE, whose merges are in the scores of its pieces.
//!
//! Sources: llama.cpp's `llama-vocab.cpp` for what the metadata mean, Hugging Face's `convert_slow_tokenizer` for what
//! such a tokenizer is in their library.

mod pieces;
mod split;

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use self::split::Split;
use crate::formats::LoadError;
use crate::formats::language::gguf::Gguf;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const MODEL: &str = "tokenizer.ggml.model";
const SPLIT: &str = "tokenizer.ggml.pre";

/// What stands for a space in SentencePiece's pieces.
const SPACE: &str = "\u{2581}";

/// Tokens that end a text or a turn, by those that no metadata name.
const ENDS: [&str; 14] = [
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "_<EOT>",
];

/// What a token is, as far as it matters: `token_type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Plain,
    /// Read as it stands, wherever it stands; with `is_special` it is not written.
    Added {
        is_special: bool,
    },
}

/// A file's tokens.
struct Vocabulary<'a> {
    file: &'a Gguf,
    tokens: Vec<String>,
    kinds: Vec<Kind>,
}

/// The `tokenizer.json` of a file.
pub(super) fn json(file: &Gguf) -> Result<Value, LoadError> {
    let vocabulary = Vocabulary::read(file)?;
    match file.text(MODEL) {
        Some("gpt2") => vocabulary.byte_level(),
        Some("llama") => vocabulary.pieces(),
        Some(other) => {
            let text = format!(
                "{MODEL}: expected gpt2 or llama, got '{other}'; tokenizer.json beside the file goes before it"
            );
            Err(file.unsupported(&text))
        }
        None => Err(file.malformed(&format!("{MODEL} is missing, and there is no tokenizer.json beside the file"))),
    }
}

/// Tokens that end a text: those that the file names, and those that are called so.
pub(super) fn ends(file: &Gguf) -> Result<Vec<u32>, LoadError> {
    let mut ends = Vec::new();
    for name in ["eos", "eot", "eom"] {
        ends.extend(id(file, name)?);
    }
    let vocabulary = Vocabulary::read(file)?;
    for (id, (token, kind)) in vocabulary.tokens.iter().zip(&vocabulary.kinds).enumerate() {
        if *kind != Kind::Plain && ENDS.contains(&token.as_str()) {
            ends.extend(u32::try_from(id));
        }
    }
    let mut seen = HashSet::new();
    ends.retain(|end| seen.insert(*end));
    Ok(ends)
}

/// `bos_token` and its like, for chat templates.
pub(super) fn special_tokens(file: &Gguf) -> Result<Map<String, Value>, LoadError> {
    let tokens = file.texts(TOKENS)?.unwrap_or_default();
    let mut named = Map::new();
    for (theirs, ours) in [("bos", "bos"), ("eos", "eos"), ("unknown", "unk"), ("padding", "pad")] {
        let token = id(file, theirs)?.and_then(|id| tokens.get(id as usize));
        if let Some(token) = token {
            named.insert(format!("{ours}_token"), token.as_str().into());
        }
    }
    Ok(named)
}

/// The token that the file names so.
fn id(file: &Gguf, name: &str) -> Result<Option<u32>, LoadError> {
    let key = format!("tokenizer.ggml.{name}_token_id");
    let Some(id) = file.number(&key)? else { return Ok(None) };
    match file.texts(TOKENS)? {
        // Some files have -1 as 2³²-1.
        _ if id == u32::MAX as usize => Ok(None),
        Some(tokens) if id >= tokens.len() => {
            Err(file.malformed(&format!("{key}: {id} is none of the {} tokens", tokens.len())))
        }
        _ => Ok(u32::try_from(id).ok()),
    }
}

// === impl Kind ===

impl Kind {
    /// By the number in `token_type`: 1 is a plain one, 2 the unknown one, 3 one for control, 4 one of a user's, 5 none
    /// that is used, 6 a byte.
    fn of(number: f64) -> Self {
        match number as i64 {
            2 | 3 => Self::Added { is_special: true },
            4 => Self::Added { is_special: false },
            _ => Self::Plain,
        }
    }
}

// === impl Vocabulary ===

impl<'a> Vocabulary<'a> {
    fn read(file: &'a Gguf) -> Result<Self, LoadError> {
        let tokens = file.texts(TOKENS)?.unwrap_or_default();
        let named =
            |(id, token): (usize, &String)| if token.is_empty() { format!("[EMPTY_{id}]") } else { token.clone() };
        let kinds = match file.numbers(TYPES)? {
            None => vec![Kind::Plain; tokens.len()],
            Some(types) if types.len() == tokens.len() => types.iter().map(|number| Kind::of(*number)).collect(),
            Some(types) => {
                let text = format!("{TYPES}: expected {} of them, got {}", tokens.len(), types.len());
                return Err(file.malformed(&text));
            }
        };
        Ok(Self { file, tokens: tokens.iter().enumerate().map(named).collect(), kinds })
    }

    /// `gpt2`
    fn byte_level(&self) -> Result<Value, LoadError> {
        let Some(name) = self.file.text(SPLIT) else {
            let text = format!(
                "{SPLIT} is missing: how texts are split is not known; put the model's tokenizer.json beside the file"
            );
            return Err(self.file.unsupported(&text));
        };
        let split = Split::named(name).map_err(|reason| self.file.unsupported(&format!("{SPLIT}: {reason}")))?;
        let merges = self.file.texts(MERGES)?.ok_or_else(|| self.file.malformed(&format!("{MERGES} is missing")))?;
        let mut pairs = Vec::with_capacity(merges.len());
        for merge in merges {
            // A token may begin with a space.
            let space = merge.char_indices().skip(1).find(|(_, character)| *character == ' ');
            let pair = space.and_then(|(at, _)| Some((merge.get(..at)?, merge.get(at + 1..)?)));
            let (one, other) =
                pair.ok_or_else(|| self.file.malformed(&format!("{MERGES}: expected two tokens, got '{merge}'")))?;
            pairs.push(json!([one, other]));
        }
        Ok(json!({
            "version": "1.0",
            "added_tokens": self.added(|_| false),
            "normalizer": if split.composes { json!({"type": "NFC"}) } else { Value::Null },
            "pre_tokenizer": split.pre_tokenizer(),
            "post_processor": self.frame(split.begins)?,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {
                "type": "BPE", "ignore_merges": split.is_whole_first, "fuse_unk": false, "byte_fallback": false,
                "vocab": self.ids()?, "merges": pairs,
            },
        }))
    }

    /// `llama`
    fn pieces(&self) -> Result<Value, LoadError> {
        let scores = self.file.numbers(SCORES)?.ok_or_else(|| self.file.malformed(&format!("{SCORES} is missing")))?;
        if scores.len() != self.tokens.len() {
            let text = format!("{SCORES}: expected {} of them, got {}", self.tokens.len(), scores.len());
            return Err(self.file.malformed(&text));
        }
        let ids = self.ids()?;
        let merges = pieces::merges(&self.tokens, scores);
        let unknown = id(self.file, "unknown")?.or(Some(0)).and_then(|id| self.tokens.get(id as usize));
        let begins_with_space = self.file.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
        let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        // Phi 3 was trained so, and no metadata say it.
        let is_phi = self.file.architecture()? == "phi3";
        let rstrip = |token: &str| is_phi && !["<unk>", "<s>", "<|endoftext|>"].contains(&token);
        let mut normalizers = vec![replace(" ", SPACE)];
        let mut decoders = vec![replace(SPACE, " "), json!({"type": "ByteFallback"}), json!({"type": "Fuse"})];
        if begins_with_space {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        Ok(json!({
            "version": "1.0",
            "added_tokens": self.added(rstrip),
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": self.frame(true)?,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "unk_token": unknown, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                "vocab": ids, "merges": merges,
            },
        }))
    }

    fn ids(&self) -> Result<Map<String, Value>, LoadError> {
        let mut ids = Map::with_capacity(self.tokens.len());
        for (id, token) in self.tokens.iter().enumerate() {
            if ids.insert(token.clone(), id.into()).is_some() {
                return Err(self.file.malformed(&format!("{TOKENS}: '{token}' is there twice")));
            }
        }
        match ids.is_empty() {
            true => Err(self
                .file
                .malformed(&format!("{TOKENS} is missing, and there is no tokenizer.json beside the file"))),
            false => Ok(ids),
        }
    }

    /// `rstrip` is where the spaces behind a token are a part of it.
    fn added(&self, rstrip: impl Fn(&str) -> bool) -> Vec<Value> {
        let all = self.tokens.iter().zip(&self.kinds).enumerate();
        let added = all.filter_map(|(id, (token, kind))| match kind {
            Kind::Plain => None,
            Kind::Added { is_special } => Some(json!({
                "id": id, "content": token, "special": is_special, "single_word": false, "lstrip": false,
                "rstrip": rstrip(token), "normalized": false,
            })),
        });
        added.collect()
    }

    /// What stands before and behind every text.
    fn frame(&self, begins: bool) -> Result<Value, LoadError> {
        let adds = |name: &str, otherwise: bool| -> Result<Option<(String, u32)>, LoadError> {
            let is_said = self.file.flag(&format!("tokenizer.ggml.add_{name}_token"))?;
            let id = id(self.file, name)?.filter(|_| is_said.unwrap_or(otherwise));
            Ok(id.and_then(|id| Some((self.tokens.get(id as usize)?.clone(), id))))
        };
        let (begin, end) = (adds("bos", begins)?, adds("eos", false)?);
        if begin.is_none() && end.is_none() {
            return Ok(Value::Null);
        }
        let special = |(token, _): &(String, u32)| json!({"SpecialToken": {"id": token, "type_id": 0}});
        let text = |name: &str| json!({"Sequence": {"id": name, "type_id": 0}});
        let framed = |name: &str| -> Vec<Value> {
            let (before, behind) = (begin.as_ref().map(special), end.as_ref().map(special));
            before.into_iter().chain([text(name)]).chain(behind).collect()
        };
        let tokens: Map<String, Value> = [&begin, &end]
            .into_iter()
            .flatten()
            .map(|(token, id)| (token.clone(), json!({"id": token, "ids": [id], "tokens": [token]})))
            .collect();
        let pair = [framed("A"), framed("B")].concat();
        Ok(json!({
            "type": "TemplateProcessing", "single": framed("A"), "pair": pair,
            "special_tokens": tokens,
        }))
    }
}
