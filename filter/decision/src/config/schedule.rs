//! What changes a variant's weight without a new configuration: time, and its own answers.

use super::read::settings;
use super::{Duration, Timestamp, Weight};

settings! {
    /// A variant's weight over time.
    pub struct Ramp {
        /// In order of time. Before the first, the variant's `weight` counts.
        pub steps: Vec<RampStep> [required],
        /// Times in which the weight stays as it is; a step that falls into one comes at its end.
        pub freezes: Vec<Freeze>,
    }
}

settings! {
    /// From when on a weight counts.
    #[derive(Copy)]
    pub struct RampStep {
        /// The time.
        pub at: Timestamp [required],
        /// The weight from then on.
        pub weight: Weight [required],
    }
}

settings! {
    /// A time in which no ramp moves.
    #[derive(Copy)]
    pub struct Freeze {
        /// Its begin.
        pub from: Timestamp [required],
        /// Its end, which is no longer part of it.
        pub until: Timestamp [required],
    }
}

settings! {
    /// When a variant loses its traffic. It needs an `errorRate` or a `latency`. Workers of one gateway agree.
    #[derive(Copy)]
    pub struct Brake {
        /// The part of the window's requests that may fail, from 0 to 1: HTTP 5xx, gRPC's UNKNOWN, DEADLINE_EXCEEDED,
        /// UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS, and requests without an answer.
        pub error_rate: Option<f64>,
        /// A request that takes longer is slow.
        pub latency: Option<Duration>,
        /// The part of the window's requests that may be slow, from 0 to 1. Default 0.1.
        pub slow_rate: f64 [or a_tenth "a_tenth"],
        /// How far back requests count. Default 10s.
        pub window: Duration [or ten_seconds "ten_seconds"],
        /// With fewer requests in the window nothing is concluded. Default 20.
        pub minimum_requests: u32 [or twenty "twenty"],
        /// How long it gets nothing before it is probed; doubled after each failed probe, up to eight times. Default 30s.
        pub probe_after: Duration [or thirty_seconds "thirty_seconds"],
        /// How many requests a probe is. Default 5.
        pub probes: u32 [or five "five"],
    }
}

fn a_tenth() -> f64 {
    0.1
}

fn ten_seconds() -> Duration {
    Duration::from_seconds(10)
}

fn twenty() -> u32 {
    20
}

fn thirty_seconds() -> Duration {
    Duration::from_seconds(30)
}

fn five() -> u32 {
    5
}
