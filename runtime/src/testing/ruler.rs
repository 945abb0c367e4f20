//! A model that makes vectors by rule: the bytes of a text, its first byte, and a half. A token is a byte.

use std::sync::{Arc, Mutex};

use futures_util::stream;

use crate::{
    Context, EmbeddingFuture, EmbeddingInput, EmbeddingModel, EmbeddingRequest, Embeddings, Error, InferRequest, Model,
    ModelMetadata, ResponseStream,
};

/// The model. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ruler {
    metadata: ModelMetadata,
    /// What it was asked.
    pub(crate) asked: Arc<Mutex<Vec<EmbeddingRequest>>>,
}

/// Tokens that a text may have.
pub(crate) const LONGEST: usize = 100;

// === impl Ruler ===

impl Ruler {
    pub(crate) fn new() -> Self {
        Self { metadata: super::metadata(&[], &[]), asked: Arc::default() }
    }

    pub(crate) fn model(&self) -> Arc<dyn Model> {
        Arc::new(self.clone())
    }

    pub(crate) fn last_asked(&self) -> EmbeddingRequest {
        self.asked.lock().unwrap().last().unwrap().clone()
    }
}

impl Model for Ruler {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        0
    }

    fn embedding(self: Arc<Self>) -> Option<Arc<dyn EmbeddingModel>> {
        Some(self)
    }

    fn infer(self: Arc<Self>, _: InferRequest, _: Context) -> ResponseStream {
        Box::pin(stream::iter([Err(Error::invalid("a ruler takes no tensors"))]))
    }
}

impl EmbeddingModel for Ruler {
    fn context_length(&self) -> usize {
        LONGEST
    }

    fn embed(self: Arc<Self>, request: EmbeddingRequest, _: Context) -> EmbeddingFuture {
        self.asked.lock().unwrap().push(request.clone());
        Box::pin(async move {
            let mut embeddings = Embeddings { width: 3, ..Embeddings::default() };
            for (number, input) in request.inputs.iter().enumerate() {
                let bytes = match input {
                    EmbeddingInput::Text(text) => text.clone().into_bytes(),
                    EmbeddingInput::Tokens(tokens) => tokens.iter().map(|&token| token as u8).collect(),
                };
                assert_ne!(bytes, b"panic", "this text always panics");
                if bytes.len() > LONGEST {
                    return Err(Error::invalid(format!("text {number} has {} tokens", bytes.len())));
                }
                let first = bytes.first().copied().map_or(-1.0, f32::from);
                embeddings.values.extend([bytes.len() as f32, first, 0.5]);
                embeddings.tokens += bytes.len();
            }
            Ok(embeddings)
        })
    }
}
