//! Answers, whole or in parts, and the count of their tokens.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use super::Dialect;
use super::members::StreamOptions;
use super::problem::Problem;
use crate::error::Error;
use crate::rest::texts::Texts;
use crate::text::{Finish, Piece, TextEvent};

/// What an answer and all its parts begin with.
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
}

/// Writes the answer to one request.
pub(super) struct Writer<D> {
    head: Head,
    dialect: D,
    /// By choice.
    counts: Vec<Counts>,
    of_a_prompt: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    prompt_tokens: usize,
    cached_tokens: usize,
    new_tokens: usize,
}

/// A choice while it grows.
#[derive(Default)]
struct Growing {
    text: String,
    pieces: Vec<Piece>,
    reason: Option<Finish>,
}

#[derive(Serialize)]
struct Envelope<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Told::is_untold")]
    usage: Told,
}

/// Whether `usage` is a member, and what it says.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Told {
    Untold,
    /// There, without a value: OpenAI's parts before the one that has it.
    Null(()),
    Usage(Usage),
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct PromptDetails {
    cached_tokens: usize,
}

/// The end of a stream.
const DONE: &str = "[DONE]";

// === impl Head ===

impl Head {
    pub(super) fn new<D: Dialect>(model: String) -> Self {
        /// Tells answers of two processes apart.
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { id: format!("{}-{:016x}{count:08x}", D::ID, *PROCESS), created, model }
    }
}

// === impl Writer ===

impl<D: Dialect> Writer<D> {
    pub(super) fn new(head: Head, dialect: D, choices: usize, of_a_prompt: usize) -> Self {
        Self { head, dialect, counts: vec![Counts::default(); choices], of_a_prompt: of_a_prompt.max(1) }
    }

    /// The whole answer, when every text has ended.
    pub(super) async fn whole(mut self, mut texts: Texts) -> Result<Vec<u8>, Problem> {
        let mut choices: Vec<Growing> = Vec::new();
        choices.resize_with(self.counts.len(), Growing::default);
        while let Some(event) = texts.next().await {
            let (index, event) = event?;
            self.count(index, &event);
            let Some(choice) = choices.get_mut(index) else { continue };
            match event {
                TextEvent::Begun { .. } => {}
                TextEvent::Token(piece) => {
                    choice.text.push_str(&piece.text);
                    if self.dialect.keeps_pieces() {
                        choice.pieces.push(piece);
                    }
                }
                TextEvent::Ended { reason, text, .. } => {
                    choice.text.push_str(&text);
                    choice.reason = Some(reason);
                }
            }
        }
        let mut written = Vec::with_capacity(choices.len());
        for (index, choice) in choices.into_iter().enumerate() {
            let reason = choice.reason.ok_or_else(|| Error::internal("a text has no end"))?;
            written.push(self.dialect.choice(index, choice.text, &choice.pieces, reason));
        }
        let envelope = self.envelope(D::WHOLE, &written, Told::Usage(self.usage()));
        serde_json::to_vec(&envelope)
            .map_err(|error| Error::internal(format!("cannot write the answer: {error}")).into())
    }

    /// The parts of the answer as they come, each the data of an event.
    pub(super) fn parts(self, texts: Texts, options: StreamOptions) -> impl Stream<Item = String> + Send + 'static {
        // The texts' end is an event, too.
        let events = texts.map(Some).chain(stream::once(std::future::ready(None)));
        let mut writer = self;
        let mut has_failed = false;
        let lines = events.map(move |event| match event {
            Some(Ok((index, event))) => writer.part(index, event, options).into_iter().collect(),
            Some(Err(error)) => {
                has_failed = true;
                vec![Problem::from(error).event()]
            }
            None if options.include_usage && !has_failed => {
                let usage = writer.line(&[], Told::Usage(writer.usage()));
                vec![usage, DONE.to_owned()]
            }
            None => vec![DONE.to_owned()],
        });
        lines.flat_map(stream::iter)
    }

    fn part(&mut self, index: usize, event: TextEvent, options: StreamOptions) -> Option<String> {
        self.count(index, &event);
        let part = match event {
            TextEvent::Begun { .. } => self.dialect.begun(index),
            TextEvent::Token(piece) => self.dialect.token(index, piece),
            TextEvent::Ended { text, reason, .. } => Some(self.dialect.ended(index, text, reason)),
        }?;
        let told = match (options.continuous_usage_stats, options.include_usage) {
            (true, _) => self.counts.get(index).map_or(Told::Untold, |counts| Told::Usage((*counts).into())),
            (false, true) => Told::Null(()),
            (false, false) => Told::Untold,
        };
        Some(self.line(&[part], told))
    }

    fn line(&self, parts: &[D::Part], usage: Told) -> String {
        // Texts and numbers always serialize.
        serde_json::to_string(&self.envelope(D::PART, parts, usage)).unwrap_or_default()
    }

    fn envelope<'a, C>(&'a self, object: &'static str, choices: &'a [C], usage: Told) -> Envelope<'a, C> {
        let Head { id, created, model } = &self.head;
        Envelope { id, object, created: *created, model, choices, usage }
    }

    fn count(&mut self, index: usize, event: &TextEvent) {
        let Some(counts) = self.counts.get_mut(index) else { return };
        match event {
            TextEvent::Begun { prompt_tokens, cached_tokens } => {
                counts.prompt_tokens = *prompt_tokens;
                counts.cached_tokens = *cached_tokens;
            }
            TextEvent::Token(_) => counts.new_tokens += 1,
            TextEvent::Ended { new_tokens, .. } => counts.new_tokens = *new_tokens,
        }
    }

    /// Of all choices together; a prompt counts once, however many choices it has.
    fn usage(&self) -> Usage {
        let mut sum = Counts::default();
        for (index, counts) in self.counts.iter().enumerate() {
            sum.new_tokens += counts.new_tokens;
            if index % self.of_a_prompt == 0 {
                sum.prompt_tokens += counts.prompt_tokens;
                sum.cached_tokens += counts.cached_tokens;
            }
        }
        sum.into()
    }
}

// === impl Usage ===

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        Self {
            prompt_tokens: counts.prompt_tokens,
            completion_tokens: counts.new_tokens,
            total_tokens: counts.prompt_tokens + counts.new_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens: counts.cached_tokens },
        }
    }
}

// === impl Told ===

impl Told {
    fn is_untold(&self) -> bool {
        matches!(self, Self::Untold)
    }
}
