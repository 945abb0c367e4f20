//! Whether the gateway shows the filter a body while its headers are held.
//!
//! Envoy does so only with `allow_on_headers_stop_iteration`; without it a held request would hang
//! for ever. The filter cannot ask, so it learns, in three states:
//!
//! - *learning*: a held request is let go after 100 ms, routed by its headers;
//! - *confirmed*, for good, by the first body callback on a held request: no request is let go early;
//! - *missing*, when the body was already waiting as a held request was let go: requests are routed
//!   by their headers at once, and one every ten seconds is held to see whether that was right.
//!
//! A client that is slow to send its body is no evidence of anything: nothing waits when its request
//! is let go, and the state stays as it is.

use std::cell::Cell;

const MILLISECOND: u64 = 1_000_000;

/// How long a request is held while the state is not confirmed.
const PATIENCE: u64 = 100 * MILLISECOND;

/// A body that comes within this time of letting its request go was waiting for it: Envoy shows it
/// in the same turn of its loop. Longer, and a slow client would more often look like it.
const WAS_WAITING: u64 = 2 * MILLISECOND;

/// How often a request is held to check a missing body tier.
const PROBE_INTERVAL: u64 = 10_000 * MILLISECOND;

const MISSING: &str = "the gateway shows this filter no request body while it holds the headers, so gRPC requests and \
    `parameter` keys and rules are routed by headers alone; set `allow_on_headers_stop_iteration: true` in the \
    PluginConfig of this filter (in Istio by an EnvoyFilter)";

#[derive(Clone, Copy, Debug)]
enum State {
    Learning,
    Confirmed,
    Missing { last_probe: u64 },
}

/// What has been learned, for one plugin on one worker. Times are nanoseconds.
#[derive(Debug)]
pub(crate) struct BodyTier {
    state: Cell<State>,
    has_warned: Cell<bool>,
}

/// How long a request may be held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hold {
    /// Not at all.
    No,
    /// Until this time.
    Until(u64),
    /// As long as its body takes.
    AsNeeded,
}

// === impl BodyTier ===

impl Default for BodyTier {
    fn default() -> Self {
        Self { state: Cell::new(State::Learning), has_warned: Cell::new(false) }
    }
}

impl BodyTier {
    /// Whether a request that comes now may be held.
    pub(crate) fn hold(&self, now: u64) -> Hold {
        match self.state.get() {
            State::Confirmed => Hold::AsNeeded,
            State::Learning => Hold::Until(now + PATIENCE),
            State::Missing { last_probe } if now.saturating_sub(last_probe) < PROBE_INTERVAL => Hold::No,
            State::Missing { .. } => {
                self.state.set(State::Missing { last_probe: now });
                Hold::Until(now + PATIENCE)
            }
        }
    }

    /// A body callback came for a held request.
    pub(crate) fn body_while_held(&self) {
        if matches!(self.state.replace(State::Confirmed), State::Missing { .. }) {
            crate::stats::set_body_tier_missing(false);
            crate::host::info("the gateway does show request bodies while headers are held: the body tier is on");
        }
    }

    /// A body callback came for a request that was let go early.
    pub(crate) fn body_after_release(&self, released: u64, now: u64) {
        if !matches!(self.state.get(), State::Learning) || now.saturating_sub(released) > WAS_WAITING {
            return;
        }
        self.state.set(State::Missing { last_probe: now });
        crate::stats::set_body_tier_missing(true);
        if !self.has_warned.replace(true) {
            crate::host::warn(MISSING);
        }
    }
}
