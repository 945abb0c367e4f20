//! What changes a variant's weight without a new configuration: time, and its own answers.

use serde::Deserialize;

use super::{Duration, Timestamp, Weight};

/// A variant's weight over time.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ramp {
    /// In order of time. Before the first, the variant's `weight` counts.
    pub steps: Vec<RampStep>,
    /// Times in which the weight stays as it is; a step that falls into one comes at its end.
    #[serde(default)]
    pub freezes: Vec<Freeze>,
}

/// From when on a weight counts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RampStep {
    /// The time.
    pub at: Timestamp,
    /// The weight from then on.
    pub weight: Weight,
}

/// A time in which no ramp moves.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// Its begin.
    pub from: Timestamp,
    /// Its end, which is no longer part of it.
    pub until: Timestamp,
}

/// When a variant loses its traffic. It needs an `errorRate` or a `latency`. Workers of one gateway agree.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Brake {
    /// The part of the window's requests that may fail, from 0 to 1: HTTP 5xx, gRPC's UNKNOWN, DEADLINE_EXCEEDED,
    /// UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS, and requests without an answer.
    #[serde(default)]
    pub error_rate: Option<f64>,
    /// A request that takes longer is slow.
    #[serde(default)]
    pub latency: Option<Duration>,
    /// The part of the window's requests that may be slow, from 0 to 1. Default 0.1.
    #[serde(default = "a_tenth")]
    pub slow_rate: f64,
    /// How far back requests count. Default 10s.
    #[serde(default = "ten_seconds")]
    pub window: Duration,
    /// With fewer requests in the window nothing is concluded. Default 20.
    #[serde(default = "twenty")]
    pub minimum_requests: u32,
    /// How long it gets nothing before it is probed; doubled after each failed probe, up to eight times. Default 30s.
    #[serde(default = "thirty_seconds")]
    pub probe_after: Duration,
    /// How many requests a probe is. Default 5.
    #[serde(default = "five")]
    pub probes: u32,
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
