//! Texts as the model reads them: with a prompt before them, and cut or refused where they are too long.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::{READING, Saved};
use crate::embedding::EmbeddingInput;
use crate::error::Error;
use crate::formats::LoadError;
use crate::formats::language::config::{members, read_file};
use crate::formats::language::template;
use crate::formats::language::tokens::Tokens;

/// Reads texts.
pub(super) struct Reader {
    tokens: Tokens,
    /// Tokens that a text may have.
    most: usize,
    vocabulary: usize,
    prompts: BTreeMap<String, String>,
    usual_prompt: Option<String>,
}

/// Of [`READING`].
#[derive(Debug, Default, Deserialize)]
struct Members {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

/// Of `tokenizer_config.json`. Where nothing is said it has a number without end.
#[derive(Debug, Default, Deserialize)]
struct TokenizerMembers {
    model_max_length: Option<f64>,
}

// === impl Reader ===

impl Reader {
    /// `context`: positions that the encoder has; `wanted`: tokens of a text, as the settings want it.
    pub(super) fn new(
        folder: &Path,
        (tokens, vocabulary): (Tokens, usize),
        context: usize,
        wanted: Option<usize>,
        saved: &Saved,
    ) -> Result<Self, LoadError> {
        let path = READING.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let own: Members = path.map(|path| read_file(&path, members)).transpose()?.unwrap_or_default();
        let path = folder.join(template::CONFIG);
        let of_tokenizer: TokenizerMembers =
            if path.is_file() { read_file(&path, members)? } else { Default::default() };
        let of_tokenizer = of_tokenizer.model_max_length.map(|most| most as usize);
        let most = wanted.or(own.max_seq_length).or(of_tokenizer).filter(|most| *most > 0);
        let prompts = saved.prompts.iter().filter_map(|(name, text)| Some((name.clone(), text.clone()?)));
        let prompts: BTreeMap<String, String> = prompts.collect();
        let usual_prompt = match &saved.default_prompt_name {
            None => None,
            Some(name) => Some(prompts.get(name).cloned().ok_or_else(|| {
                let path = folder.join(super::SETTINGS);
                let text = format!("default_prompt_name: expected one of prompts, got '{name}'");
                LoadError::Malformed(format!("{}: {text}", path.display()))
            })?),
        };
        let tokens = if own.do_lower_case { tokens.in_lower_case()? } else { tokens };
        Ok(Self { tokens, most: most.map_or(context, |most| most.min(context)), vocabulary, prompts, usual_prompt })
    }

    /// Tokens that a text may have.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.tokens.size_bytes()
    }

    /// The tokens of each input.
    pub(super) fn read(
        &self,
        inputs: Vec<EmbeddingInput>,
        prompt_name: Option<&str>,
        truncate: bool,
    ) -> Result<Vec<Vec<u32>>, Error> {
        let prompt = self.prompt(prompt_name)?;
        let read = |(number, input)| match input {
            EmbeddingInput::Text(text) => self.read_text(number, &text, prompt, truncate),
            EmbeddingInput::Tokens(tokens) => self.check(number, tokens, truncate),
        };
        inputs.into_iter().enumerate().map(read).collect()
    }

    /// What stands before texts.
    pub(super) fn prompt(&self, name: Option<&str>) -> Result<Option<&str>, Error> {
        let Some(name) = name else { return Ok(self.usual_prompt.as_deref()) };
        self.prompts.get(name).map(|prompt| Some(prompt.as_str())).ok_or_else(|| {
            let names: Vec<_> = self.prompts.keys().map(String::as_str).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Error::invalid(format!("prompt_name: the model has no prompt '{name}', it has: {known}"))
        })
    }

    fn read_text(&self, number: usize, text: &str, prompt: Option<&str>, truncate: bool) -> Result<Vec<u32>, Error> {
        let prompted;
        let text = match prompt.filter(|prompt| !prompt.is_empty()) {
            None => text,
            Some(prompt) => {
                prompted = format!("{prompt}{text}");
                &prompted
            }
        };
        let mut tokens = self.tokens.encode(text).map_err(Error::internal)?;
        if tokens.len() > self.most && truncate {
            // With the special tokens that end a text.
            tokens = self.tokens.encode_begin(text, self.most).map_err(Error::internal)?;
        }
        self.check(number, tokens, false)
    }

    fn check(&self, number: usize, mut tokens: Vec<u32>, truncate: bool) -> Result<Vec<u32>, Error> {
        if truncate {
            tokens.truncate(self.most);
        }
        if tokens.len() > self.most {
            let text = format!(
                "text {number} has {} tokens, the model takes {}: shorten it, or ask with truncate: true",
                tokens.len(),
                self.most
            );
            return Err(Error::invalid(text));
        }
        if tokens.is_empty() {
            return Err(Error::invalid(format!("text {number} has no tokens, of which no vector can be made")));
        }
        let vocabulary = self.vocabulary;
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            let text = format!("text {number} has the token {token}, the vocabulary has {vocabulary}");
            return Err(Error::invalid(text));
        }
        Ok(tokens)
    }
}
