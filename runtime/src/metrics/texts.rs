//! The numbers of a language model, beside those that every model has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::buckets::Buckets;

/// OpenTelemetry's bounds of the time to the first token: 1 ms to 10 s.
const FIRST_TOKEN_BOUNDS: [u64; 16] = [
    1_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    40_000_000,
    60_000_000,
    80_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// OpenTelemetry's bounds of the time of a token, with three below for small models: 1 ms to 2.5 s.
const BETWEEN_TOKENS_BOUNDS: [u64; 16] = [
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    150_000_000,
    200_000_000,
    300_000_000,
    400_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
];

/// Tokens and their times. Written by requests without a lock.
#[derive(Debug)]
pub(crate) struct TextCounters {
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    new_tokens: AtomicU64,
    pub(super) first_token: Buckets<{ FIRST_TOKEN_BOUNDS.len() }>,
    pub(super) between_tokens: Buckets<{ BETWEEN_TOKENS_BOUNDS.len() }>,
}

// === impl TextCounters ===

impl TextCounters {
    pub(super) fn new() -> Self {
        Self {
            prompt_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            new_tokens: AtomicU64::new(0),
            first_token: Buckets::new(&FIRST_TOKEN_BOUNDS),
            between_tokens: Buckets::new(&BETWEEN_TOKENS_BOUNDS),
        }
    }

    /// A prompt of so many tokens was read, of which so many were known from an earlier one.
    pub(crate) fn prompted(&self, tokens: usize, cached: usize) {
        self.prompt_tokens.fetch_add(count(tokens), Ordering::Relaxed);
        self.cached_tokens.fetch_add(count(cached), Ordering::Relaxed);
    }

    /// The first token of a text came so long after its request.
    pub(crate) fn began(&self, after: Duration) {
        self.new_tokens.fetch_add(1, Ordering::Relaxed);
        self.first_token.observe(after);
    }

    /// A further token came so long after the one before.
    pub(crate) fn went_on(&self, after: Duration) {
        self.new_tokens.fetch_add(1, Ordering::Relaxed);
        self.between_tokens.observe(after);
    }

    /// Tokens that a text has beside those that were told one by one.
    pub(crate) fn untold(&self, tokens: usize) {
        self.new_tokens.fetch_add(count(tokens), Ordering::Relaxed);
    }

    pub(super) fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens.load(Ordering::Relaxed)
    }

    pub(super) fn cached_tokens(&self) -> u64 {
        self.cached_tokens.load(Ordering::Relaxed)
    }

    pub(super) fn new_tokens(&self) -> u64 {
        self.new_tokens.load(Ordering::Relaxed)
    }
}

fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}
