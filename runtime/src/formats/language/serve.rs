//! A language model behind the front ends: as tensors, with the conventions of ModelMesh's example, and as texts.
//!
//! - The input `content` is BYTES, one text an element.
//! - `output-0` is BYTES, `[texts, 1]`: each prompt with what follows it.

mod tensors;

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::adapter::Adapter;
use super::base::{Base, CONTEXT};
use super::config::Positions;
use super::engine::Job;
use super::settings::Settings;
use crate::error::Error;
use crate::message::{InferRequest, InferResponse};
use crate::model::{Context, Device, Model, ModelMetadata, ResponseStream, SharedMemory, TensorSpec};
use crate::tensor::DataType;
use crate::text::{Prompt, TextEvent, TextModel, TextRequest, TextStream};

/// A text of so many bytes takes long enough to read into tokens to hold up an async thread.
const LARGE_TEXT: usize = 4096;

/// A base, perhaps with an adapter, ready to be asked.
pub(super) struct LanguageModel {
    base: Arc<Base>,
    adapter: Option<Arc<Adapter>>,
    settings: Settings,
    metadata: ModelMetadata,
}

// === impl LanguageModel ===

impl LanguageModel {
    pub(super) fn new(base: Arc<Base>, adapter: Option<Adapter>, settings: Settings) -> Self {
        let spec = |name: &str, shape: Vec<i64>| TensorSpec { name: name.to_owned(), datatype: DataType::Bytes, shape };
        let metadata = ModelMetadata {
            platform: format!("huggingface_{}", base.core.decoder.config().family),
            inputs: vec![spec(settings.input(), vec![-1])],
            outputs: vec![spec(settings.output(), vec![-1, 1])],
            ..ModelMetadata::default()
        };
        Self { base, adapter: adapter.map(Arc::new), settings, metadata }
    }

    /// Positions of a text, an adapter's among them.
    fn positions(&self) -> usize {
        let config = self.base.core.decoder.config();
        let own = config.context.unwrap_or(CONTEXT);
        // ALiBi goes on behind the texts that the model was trained with, rotations were not seen there.
        let is_limit = !matches!(config.positions, Positions::Alibi);
        self.settings.context_length.map_or(own, |wanted| if is_limit { wanted.min(own) } else { wanted })
    }

    /// Tokens that end a text.
    fn ends(&self) -> Vec<u32> {
        let config = self.base.core.decoder.config();
        match (&self.settings.eos_token_id, config.padding) {
            (Some(tokens), _) => tokens.all(),
            // PEFT's example trains texts that end so, and asks for them to.
            (None, Some(padding)) if self.settings.is_of_a_dataset() => vec![padding],
            _ => config.ends.clone(),
        }
    }

    /// Hands a text in.
    async fn submit(
        self: &Arc<Self>,
        request: TextRequest,
        context: Context,
    ) -> Result<(Vec<u32>, mpsc::UnboundedReceiver<Result<TextEvent, Error>>), Error> {
        let prompt = self.clone().tokens(request.prompt).await?;
        let before = self.adapter.as_ref().map_or(0, |adapter| adapter.positions());
        let room = self.room(before, &prompt)?;
        let (events, received) = mpsc::unbounded_channel();
        let job = Job {
            prompt: prompt.clone(),
            adapter: self.adapter.clone(),
            sampling: request.sampling,
            new_tokens: request.max_new_tokens.unwrap_or(room).min(room),
            ends: if request.ignore_end { Vec::new() } else { self.ends() },
            stop: request.stop,
            logprobs: request.logprobs,
            context,
            events,
        };
        self.base.engine.submit(job)?;
        Ok((prompt, received))
    }

    /// Tokens that there is room for behind a prompt.
    fn room(&self, before: usize, prompt: &[u32]) -> Result<usize, Error> {
        let all = self.positions();
        let taken = before + prompt.len();
        let of_adapter = if before > 0 { format!(" and the adapter {before}") } else { String::new() };
        if taken >= all {
            let text = format!(
                "the prompt has {} tokens{of_adapter}, the model has room for {all} with at least one new token",
                prompt.len()
            );
            return Err(Error::invalid(text));
        }
        if prompt.is_empty() && self.adapter.as_ref().is_none_or(|adapter| adapter.first_scores().is_none()) {
            return Err(Error::invalid("the prompt has no tokens, and the model has nothing that begins a text"));
        }
        let shape = self.base.core.decoder.cache_shape();
        let cache = self.base.engine.options().cache_bytes;
        if shape.bytes(taken + 1) > cache {
            let text = format!(
                "the prompt has {} tokens{of_adapter}, which is more than the {cache} bytes of cache_bytes have room for",
                prompt.len()
            );
            return Err(Error::invalid(text));
        }
        let vocabulary = self.base.core.decoder.config().vocabulary;
        if let Some(token) = prompt.iter().find(|token| **token as usize >= vocabulary) {
            return Err(Error::invalid(format!("the prompt has the token {token}, the vocabulary has {vocabulary}")));
        }
        Ok(all - taken)
    }

    async fn tokens(self: Arc<Self>, prompt: Prompt) -> Result<Vec<u32>, Error> {
        match prompt {
            Prompt::Tokens(tokens) => Ok(tokens),
            Prompt::Text(text) if text.len() < LARGE_TEXT => self.read(&text),
            Prompt::Text(text) => {
                let task = tokio::task::spawn_blocking(move || self.read(&text));
                task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the tokenizer stopped: {fault}"))))
            }
            Prompt::Chat { messages, variables } => {
                let task = tokio::task::spawn_blocking(move || self.read_chat(messages, variables));
                task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the chat template stopped: {fault}"))))
            }
        }
    }

    fn read(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.base.core.tokens.encode(text).map_err(Error::internal)
    }

    fn read_chat(&self, messages: Vec<Value>, variables: Map<String, Value>) -> Result<Vec<u32>, Error> {
        let Some(template) = &self.base.core.template else {
            return Err(Error::invalid("the model has no chat template, ask it for completions"));
        };
        let text = template.render(messages, variables).map_err(Error::invalid)?;
        self.base.core.tokens.encode_rendered(&text).map_err(Error::internal)
    }
}

impl Model for LanguageModel {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        let adapter = self.adapter.as_ref().map_or(0, |adapter| adapter.size_bytes());
        (adapter + self.metadata.heap_bytes() + size_of::<Self>()) as u64
    }

    fn shared(&self) -> Option<Arc<SharedMemory>> {
        Some(self.base.memory.clone())
    }

    fn device(&self) -> Device {
        self.base.core.decoder.processor().device()
    }

    fn text(self: Arc<Self>) -> Option<Arc<dyn TextModel>> {
        Some(self)
    }

    fn infer(self: Arc<Self>, request: InferRequest, context: Context) -> ResponseStream {
        let asked = match tensors::Asked::read(&request, &self.settings) {
            Ok(asked) => asked,
            Err(error) => return Box::pin(stream::once(async { Err(error) })),
        };
        if asked.is_stream {
            return Box::pin(stream::once(self.pieces(asked, context)).flat_map(|stream| match stream {
                Ok(stream) => stream,
                Err(error) => Box::pin(stream::once(async { Err(error) })) as ResponseStream,
            }));
        }
        Box::pin(stream::once(async move { self.answers(asked, context).await }))
    }
}

impl TextModel for LanguageModel {
    fn context_length(&self) -> usize {
        self.positions()
    }

    fn generate(self: Arc<Self>, request: TextRequest, context: Context) -> TextStream {
        let events = async move {
            match self.submit(request, context).await {
                Ok((_, received)) => stream::unfold(received, |mut received| async {
                    received.recv().await.map(|event| (event, received))
                })
                .boxed(),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        };
        Box::pin(stream::once(events).flatten())
    }
}

// As tensors.
impl LanguageModel {
    /// All texts at once, in one response.
    async fn answers(self: Arc<Self>, asked: tensors::Asked, context: Context) -> Result<InferResponse, Error> {
        let mut under_way = Vec::with_capacity(asked.texts.len());
        for text in &asked.texts {
            under_way.push(self.submit(asked.request(text), context.clone()).await?);
        }
        let mut answers = Vec::with_capacity(under_way.len());
        for (mut tokens, mut received) in under_way {
            let prompt = tokens.len();
            let mut pieces = String::new();
            let mut has_ended = false;
            while let Some(event) = received.recv().await {
                match event? {
                    TextEvent::Begun { .. } => {}
                    TextEvent::Token(piece) => {
                        tokens.push(piece.token);
                        pieces.push_str(&piece.text);
                    }
                    TextEvent::Ended { text, .. } => {
                        pieces.push_str(&text);
                        has_ended = true;
                    }
                }
            }
            if !has_ended {
                return Err(Error::internal("the model's thread has stopped"));
            }
            // The whole text is written at once, so that it is what transformers writes; a stop text cuts it.
            let text = match (asked.has_prompt, asked.has_stops()) {
                (true, false) => self.base.core.tokens.decode(&tokens).map_err(Error::internal)?,
                (true, true) => {
                    let prompt = tokens.get(..prompt).unwrap_or_default();
                    self.base.core.tokens.decode(prompt).map_err(Error::internal)? + &pieces
                }
                (false, _) => pieces,
            };
            answers.push(text);
        }
        asked.response(answers)
    }

    /// One text, a response for each piece.
    async fn pieces(self: Arc<Self>, asked: tensors::Asked, context: Context) -> Result<ResponseStream, Error> {
        let [text] = asked.texts.as_slice() else {
            let text = format!("a stream is for one text, got {}", asked.texts.len());
            return Err(Error::invalid(text));
        };
        let events = self.generate(asked.request(text), context);
        let pieces = events.filter_map(move |event| {
            let piece = match event {
                Ok(TextEvent::Token(piece)) => Ok(piece.text),
                Ok(TextEvent::Ended { text, .. }) => Ok(text),
                Ok(TextEvent::Begun { .. }) => Ok(String::new()),
                Err(error) => Err(error),
            };
            let response = match piece {
                Ok(text) if text.is_empty() => None,
                Ok(text) => Some(asked.response(vec![text])),
                Err(error) => Some(Err(error)),
            };
            async { response }
        });
        Ok(Box::pin(pieces))
    }
}
