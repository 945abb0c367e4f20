//! The brake: a variant that fails or is slow loses its traffic, and comes back by probing.
//!
//! Each worker of a gateway tallies the answers of a guarded variant and, ten times a second, adds
//! its tally to a [`Ledger`] that all workers share as bytes (compare-and-swap; the shell does
//! that). From the ledger every worker gets the same [`Gate`] for the variant. Everything here is
//! arithmetic on times that are handed in, so any sequence of events can be replayed.

mod gate;
mod ledger;
#[cfg(test)]
mod tests;

pub(crate) use gate::Passage;
pub use gate::{Gate, GateState};
pub use ledger::Ledger;

use crate::config;

/// How often a worker puts its tally into the ledger, in nanoseconds.
pub const SYNC_INTERVAL: u64 = 100_000_000;

/// When a variant loses its traffic. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// The part of the requests that may fail.
    error_rate: Option<f64>,
    /// A request that takes longer is slow.
    latency: Option<u64>,
    /// The part of the requests that may be slow.
    slow_rate: f64,
    window: u64,
    minimum_requests: u32,
    probe_after: u64,
    probes: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ending {
    /// A fault of the upstream's, or no answer.
    pub failed: bool,
    /// From the request's headers to its end, in nanoseconds.
    pub took: u64,
    /// Whether the request was let through as a probe.
    pub is_probe: bool,
}

/// Requests that have ended since the last sync.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    requests: u32,
    failed: u32,
    slow: u32,
    probes: u32,
    /// Failed or slow.
    bad_probes: u32,
}

// === impl Guard ===

impl Guard {
    pub(crate) fn new(brake: &config::Brake) -> Self {
        Self {
            error_rate: brake.error_rate,
            latency: brake.latency.map(|latency| latency.nanoseconds),
            slow_rate: brake.slow_rate,
            window: brake.window.nanoseconds,
            minimum_requests: brake.minimum_requests.max(1),
            probe_after: brake.probe_after.nanoseconds,
            probes: brake.probes.max(1),
        }
    }

    fn is_slow(&self, took: u64) -> bool {
        self.latency.is_some_and(|latency| took > latency)
    }

    fn is_exceeded(&self, requests: u32, failed: u32, slow: u32) -> bool {
        let part = |count: u32| f64::from(count) / f64::from(requests.max(1));
        requests >= self.minimum_requests
            && (self.error_rate.is_some_and(|rate| part(failed) > rate)
                || (self.latency.is_some() && part(slow) > self.slow_rate))
    }

    /// As many bad probes as the guard's greater rate allows.
    fn forgives(&self, bad: u32, probes: u32) -> bool {
        let slow_rate = self.latency.map_or(0.0, |_| self.slow_rate);
        let rate = self.error_rate.unwrap_or_default().max(slow_rate);
        f64::from(bad) <= rate * f64::from(probes)
    }
}

// === impl Tally ===

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, guard: &Guard, ending: Ending) {
        let is_slow = guard.is_slow(ending.took);
        if ending.is_probe {
            self.probes = self.probes.saturating_add(1);
            self.bad_probes = self.bad_probes.saturating_add(u32::from(ending.failed || is_slow));
            return;
        }
        self.requests = self.requests.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(ending.failed));
        self.slow = self.slow.saturating_add(u32::from(is_slow));
    }

    /// Whether nothing has ended.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
