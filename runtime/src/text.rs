//! What a model is that goes on with texts: a language model.
//!
//! It is asked by [`TextRequest`] and answers with a stream of [`TextEvent`]s: one [`Begun`](TextEvent::Begun), a
//! [`Token`](TextEvent::Token) for each token as it is found, one [`Ended`](TextEvent::Ended). The front ends of texts
//! (Triton's `generate`, OpenAI's completions) ask it so; as a [`Model`](crate::Model) it answers tensors, too.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::model::Context;

/// Events as they come; the stream ends behind [`TextEvent::Ended`] or behind an error.
pub type TextStream = Pin<Box<dyn Stream<Item = Result<TextEvent, Error>> + Send>>;

/// What a text begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// A text, which the model's tokenizer reads.
    Text(String),
    /// Tokens.
    Tokens(Vec<u32>),
    /// A conversation, of which the model's chat template makes a text.
    Chat {
        /// Each an object with `role` and `content`, and what else the template may look at.
        messages: Vec<Value>,
        /// Further variables of the template, such as `tools` or `enable_thinking`.
        variables: Map<String, Value>,
    },
}

/// How the next token is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the scores: the higher, the more even. At 0 the best token is taken, always (greedy).
    pub temperature: f32,
    /// Of the likeliest tokens as many as together have this probability; 1 for all.
    pub top_p: f32,
    /// So many of the likeliest tokens; 0 for all.
    pub top_k: usize,
    /// The same seed gives the same text again; without one it is drawn.
    pub seed: Option<u64>,
    /// Divides the scores of tokens that stand in prompt or text if they are positive, and multiplies others; 1 for no
    /// penalty.
    pub repetition_penalty: f32,
    /// Is taken from the scores of tokens that stand in the text.
    pub presence_penalty: f32,
    /// Is taken from the score of a token for each time that it stands in the text.
    pub frequency_penalty: f32,
}

/// A text to go on with.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRequest {
    /// What it begins with.
    pub prompt: Prompt,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Most tokens to add; without it what the model has room for, or what its settings say.
    pub max_new_tokens: Option<usize>,
    /// Texts behind which nothing more is wanted; they are left out themselves.
    pub stop: Vec<String>,
    /// Do not end at the token that ends texts.
    pub ignore_end: bool,
    /// How many of the likeliest tokens to name with each one, with their log probabilities; `Some(0)` gives those of the
    /// chosen tokens alone.
    pub logprobs: Option<usize>,
}

/// A token, its text and the natural logarithm of its probability, before temperature and penalties.
#[derive(Clone, Debug, PartialEq)]
pub struct Likely {
    /// The token.
    pub token: u32,
    /// Its own text; � where it is a part of a character.
    pub text: String,
    /// ln p.
    pub logprob: f32,
}

/// One token more.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The token.
    pub token: u32,
    /// What it adds to the text: nothing as long as a character, or what may be the begin of a stop text, is not whole.
    pub text: String,
    /// Its own log probability, where asked for.
    pub logprob: Option<f32>,
    /// The likeliest tokens of its place, the likeliest first, as many as asked for; behind them the token itself, if it
    /// is not one of them. (Its own text stands only here: what it adds to the text may be held back.)
    pub likeliest: Vec<Likely>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// By the token that ends texts, or by a stop text.
    Stop,
    /// There are as many tokens as were asked for, or as the model has room for.
    Length,
}

/// What happens to a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextEvent {
    /// The prompt was read.
    Begun {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Of these, those that need not be computed because an earlier text began with them.
        cached_tokens: usize,
    },
    /// One token more.
    Token(Piece),
    /// The end.
    Ended {
        /// Why.
        reason: Finish,
        /// What is left of the text that was held back, if anything.
        text: String,
        /// Tokens that were added, with the one that ended the text.
        new_tokens: usize,
    },
}

/// A language model.
pub trait TextModel: Send + Sync + 'static {
    /// Tokens that prompt and answer may have together.
    fn context_length(&self) -> usize;

    /// Goes on with a text. Returns at once; the work happens behind the stream, and ends when the stream is dropped
    /// or `context.cancelled` is cancelled.
    fn generate(self: Arc<Self>, request: TextRequest, context: Context) -> TextStream;
}

// === impl Sampling ===

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            seed: None,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
        }
    }
}

impl Sampling {
    /// What is out of its range, by the name that every wire has for it, and what was expected.
    pub(crate) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(("temperature", "0 or more"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(("top_p", "more than 0, at most 1"));
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err(("repetition_penalty", "more than 0"));
        }
        if !(-2.0..=2.0).contains(&self.presence_penalty) {
            return Err(("presence_penalty", "-2 to 2"));
        }
        if !(-2.0..=2.0).contains(&self.frequency_penalty) {
            return Err(("frequency_penalty", "-2 to 2"));
        }
        Ok(())
    }
}

// === impl Finish ===

impl Finish {
    /// The word that OpenAI's and Triton's clients read.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

// === impl TextRequest ===

impl TextRequest {
    /// Of this prompt, greedy, with all that the model has room for.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            sampling: Sampling::default(),
            max_new_tokens: None,
            stop: Vec::new(),
            ignore_end: false,
            logprobs: None,
        }
    }
}
