//! Vectors of texts: the same as an inference, of a model that makes them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{Serving, account};
use crate::embedding::{EmbeddingRequest, Embeddings};
use crate::error::Error;
use crate::metrics::{Outcome, Stopwatch};
use crate::model::Context;
use crate::residency::Loaded;
use crate::traces::Trace;

/// A request under way. Dropped before its end it was given up.
struct Asking {
    loaded: Arc<Loaded>,
    started: Instant,
    texts: usize,
    tokens: usize,
    watch: Arc<Stopwatch>,
    serving: Arc<Serving>,
    trace: Trace,
    /// How it ended, if it has.
    outcome: Option<Outcome>,
}

// === impl Serving ===

impl Serving {
    /// Has the model make vectors of texts. Dropping the future cancels the work.
    pub(crate) async fn embed(
        self: &Arc<Self>,
        loaded: &Arc<Loaded>,
        request: EmbeddingRequest,
        trace: Trace,
    ) -> Result<Embeddings, Error> {
        let started = Instant::now();
        let account = account(loaded, &self.metrics);
        let watch = Stopwatch::start(account.counters().clone(), started);
        let Some(model) = loaded.model().clone().embedding() else {
            account.ended(Outcome::Other, started.elapsed(), watch.measured());
            let text = format!(
                "model '{0}' makes no embeddings: ask it for {1}",
                loaded.name(),
                match loaded.model().clone().text() {
                    Some(_) => "completions".to_owned(),
                    None => format!("tensors, by POST /v2/models/{}/infer or gRPC", loaded.name()),
                }
            );
            return Err(Error::invalid(text));
        };
        let cancelled = CancellationToken::new();
        let context = Context::new(cancelled.clone(), Some(watch.clone()), loaded.lease().clone());
        let _cancel = cancelled.drop_guard();
        let mut asking = Asking {
            loaded: loaded.clone(),
            started,
            texts: request.inputs.len(),
            tokens: 0,
            watch,
            serving: self.clone(),
            trace,
            outcome: None,
        };
        self.metrics.in_flight().inc();
        // A panic in a model is this request's failure and nobody else's.
        let answer = AssertUnwindSafe(async { model.embed(request, context).await }).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err(Error::internal("the model panicked, see the server's log")));
        match &answer {
            Ok(embeddings) => {
                asking.tokens = embeddings.tokens;
                account.executed(asking.texts);
                account.texts().prompted(embeddings.tokens, 0);
                asking.outcome = Some(Outcome::Success);
            }
            Err(error) => asking.outcome = Some(Outcome::of_model(error)),
        }
        answer
    }
}

// === impl Asking ===

impl Drop for Asking {
    fn drop(&mut self) {
        self.loaded.touch();
        let metrics = self.serving.metrics();
        metrics.in_flight().dec();
        let measured = self.watch.measured();
        if !measured.queued.is_zero() {
            metrics.waited(measured.queued);
        }
        self.trace.embedded(self.started, measured, self.texts, self.tokens);
        if let Some(account) = self.loaded.account.get() {
            account.ended(self.outcome.unwrap_or(Outcome::Canceled), self.started.elapsed(), measured);
        }
    }
}
