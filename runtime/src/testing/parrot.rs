//! A language model by rule: it says the prompt again, and then ends.
//!
//! A token is a byte of UTF-8, so that characters come in parts; 256 ends a text.

use std::sync::Arc;
use std::sync::Mutex;

use futures_util::stream;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{
    Context, Error, Finish, InferRequest, Likely, Model, ModelMetadata, Piece, Prompt, Refusal, ResponseStream,
    TextEvent, TextModel, TextRequest, TextStream,
};

/// The model. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Parrot {
    metadata: ModelMetadata,
    /// Where it waits before each token, if it does.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// One for each text that was given up.
    pub(crate) given_up: Arc<Semaphore>,
    /// What it was asked.
    pub(crate) asked: Arc<Mutex<Vec<TextRequest>>>,
}

/// A text on its way.
struct Speech {
    request: TextRequest,
    events: UnboundedSender<Result<TextEvent, Error>>,
    /// Bytes that were not told yet.
    held: Vec<u8>,
    new_tokens: usize,
}

/// Tokens that prompt and answer may have together.
pub(crate) const CONTEXT: usize = 200;

const END: u32 = 256;

// === impl Parrot ===

impl Parrot {
    pub(crate) fn new() -> Self {
        Self {
            metadata: super::metadata(&[], &[]),
            permits: None,
            given_up: Arc::new(Semaphore::new(0)),
            asked: Arc::default(),
        }
    }

    /// One that says a token when it gets a permit.
    pub(crate) fn waiting() -> Self {
        Self { permits: Some(Arc::new(Semaphore::new(0))), ..Self::new() }
    }

    pub(crate) fn model(&self) -> Arc<dyn Model> {
        Arc::new(self.clone())
    }

    pub(crate) fn last_asked(&self) -> TextRequest {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    async fn speak(self, mut speech: Speech) {
        let prompt = match &speech.request.prompt {
            Prompt::Text(text) => text.clone().into_bytes(),
            Prompt::Tokens(tokens) => tokens.iter().map(|&token| u8::try_from(token).unwrap()).collect(),
            Prompt::Chat { messages, .. } => template(messages).into_bytes(),
        };
        if prompt.starts_with(b"refuse") {
            return speech.tell(Err(Error::refused(Refusal::NoRoom, "there is no room for this text")));
        }
        let most = speech.request.max_new_tokens.unwrap_or(CONTEXT - prompt.len().min(CONTEXT));
        if prompt.len() + most > CONTEXT {
            let text = format!("the prompt has {} tokens, with {most} more that is over {CONTEXT}", prompt.len());
            return speech.tell(Err(Error::invalid(text)));
        }
        speech.tell(Ok(TextEvent::Begun { prompt_tokens: prompt.len(), cached_tokens: prompt.len() / 2 }));
        let mut said = prompt.iter().copied().map(u32::from).chain([END]).cycle();
        for _ in 0..most {
            if let Some(permits) = &self.permits {
                permits.acquire().await.unwrap().forget();
            }
            let token = said.find(|&token| token != END || !speech.request.ignore_end).unwrap();
            if prompt.starts_with(b"break") && speech.new_tokens == 3 {
                return speech.tell(Err(Error::internal("the parrot flew away")));
            }
            if speech.say(token) {
                return;
            }
        }
        speech.end(Finish::Length);
    }
}

fn template(messages: &[Value]) -> String {
    let line = |message: &Value| {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}\n", text("role"), text("content"))
    };
    messages.iter().map(line).collect()
}

impl Model for Parrot {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        0
    }

    fn is_streaming(&self) -> bool {
        true
    }

    fn text(self: Arc<Self>) -> Option<Arc<dyn TextModel>> {
        Some(self)
    }

    fn infer(self: Arc<Self>, _: InferRequest, _: Context) -> ResponseStream {
        Box::pin(stream::iter([Err(Error::invalid("a parrot takes no tensors"))]))
    }
}

impl TextModel for Parrot {
    fn context_length(&self) -> usize {
        CONTEXT
    }

    fn generate(self: Arc<Self>, request: TextRequest, context: Context) -> TextStream {
        self.asked.lock().unwrap().push(request.clone());
        if request.prompt == Prompt::Text("panic".to_owned()) {
            return Box::pin(stream::once(async { panic!("this prompt always panics") }));
        }
        let (events, mut heard) = unbounded_channel();
        let speech = Speech { request, events, held: Vec::new(), new_tokens: 0 };
        let parrot = self.as_ref().clone();
        tokio::spawn(async move {
            let given_up = parrot.given_up.clone();
            tokio::select! {
                () = parrot.speak(speech) => {}
                () = context.cancelled.cancelled() => given_up.add_permits(1),
            }
        });
        Box::pin(stream::poll_fn(move |task| heard.poll_recv(task)))
    }
}

// === impl Speech ===

impl Speech {
    fn tell(&self, event: Result<TextEvent, Error>) {
        let _ = self.events.send(event);
    }

    /// Whether that was the end.
    fn say(&mut self, token: u32) -> bool {
        self.new_tokens += 1;
        let text = if token == END { String::new() } else { self.add(u8::try_from(token).unwrap()) };
        let own = match u8::try_from(token) {
            Ok(byte) => String::from_utf8_lossy(&[byte]).into_owned(),
            Err(_) => "</s>".to_owned(),
        };
        let likely = |rank: u32| Likely {
            token: token + rank,
            text: if rank == 0 { own.clone() } else { format!("{own}+{rank}") },
            logprob: -0.5 - rank as f32,
        };
        let likeliest = self.request.logprobs.map(|count| (0..count.max(1) as u32).map(likely).collect());
        let logprob = self.request.logprobs.map(|_| -0.5);
        self.tell(Ok(TextEvent::Token(Piece { token, text, logprob, likeliest: likeliest.unwrap_or_default() })));
        if token == END {
            self.end(Finish::Stop);
            return true;
        }
        let stop = self.request.stop.iter().find(|stop| self.held.ends_with(stop.as_bytes())).cloned();
        if let Some(stop) = stop {
            self.held.truncate(self.held.len() - stop.len());
            self.end(Finish::Stop);
            return true;
        }
        false
    }

    /// What may be told now: whole characters that are not the begin of a stop text.
    fn add(&mut self, byte: u8) -> String {
        self.held.push(byte);
        let is_begun =
            |from: &usize| self.request.stop.iter().any(|stop| stop.as_bytes().starts_with(&self.held[*from..]));
        let free = (0..self.held.len()).find(is_begun).unwrap_or(self.held.len());
        let whole = match std::str::from_utf8(&self.held[..free]) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        String::from_utf8(self.held.drain(..whole).collect()).unwrap()
    }

    fn end(&mut self, reason: Finish) {
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned();
        self.tell(Ok(TextEvent::Ended { reason, text, new_tokens: self.new_tokens }));
    }
}
