//! One text: the same as an inference, of a model that goes on with texts.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Serving, account};
use crate::error::Error;
use crate::metrics::{Outcome, Stopwatch};
use crate::model::Context;
use crate::residency::Loaded;
use crate::text::{TextEvent, TextRequest, TextStream};
use crate::traces::Trace;

/// A text that a model is going on with: a stream of its events, of which the last is [`TextEvent::Ended`] or an error.
/// Dropping it cancels the work.
pub(crate) struct Generation {
    events: TextStream,
    loaded: Arc<Loaded>,
    started: Instant,
    /// When the last token came.
    last_token: Option<Instant>,
    prompt_tokens: usize,
    new_tokens: usize,
    watch: Arc<Stopwatch>,
    serving: Arc<Serving>,
    trace: Trace,
    /// How it ended, if it has.
    outcome: Option<Outcome>,
    _cancel: DropGuard,
}

// === impl Serving ===

impl Serving {
    /// Has the model go on with a text.
    pub(crate) fn generate(
        self: &Arc<Self>,
        loaded: Arc<Loaded>,
        request: TextRequest,
        trace: Trace,
    ) -> Result<Generation, Error> {
        let started = Instant::now();
        let account = account(&loaded, &self.metrics);
        let watch = Stopwatch::start(account.counters().clone(), started);
        let Some(model) = loaded.model().clone().text() else {
            account.ended(Outcome::Other, started.elapsed(), watch.measured());
            let name = loaded.name();
            let otherwise = match loaded.model().clone().embedding() {
                Some(_) => "embeddings, by POST /v1/embeddings".to_owned(),
                None => format!("tensors, by POST /v2/models/{name}/infer or gRPC"),
            };
            let text = format!("model '{name}' is not a language model: ask it for {otherwise}");
            return Err(Error::invalid(text));
        };
        let cancelled = CancellationToken::new();
        let context = Context::new(cancelled.clone(), Some(watch.clone()), loaded.lease().clone());
        let events = std::panic::catch_unwind(AssertUnwindSafe(|| model.generate(request, context)));
        let events = events.map_err(|_| {
            account.ended(Outcome::Backend, started.elapsed(), watch.measured());
            panicked()
        })?;
        self.metrics.in_flight().inc();
        let (serving, _cancel) = (self.clone(), cancelled.drop_guard());
        let (last_token, prompt_tokens, new_tokens, outcome) = (None, 0, 0, None);
        Ok(Generation {
            events,
            loaded,
            started,
            last_token,
            prompt_tokens,
            new_tokens,
            watch,
            serving,
            trace,
            outcome,
            _cancel,
        })
    }
}

fn panicked() -> Error {
    Error::internal("the model panicked, see the server's log")
}

// === impl Generation ===

impl Generation {
    fn count(&mut self, event: &TextEvent) {
        let Some(account) = self.loaded.account.get() else { return };
        let texts = account.texts();
        match event {
            TextEvent::Begun { prompt_tokens, cached_tokens } => {
                self.prompt_tokens = *prompt_tokens;
                texts.prompted(*prompt_tokens, *cached_tokens);
            }
            TextEvent::Token(_) => {
                let now = Instant::now();
                match self.last_token.replace(now) {
                    Some(last) => texts.went_on(now - last),
                    None => {
                        texts.began(now - self.started);
                        account.responded_first(now - self.started);
                    }
                }
                self.new_tokens += 1;
            }
            TextEvent::Ended { new_tokens, .. } => {
                texts.untold(new_tokens.saturating_sub(self.new_tokens));
                self.new_tokens = *new_tokens;
                account.executed(1);
            }
        }
    }
}

impl Stream for Generation {
    type Item = Result<TextEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.outcome.is_some() {
            return Poll::Ready(None);
        }
        // A panic in a model is this request's failure and nobody else's.
        let next = AssertUnwindSafe(this.events.next()).catch_unwind().poll_unpin(task);
        let item = match ready!(next) {
            Ok(Some(item)) => item,
            Ok(None) => Err(Error::internal("the model's text ended without a reason")),
            Err(_) => Err(panicked()),
        };
        match &item {
            Ok(event) => {
                this.count(event);
                if matches!(event, TextEvent::Ended { .. }) {
                    this.outcome = Some(Outcome::Success);
                }
            }
            Err(error) => this.outcome = Some(Outcome::of_model(error)),
        }
        Poll::Ready(Some(item))
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.loaded.touch();
        let metrics = self.serving.metrics();
        metrics.in_flight().dec();
        let measured = self.watch.measured();
        if !measured.queued.is_zero() {
            metrics.waited(measured.queued);
        }
        self.trace.generated(self.started, measured, self.prompt_tokens, self.new_tokens);
        if let Some(account) = self.loaded.account.get() {
            // Dropped before its end: nobody read on.
            account.ended(self.outcome.unwrap_or(Outcome::Canceled), self.started.elapsed(), measured);
        }
    }
}
