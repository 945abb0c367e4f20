//! The text of tokens that come one by one.
//!
//! A token may be a part of a character, and some tokenizers write a token otherwise at a text's begin, so that a token
//! has no text by itself: it is what the text of the last tokens grows by. As long as that ends in the middle of a
//! character nothing is said.

use super::Tokens;

/// What decoders write where bytes are no character, or not yet.
const REPLACEMENT: char = '\u{fffd}';
/// Tokens of the prompt that are looked at to spell the next one.
const CONTEXT: usize = 5;

/// Tokens and how many of them are spelt.
#[derive(Clone, Debug)]
pub(in crate::formats::language) struct Spelling {
    tokens: Vec<u32>,
    /// Where to begin so that the tokens behind `spelt` are written as in the whole text.
    begin: usize,
    spelt: usize,
}

// === impl Spelling ===

impl Spelling {
    /// Of the tokens behind this prompt.
    pub(in crate::formats::language) fn behind(prompt: &[u32]) -> Self {
        let tokens = prompt.get(prompt.len().saturating_sub(CONTEXT)..).unwrap_or_default().to_vec();
        Self { begin: 0, spelt: tokens.len(), tokens }
    }

    /// What one token more adds to the text.
    pub(in crate::formats::language) fn add(&mut self, tokens: &Tokens, token: u32) -> Result<String, String> {
        self.tokens.push(token);
        let (known, all) = self.texts(tokens)?;
        if all.len() <= known.len() || all.ends_with(REPLACEMENT) {
            return Ok(String::new());
        }
        (self.begin, self.spelt) = (self.spelt, self.tokens.len());
        Ok(behind(&known, &all))
    }

    /// What was held back, when nothing more comes.
    pub(in crate::formats::language) fn rest(&mut self, tokens: &Tokens) -> Result<String, String> {
        let (known, all) = self.texts(tokens)?;
        (self.begin, self.spelt) = (self.spelt, self.tokens.len());
        Ok(behind(&known, &all))
    }

    fn texts(&self, tokens: &Tokens) -> Result<(String, String), String> {
        let known = tokens.decode(self.tokens.get(self.begin..self.spelt).unwrap_or_default())?;
        let all = tokens.decode(self.tokens.get(self.begin..).unwrap_or_default())?;
        Ok((known, all))
    }
}

fn behind(known: &str, all: &str) -> String {
    all.get(known.len()..).unwrap_or_default().to_owned()
}
