//! A histogram of times in a few atomics: a model has several, and there are many models.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How many fell under each of `N` bounds.
#[derive(Debug)]
pub(super) struct Buckets<const N: usize> {
    /// Upper bounds in nanoseconds.
    bounds: &'static [u64; N],
    counts: [AtomicU64; N],
    above: AtomicU64,
    nanoseconds: AtomicU64,
}

// === impl Buckets ===

impl<const N: usize> Buckets<N> {
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            counts: [const { AtomicU64::new(0) }; N],
            above: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let first_above = self.bounds.iter().position(|&bound| nanoseconds <= bound);
        let count = first_above.and_then(|index| self.counts.get(index)).unwrap_or(&self.above);
        count.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Each bound in nanoseconds with how many were not above it, and then how many there were in all.
    pub(super) fn cumulated(&self) -> (Vec<(u64, u64)>, u64) {
        let mut count = 0;
        let below = self.bounds.iter().zip(&self.counts).map(|(&bound, own)| {
            count += own.load(Ordering::Relaxed);
            (bound, count)
        });
        let below = below.collect();
        (below, count + self.above.load(Ordering::Relaxed))
    }

    /// All times together.
    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}
