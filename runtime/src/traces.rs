//! Spans of requests, for whoever set up OpenTelemetry in this process.
//!
//! A request's span continues the trace of its caller. Below it stand the wait for a load, where there was one, and
//! the model's computation. Where traces are off, or the caller's trace is not sampled, a [`Trace`] is nothing and
//! costs nothing.

mod call;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use http::{Extensions, HeaderMap};
use opentelemetry::global::{self, BoxedSpan, BoxedTracer};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};

use crate::error::Error;
use crate::metrics::Measured;
use crate::residency::Loaded;

use call::Call;
pub(crate) use call::Protocol;

/// Makes the spans of requests.
#[derive(Clone)]
pub(crate) struct Traces(Option<Arc<BoxedTracer>>);

/// The trace of one request; nothing if it is not recorded.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<Recording>>);

struct Recording {
    tracer: Arc<BoxedTracer>,
    span: Mutex<BoxedSpan>,
    context: SpanContext,
    protocol: Protocol,
    /// What was found last: a stream may ask several times.
    model: Mutex<Vec<KeyValue>>,
    /// One moment on both clocks: durations are measured on one, spans are told on the other.
    began: Instant,
    began_at: SystemTime,
}

struct Headers<'a>(&'a HeaderMap);

/// A request that waits for its model.
struct Wait<'a> {
    recording: &'a Recording,
    began: Instant,
    has_waited: bool,
    error: Option<String>,
}

// === impl Traces ===

impl Traces {
    /// By the tracer that this process has set up globally, if traces are on.
    pub(crate) fn new(is_on: bool) -> Self {
        Self(is_on.then(|| Arc::new(global::tracer("modelway"))))
    }

    /// The trace of a request that is an inference; of others there is none.
    pub(crate) fn begin<B>(&self, request: &http::Request<B>) -> Trace {
        let Some(tracer) = &self.0 else { return Trace(None) };
        let Some(Call { name, protocol }) = Call::of(request.method(), request.uri().path()) else {
            return Trace(None);
        };
        let caller = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(request.headers())));
        let attributes = vec![
            KeyValue::new("modelway.protocol", protocol.as_str()),
            KeyValue::new("url.path", request.uri().path().to_owned()),
        ];
        let builder = tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = tracer.build_with_context(builder, &caller);
        if !span.is_recording() {
            return Trace(None);
        }
        let context = span.span_context().clone();
        let (tracer, span) = (tracer.clone(), Mutex::new(span));
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let model = Mutex::default();
        Trace(Some(Arc::new(Recording { tracer, span, context, protocol, model, began, began_at })))
    }
}

// === impl Trace ===

impl Trace {
    /// The trace that was put beside a request.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// The model that a catalogue finds; if that takes a wait, the wait is a span.
    pub(crate) async fn find(
        &self,
        finding: impl Future<Output = Result<Arc<Loaded>, Error>>,
    ) -> Result<Arc<Loaded>, Error> {
        let Some(recording) = &self.0 else { return finding.await };
        let mut wait = Wait { recording, began: Instant::now(), has_waited: false, error: None };
        let mut finding = pin!(finding);
        let found = poll_fn(|task| {
            let found = finding.as_mut().poll(task);
            wait.has_waited |= found.is_pending();
            found
        });
        let found = found.await;
        wait.error = found.as_ref().err().map(|error| error.message().to_owned());
        drop(wait);
        if let Ok(loaded) = &found {
            *lock(&recording.model) = vec![
                KeyValue::new("modelway.model", loaded.name().to_owned()),
                KeyValue::new("modelway.version", loaded.version().unwrap_or_default().to_owned()),
                KeyValue::new("modelway.digest", loaded.digest().to_owned()),
            ];
        }
        found
    }

    /// The model has answered a request that came to it at this moment.
    pub(crate) fn inferred(&self, started: Instant, measured: Measured, rows: usize) {
        self.computed(started, measured, [("modelway.rows", rows)]);
    }

    /// The model has gone on with a text that came to it at this moment.
    pub(crate) fn generated(&self, started: Instant, measured: Measured, prompt_tokens: usize, new_tokens: usize) {
        // OpenTelemetry's names.
        let counts = [("gen_ai.usage.input_tokens", prompt_tokens), ("gen_ai.usage.output_tokens", new_tokens)];
        self.computed(started, measured, counts);
    }

    /// The model has made vectors of texts that came to it at this moment.
    pub(crate) fn embedded(&self, started: Instant, measured: Measured, texts: usize, tokens: usize) {
        self.computed(started, measured, [("modelway.rows", texts), ("gen_ai.usage.input_tokens", tokens)]);
    }

    fn computed<const N: usize>(&self, started: Instant, measured: Measured, counts: [(&'static str, usize); N]) {
        let Some(recording) = &self.0 else { return };
        let attribute = |(name, count): (_, usize)| KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX));
        // Of a model that does not tell when it computes it is the whole time.
        let span = measured.span.unwrap_or_else(|| (started, Instant::now()));
        recording.child("compute", span, counts.map(attribute).to_vec());
    }

    /// The answer was sent, or given up: its status on the wire, if there was one, and the bytes of both bodies.
    pub(crate) fn ended(&self, status: Option<u16>, is_fault: bool, request_bytes: u64, response_bytes: u64) {
        let Some(recording) = &self.0 else { return };
        let mut span = lock(&recording.span);
        span.set_attributes(std::mem::take(&mut *lock(&recording.model)));
        if let Some(status) = status {
            span.set_attribute(KeyValue::new(recording.protocol.status_attribute(), i64::from(status)));
        }
        let bytes = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        span.set_attribute(KeyValue::new("http.request.body.size", bytes(request_bytes)));
        span.set_attribute(KeyValue::new("http.response.body.size", bytes(response_bytes)));
        if is_fault {
            span.set_status(Status::error(""));
        }
        if status.is_none() {
            span.set_attribute(KeyValue::new("error.type", "aborted"));
            span.set_status(Status::error("the client left before the end of the answer"));
        }
        span.end();
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.0.as_ref().map(|recording| &recording.context)).finish()
    }
}

// === impl Wait ===

impl Drop for Wait<'_> {
    /// Also where the wait is given up.
    fn drop(&mut self) {
        if self.has_waited {
            let error = self.error.take().map(|error| KeyValue::new("error.message", error));
            self.recording.child("load", (self.began, Instant::now()), error.into_iter().collect());
        }
    }
}

// === impl Recording ===

impl Recording {
    fn child(&self, name: &'static str, (began, ended): (Instant, Instant), attributes: Vec<KeyValue>) {
        let parent = Context::new().with_remote_span_context(self.context.clone());
        let builder = self.tracer.span_builder(name).with_start_time(self.at(began)).with_attributes(attributes);
        self.tracer.build_with_context(builder, &parent).end_with_timestamp(self.at(ended));
    }

    fn at(&self, moment: Instant) -> SystemTime {
        self.began_at + moment.saturating_duration_since(self.began)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Headers ===

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
