//! The numbers of one model and version.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::buckets::Buckets;
use super::stopwatch::Measured;
use super::texts::TextCounters;
use crate::error::{Error, ErrorKind};

/// Upper bounds of a request's time, from a small model's answer to a long generation: 250 µs to 10 s.
const REQUEST_BOUNDS: [u64; 14] = [
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Triton's bounds of the time until a first response: 100 ms to 5 s.
const FIRST_RESPONSE_BOUNDS: [u64; 4] = [100_000_000, 500_000_000, 2_000_000_000, 5_000_000_000];

/// How a request ended; failures by Triton's reasons.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Success,
    /// Healthy, and would not take it.
    Rejected,
    /// Nobody wanted the answer any more.
    Canceled,
    /// The model failed, or said that the request is wrong.
    Backend,
    /// It did not get as far as the model.
    Other,
}

/// The numbers. Written by requests without a lock.
#[derive(Debug)]
pub(crate) struct ModelCounters {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    inferences: AtomicU64,
    executions: AtomicU64,
    /// Times of the successful requests, in nanoseconds: microseconds would lose much of a small model's.
    request: AtomicU64,
    queue: AtomicU64,
    compute: AtomicU64,
    pending: AtomicI64,
    /// The model tells when it computes. Of one that does not, no such times are told.
    is_timed: AtomicBool,
    pub(super) duration: Buckets<{ REQUEST_BOUNDS.len() }>,
    pub(super) first_response: Buckets<{ FIRST_RESPONSE_BOUNDS.len() }>,
    /// Of a language model, once it is asked for a text.
    texts: OnceLock<Box<TextCounters>>,
}

// === impl Outcome ===

impl Outcome {
    pub(super) const ALL: [Self; 5] = [Self::Success, Self::Rejected, Self::Canceled, Self::Backend, Self::Other];
    pub(super) const FAILURES: [Self; 4] = [Self::Rejected, Self::Canceled, Self::Backend, Self::Other];

    /// What an error of a model means.
    pub(crate) fn of_model(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Exhausted => Self::Rejected,
            ErrorKind::Cancelled | ErrorKind::DeadlineExceeded => Self::Canceled,
            _ => Self::Backend,
        }
    }

    /// Triton's word for a failure.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Success => "",
            Self::Rejected => "REJECTED",
            Self::Canceled => "CANCELED",
            Self::Backend => "BACKEND",
            Self::Other => "OTHER",
        }
    }

    /// Our word, for the counts over all models.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
            Self::Backend => "backend",
            Self::Other => "other",
        }
    }
}

// === impl ModelCounters ===

impl ModelCounters {
    pub(super) fn new() -> Self {
        Self {
            outcomes: [const { AtomicU64::new(0) }; Outcome::ALL.len()],
            inferences: AtomicU64::new(0),
            executions: AtomicU64::new(0),
            request: AtomicU64::new(0),
            queue: AtomicU64::new(0),
            compute: AtomicU64::new(0),
            pending: AtomicI64::new(0),
            is_timed: AtomicBool::new(false),
            duration: Buckets::new(&REQUEST_BOUNDS),
            first_response: Buckets::new(&FIRST_RESPONSE_BOUNDS),
            texts: OnceLock::new(),
        }
    }

    /// One response of the model, for a batch of so many rows.
    pub(crate) fn executed(&self, rows: usize) {
        self.executions.fetch_add(1, Ordering::Relaxed);
        self.inferences.fetch_add(u64::try_from(rows).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The first of possibly several responses came after this time.
    pub(crate) fn responded_first(&self, elapsed: Duration) {
        self.first_response.observe(elapsed);
    }

    /// The numbers of a language model, which the model has from now on.
    pub(crate) fn texts(&self) -> &TextCounters {
        self.texts.get_or_init(|| Box::new(TextCounters::new()))
    }

    /// The same, if the model was asked for a text.
    pub(super) fn told_texts(&self) -> Option<&TextCounters> {
        self.texts.get().map(AsRef::as_ref)
    }

    /// A request ended after this time. As with Triton only successful ones have times.
    pub(crate) fn ended(&self, outcome: Outcome, elapsed: Duration, measured: Measured) {
        self.outcome(outcome).fetch_add(1, Ordering::Relaxed);
        self.duration.observe(elapsed);
        if outcome == Outcome::Success {
            add(&self.request, elapsed);
            add(&self.queue, measured.queued);
            add(&self.compute, measured.computed);
        }
    }

    /// The model tells of its times; so many more requests wait for their turn.
    pub(super) fn add_pending(&self, change: i64) {
        self.is_timed.store(true, Ordering::Relaxed);
        self.pending.fetch_add(change, Ordering::Relaxed);
    }

    /// The model tells of its times.
    pub(super) fn is_timed_now(&self) {
        // Read first: a store takes the line from the other cores.
        if !self.is_timed.load(Ordering::Relaxed) {
            self.is_timed.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn is_timed(&self) -> bool {
        self.is_timed.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, outcome: Outcome) -> u64 {
        self.outcome(outcome).load(Ordering::Relaxed)
    }

    pub(super) fn inferences(&self) -> u64 {
        self.inferences.load(Ordering::Relaxed)
    }

    pub(super) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    pub(super) fn pending(&self) -> i64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Microseconds of requests, of the queue, of computing.
    pub(super) fn microseconds(&self) -> [u64; 3] {
        const NANOSECONDS: u64 = 1000;
        [&self.request, &self.queue, &self.compute].map(|time| time.load(Ordering::Relaxed) / NANOSECONDS)
    }

    fn outcome(&self, outcome: Outcome) -> &AtomicU64 {
        let [success, rejected, canceled, backend, other] = &self.outcomes;
        match outcome {
            Outcome::Success => success,
            Outcome::Rejected => rejected,
            Outcome::Canceled => canceled,
            Outcome::Backend => backend,
            Outcome::Other => other,
        }
    }
}

fn add(total: &AtomicU64, time: Duration) {
    total.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
