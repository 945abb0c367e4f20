//! What a model is that makes vectors of texts: texts that mean the same are near each other.
//!
//! It is asked by an [`EmbeddingRequest`] and answers with [`Embeddings`], all at once. OpenAI's `embeddings` asks it so; as
//! a [`Model`](crate::Model) it answers tensors, too.

use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::model::Context;

/// The answer, once it is there. Dropped, nothing more is computed for it.
pub type EmbeddingFuture = Pin<Box<dyn Future<Output = Result<Embeddings, Error>> + Send>>;

/// Texts of a request: twice OpenAI's limit.
pub(crate) const MOST_TEXTS: usize = 4096;

/// A text to make a vector of.
#[derive(Clone, Debug, PartialEq)]
pub enum EmbeddingInput {
    /// A text, which the model's tokenizer reads, with the special tokens that it adds.
    Text(String),
    /// Tokens, as they are.
    Tokens(Vec<u32>),
}

/// Texts to make vectors of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbeddingRequest {
    /// The texts.
    pub inputs: Vec<EmbeddingInput>,
    /// Values that each vector is to have, of models that are trained to be cut there.
    pub dimensions: Option<usize>,
    /// Whether what is too long is cut, or refused; without it what the model's settings say.
    pub truncate: Option<bool>,
    /// Whether vectors are brought to the length 1; without it as the model does.
    pub normalize: Option<bool>,
    /// Which of the model's prompts is put before each text; without it the one that the model has for that, if any.
    pub prompt_name: Option<String>,
}

/// A vector for each text, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// Values of a vector.
    pub width: usize,
    /// The vectors, one after the other.
    pub values: Vec<f32>,
    /// Tokens of all texts together, special ones among them.
    pub tokens: usize,
}

/// A model that makes vectors of texts.
pub trait EmbeddingModel: Send + Sync + 'static {
    /// Tokens that a text may have.
    fn context_length(&self) -> usize;

    /// Makes vectors of texts. Returns at once; the work happens behind the future, and ends when that is dropped or
    /// `context.cancelled` is cancelled.
    fn embed(self: Arc<Self>, request: EmbeddingRequest, context: Context) -> EmbeddingFuture;
}
