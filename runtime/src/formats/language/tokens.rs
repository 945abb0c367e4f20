//! Text to token ids and back, by Hugging Face's `tokenizer.json`.

mod gguf;
mod spelling;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::normalizers::{Lowercase, Sequence};
use tokenizers::{Encoding, Tokenizer, TruncationDirection};

pub(super) use self::spelling::Spelling;
use super::gguf::Gguf;
use crate::formats::LoadError;

/// The file's name in a model's folder.
pub(super) const FILE: &str = "tokenizer.json";

/// A tokenizer whose ids the model has.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    path: PathBuf,
    file_bytes: usize,
}

// === impl Tokens ===

impl Tokens {
    /// The tokenizer of the model in this folder, whose embedding has so many ids.
    pub(super) fn read(folder: &Path, vocabulary: usize) -> Result<Self, LoadError> {
        let path = folder.join(FILE);
        let text =
            std::fs::read(&path).map_err(|error| LoadError::Read { path: path.clone(), reason: error.to_string() })?;
        Self::of(&text, path, vocabulary)
    }

    /// Of a GGUF file, unless a tokenizer of the other kind stands beside it.
    pub(super) fn of_gguf(file: &Gguf, vocabulary: usize) -> Result<Self, LoadError> {
        let folder = file.path.parent().unwrap_or(&file.path);
        if folder.join(FILE).is_file() {
            return Self::read(folder, vocabulary);
        }
        let text = gguf::json(file)?.to_string();
        Self::of(text.as_bytes(), file.path.clone(), vocabulary)
    }

    fn of(text: &[u8], path: PathBuf, vocabulary: usize) -> Result<Self, LoadError> {
        let tokenizer = Tokenizer::from_bytes(text)
            .map_err(|error| LoadError::Malformed(format!("{}: {error}", path.display())))?;
        let ids = tokenizer.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1);
        if ids > vocabulary {
            return Err(LoadError::Malformed(format!(
                "{}: its ids go to {}, the model's vocab_size is {vocabulary}: it is another model's",
                path.display(),
                ids - 1
            )));
        }
        Ok(Self { tokenizer, path, file_bytes: text.len() })
    }

    /// About the memory that it takes: its words and pairs of words stand in several tables.
    pub(super) fn size_bytes(&self) -> usize {
        /// Bytes in memory for each in the file, as counted.
        const FACTOR: usize = 4;
        FACTOR * self.file_bytes
    }

    /// The ids of a text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>, String> {
        self.read_text(text, true)
    }

    /// The ids of a text that has all special tokens in it: a chat template wrote it.
    pub(super) fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, String> {
        self.read_text(text, false)
    }

    fn read_text(&self, text: &str, adds_special_tokens: bool) -> Result<Vec<u32>, String> {
        let encoding = self.tokenizer.encode_fast(text, adds_special_tokens);
        encoding.map(|encoding| encoding.get_ids().to_vec()).map_err(|error| self.fault(&error))
    }

    /// The text of ids, without special tokens.
    pub(super) fn decode(&self, ids: &[u32]) -> Result<String, String> {
        self.tokenizer.decode(ids, true).map_err(|error| self.fault(&error))
    }

    /// The text of one token by itself, also of a special one.
    pub(super) fn decode_one(&self, token: u32) -> Result<String, String> {
        self.tokenizer.decode(&[token], false).map_err(|error| self.fault(&error))
    }

    /// The same without what the file says of a text's length: whoever asks says how long it may be, and nothing is padded.
    pub(super) fn of_any_length(mut self) -> Result<Self, LoadError> {
        self.tokenizer.with_padding(None);
        let changed = self.tokenizer.with_truncation(None).map(|_| ());
        changed.map_err(|error| LoadError::Malformed(self.fault(&error)))?;
        Ok(self)
    }

    /// The same for texts in lower case.
    pub(super) fn in_lower_case(mut self) -> Result<Self, LoadError> {
        let own = self.tokenizer.get_normalizer().cloned();
        let all = std::iter::once(Lowercase.into()).chain(own).collect();
        let changed = self.tokenizer.with_normalizer(Some(Sequence::new(all))).map(|_| ());
        changed.map_err(|error| LoadError::Malformed(self.fault(&error)))?;
        Ok(self)
    }

    /// The first ids of a text, so many with the special tokens around them.
    pub(super) fn encode_begin(&self, text: &str, most: usize) -> Result<Vec<u32>, String> {
        let added = self.tokenizer.encode_fast("", true).map(|nothing| nothing.len());
        let begin = added.and_then(|added| {
            let mut encoding: Encoding = self.tokenizer.encode(text, false)?;
            encoding.truncate(most.saturating_sub(added), 0, TruncationDirection::Right);
            self.tokenizer.post_process(encoding, None, true)
        });
        begin.map(|encoding| encoding.get_ids().to_vec()).map_err(|error| self.fault(&error))
    }

    fn fault(&self, error: &impl std::fmt::Display) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// Tokens of a GGUF file that end a text.
pub(super) fn ends_of_gguf(file: &Gguf) -> Result<Vec<u32>, LoadError> {
    gguf::ends(file)
}

/// `bos_token` and its like in a GGUF file.
pub(super) fn special_tokens_of_gguf(file: &Gguf) -> Result<Map<String, Value>, LoadError> {
    gguf::special_tokens(file)
}
