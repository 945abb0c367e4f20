//! Log probabilities, in the two ways that completions and chats tell them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::text::{Likely, Piece};

/// Of completions: a list of each, a token's place in all of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct OfCompletion {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    /// Those that were asked for, and the token itself.
    top_logprobs: Vec<BTreeMap<String, f32>>,
    /// Characters of the text before the token.
    text_offset: Vec<usize>,
}

/// Of chats: an object a token.
#[derive(Debug, Serialize)]
pub(super) struct OfChat {
    content: Vec<Place>,
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Place {
    #[serde(flatten)]
    own: Token,
    top_logprobs: Vec<Token>,
}

#[derive(Debug, Serialize)]
struct Token {
    token: String,
    logprob: Option<f32>,
    /// Absent for a part of a character.
    bytes: Option<Vec<u8>>,
}

/// What stands for −∞, which JSON has not.
const LEAST: f32 = -9999.0;

/// The token's own text, where the model tells it, and else what it adds to the text.
fn own_text(piece: &Piece) -> &str {
    let likely = piece.likeliest.iter().find(|likely| likely.token == piece.token);
    likely.map_or(&piece.text, |likely| &likely.text)
}

// === impl OfCompletion ===

impl OfCompletion {
    /// Of these tokens, with the likeliest of each place; `offset` is where the first stands, and then where the next
    /// will.
    pub(super) fn new(pieces: &[Piece], asked: usize, offset: &mut usize) -> Self {
        let mut all = Self::default();
        for piece in pieces {
            let own = own_text(piece);
            let logprob = piece.logprob.map(|logprob| logprob.max(LEAST));
            let mut likeliest = BTreeMap::new();
            for likely in piece.likeliest.iter().take(asked) {
                // Parts of characters have the same text; the likeliest counts.
                likeliest.entry(likely.text.clone()).or_insert(likely.logprob.max(LEAST));
            }
            if let Some(logprob) = logprob {
                likeliest.entry(own.to_owned()).or_insert(logprob);
            }
            all.tokens.push(own.to_owned());
            all.token_logprobs.push(logprob);
            all.top_logprobs.push(likeliest);
            all.text_offset.push(*offset);
            *offset += own.chars().count();
        }
        all
    }
}

// === impl OfChat ===

impl OfChat {
    pub(super) fn new(pieces: &[Piece], asked: usize) -> Self {
        let place = |piece: &Piece| Place {
            own: Token::new(own_text(piece), piece.logprob),
            top_logprobs: piece.likeliest.iter().take(asked).map(Token::from).collect(),
        };
        Self { content: pieces.iter().map(place).collect(), refusal: None }
    }
}

// === impl Token ===

impl Token {
    fn new(text: &str, logprob: Option<f32>) -> Self {
        let is_whole = !text.contains(char::REPLACEMENT_CHARACTER);
        Self {
            token: text.to_owned(),
            logprob: logprob.map(|logprob| logprob.max(LEAST)),
            bytes: is_whole.then(|| text.as_bytes().to_vec()),
        }
    }
}

impl From<&Likely> for Token {
    fn from(likely: &Likely) -> Self {
        Self::new(&likely.text, Some(likely.logprob))
    }
}
