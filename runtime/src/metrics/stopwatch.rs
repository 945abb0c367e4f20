//! Where the time of one request goes, as far as its model tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::counters::ModelCounters;

/// One request's times, shared by what answers it and what computes.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    counters: Arc<ModelCounters>,
    started: Instant,
    queued: AtomicU64,
    computed: AtomicU64,
    /// Nanoseconds from the start to the first computation, and one; zero before it.
    began: AtomicU64,
    /// Nanoseconds from the start to the last computation's end.
    ended: AtomicU64,
}

/// What a model told of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Waiting for its turn.
    pub(crate) queued: Duration,
    pub(crate) computed: Duration,
    /// When the first computation began and the last ended.
    pub(crate) span: Option<(Instant, Instant)>,
}

/// Time is measured until this is dropped.
#[derive(Debug)]
#[must_use = "the time ends when it is dropped"]
pub struct Timed {
    /// Absent where nobody measures.
    watch: Option<Arc<Stopwatch>>,
    since: Instant,
    part: Part,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Queue,
    Compute,
}

// === impl Stopwatch ===

impl Stopwatch {
    pub(crate) fn start(counters: Arc<ModelCounters>, started: Instant) -> Arc<Self> {
        Arc::new(Self {
            counters,
            started,
            queued: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        })
    }

    /// The request's model read so many tokens.
    pub(crate) fn prompted(&self, tokens: usize) {
        self.counters.texts().prompted(tokens, 0);
    }

    /// What was measured so far.
    pub(crate) fn measured(&self) -> Measured {
        let time = |time: &AtomicU64| Duration::from_nanos(time.load(Ordering::Relaxed));
        let began = self.began.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos);
        Measured {
            queued: time(&self.queued),
            computed: time(&self.computed),
            span: began.map(|after| (self.started + after, self.started + time(&self.ended))),
        }
    }
}

// === impl Timed ===

impl Timed {
    pub(crate) fn start(watch: Option<&Arc<Stopwatch>>, part: Part) -> Self {
        let timed = Self { watch: watch.cloned(), since: Instant::now(), part };
        if let Some(watch) = &timed.watch {
            match part {
                Part::Queue => watch.counters.add_pending(1),
                Part::Compute => {
                    watch.counters.is_timed_now();
                    let after = nanoseconds(timed.since.saturating_duration_since(watch.started)).saturating_add(1);
                    // Only the first counts.
                    let _ = watch.began.compare_exchange(0, after, Ordering::Relaxed, Ordering::Relaxed);
                }
            }
        }
        timed
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let Some(watch) = &self.watch else { return };
        let time = match self.part {
            Part::Queue => {
                watch.counters.add_pending(-1);
                &watch.queued
            }
            Part::Compute => &watch.computed,
        };
        let now = Instant::now();
        time.fetch_add(nanoseconds(now.saturating_duration_since(self.since)), Ordering::Relaxed);
        if self.part == Part::Compute {
            watch.ended.fetch_max(nanoseconds(now.saturating_duration_since(watch.started)), Ordering::Relaxed);
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
