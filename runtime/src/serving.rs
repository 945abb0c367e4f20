//! One inference, whatever wire it came on: find, check, ask, count.

mod embedding;
mod generation;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use futures_util::{FutureExt, Stream, StreamExt};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::catalogue::Catalogue;
use crate::error::{Error, ErrorKind};
use crate::message::{InferRequest, InferResponse};
use crate::metrics::{Account, Metrics, MetricsOptions, Outcome, Stopwatch};
use crate::model::{Context, ResponseStream};
use crate::residency::Loaded;
use crate::traces::Trace;

/// What the front ends share.
pub(crate) struct Serving {
    catalogue: Arc<Catalogue>,
    metrics: Metrics,
    is_draining: AtomicBool,
    /// Ends streams that would otherwise be cut off.
    farewell: CancellationToken,
}

/// A request that a model is answering: a stream of its responses. Dropping it cancels the work.
pub(crate) struct Inference {
    responses: ResponseStream,
    /// Names of the outputs asked for; empty: all.
    wanted: Vec<String>,
    rows: usize,
    loaded: Arc<Loaded>,
    started: Instant,
    watch: Arc<Stopwatch>,
    serving: Arc<Serving>,
    trace: Trace,
    has_responded: bool,
    /// How the stream ended, if it has.
    outcome: Option<Outcome>,
    _cancel: DropGuard,
}

// === impl Serving ===

impl Serving {
    pub(crate) fn new(catalogue: Arc<Catalogue>, options: &MetricsOptions) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(catalogue.residency(), options)?;
        Ok(Self { catalogue, metrics, is_draining: AtomicBool::new(false), farewell: CancellationToken::new() })
    }

    pub(crate) fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// From now on the server is not ready; what is in flight goes on.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Cancelled shortly before connections are cut off: a stream that has begun ends with an error then. A request that
    /// was not answered yet is better off with a connection that breaks, because a gateway asks another server.
    pub(crate) fn farewell(&self) -> &CancellationToken {
        &self.farewell
    }

    /// Whether requests should be sent here; an error says why not.
    pub(crate) fn check_ready(&self) -> Result<(), Error> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the server is shutting down"));
        }
        if !self.catalogue.is_settled() {
            return Err(Error::new(ErrorKind::Unavailable, "models are loading"));
        }
        Ok(())
    }

    /// Puts the request to the model.
    pub(crate) fn infer(
        self: &Arc<Self>,
        loaded: Arc<Loaded>,
        request: InferRequest,
        trace: Trace,
    ) -> Result<Inference, Error> {
        let started = Instant::now();
        let account = account(&loaded, &self.metrics);
        let watch = Stopwatch::start(account.counters().clone(), started);
        if let Err(error) = check(&loaded, &request) {
            account.ended(Outcome::Other, started.elapsed(), watch.measured());
            return Err(error);
        }
        let cancelled = CancellationToken::new();
        let wanted = request.outputs.iter().map(|output| output.name.clone()).collect();
        let rows = request.inputs.first().and_then(|input| input.shape().first().copied()).unwrap_or(1);
        let model = loaded.model().clone();
        let context = Context::new(cancelled.clone(), Some(watch.clone()), loaded.lease().clone());
        let responses = model.infer(request, context);
        self.metrics.in_flight().inc();
        let (serving, _cancel) = (self.clone(), cancelled.drop_guard());
        let (has_responded, outcome) = (false, None);
        Ok(Inference {
            responses,
            wanted,
            rows,
            loaded,
            started,
            watch,
            serving,
            trace,
            has_responded,
            outcome,
            _cancel,
        })
    }
}

fn account<'a>(loaded: &'a Loaded, metrics: &Metrics) -> &'a Account {
    loaded.account.get_or_init(|| metrics.open_account(loaded.name(), loaded.version()))
}

fn check(loaded: &Loaded, request: &InferRequest) -> Result<(), Error> {
    if request.inputs.is_empty() {
        return Err(Error::invalid("the request has no inputs"));
    }
    if let Some(most) = loaded.max_batch_size() {
        check_batch_size(request, most)?;
    }
    let metadata = loaded.model().metadata();
    if metadata.outputs.is_empty() {
        return Ok(());
    }
    for wanted in &request.outputs {
        if !metadata.outputs.iter().any(|output| output.name == wanted.name) {
            let known: Vec<_> = metadata.outputs.iter().map(|output| output.name.as_str()).collect();
            let text = format!("unknown output '{}', the model gives: {}", wanted.name, known.join(", "));
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

fn check_batch_size(request: &InferRequest, most: u64) -> Result<(), Error> {
    for input in &request.inputs {
        let rows = input.shape().first().copied().unwrap_or(1);
        if u64::try_from(rows).unwrap_or(u64::MAX) > most {
            let text = format!("input '{}' has {rows} rows, max_batch_size of the model is {most}", input.name);
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

// === impl Inference ===

impl Inference {
    /// The only response, for calls that have room for one.
    pub(crate) async fn only(mut self) -> Result<InferResponse, Error> {
        let Some(first) = self.next().await else {
            self.outcome = Some(Outcome::Backend);
            return Err(Error::internal("the model gave no response"));
        };
        let response = first?;
        match self.next().await {
            None => Ok(response),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => {
                self.outcome = Some(Outcome::Other);
                let text = "the model gives several responses, ask it by gRPC ModelStreamInfer";
                Err(Error::new(ErrorKind::Unimplemented, text))
            }
        }
    }

    fn responded(&mut self) {
        let is_first = !std::mem::replace(&mut self.has_responded, true);
        let Some(account) = self.loaded.account.get() else { return };
        account.executed(self.rows);
        if is_first && self.loaded.model().is_streaming() {
            account.responded_first(self.started.elapsed());
        }
    }

    fn keep_wanted(&self, response: &mut InferResponse) -> Result<(), Error> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        response.outputs.retain(|output| self.wanted.contains(&output.name));
        // What the metadata declares was checked before, and a stream may give it in parts.
        if !self.loaded.model().metadata().outputs.is_empty() {
            return Ok(());
        }
        for name in &self.wanted {
            if !response.outputs.iter().any(|output| output.name == *name) {
                return Err(Error::invalid(format!("unknown output '{name}', the model did not give it")));
            }
        }
        Ok(())
    }
}

impl Stream for Inference {
    type Item = Result<InferResponse, Error>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.outcome.is_some() {
            return Poll::Ready(None);
        }
        // A panic in a model is this request's failure and nobody else's.
        let next = std::panic::AssertUnwindSafe(this.responses.next()).catch_unwind().poll_unpin(task);
        let item = match ready!(next) {
            Ok(item) => item,
            Err(_) => Some(Err(Error::internal("the model panicked, see the server's log"))),
        };
        Poll::Ready(match item {
            None => {
                this.outcome = Some(Outcome::Success);
                None
            }
            Some(result) => {
                let kept = result.and_then(|mut response| {
                    this.keep_wanted(&mut response)?;
                    Ok(response)
                });
                match &kept {
                    Ok(_) => this.responded(),
                    Err(error) => this.outcome = Some(Outcome::of_model(error)),
                }
                Some(kept)
            }
        })
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        self.loaded.touch();
        let metrics = self.serving.metrics();
        metrics.in_flight().dec();
        let measured = self.watch.measured();
        if !measured.queued.is_zero() {
            metrics.waited(measured.queued);
        }
        self.trace.inferred(self.started, measured, self.rows);
        if let Some(account) = self.loaded.account.get() {
            // Dropped before its end: nobody got the answer.
            account.ended(self.outcome.unwrap_or(Outcome::Canceled), self.started.elapsed(), measured);
        }
    }
}
