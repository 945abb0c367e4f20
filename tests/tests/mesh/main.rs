//! The mesh without a control plane: a real Envoy with what `modelway render` writes, and four real runtimes or more.
//!
//! Every scenario mixes REST and gRPC, and bodies of 1 KB, 200 KB and 5 MB, with the listener's buffer limit at 32 KiB.
//! `MODELWAY_SOAK_SECONDS` makes those longer that are about time: `make soak` sets it.

mod disks;
mod faults;
mod placement;
mod refusals;
mod updates;

use std::time::Duration;

use modelway_tests::mesh::Classifier;

/// So many models, each with a tag of its own.
fn models(count: u32) -> Vec<(String, Classifier)> {
    (0..count).map(|number| (format!("model-{number:03}"), Classifier::new(1_000 + number))).collect()
}

/// How long what is about time goes on.
fn phase(short: Duration) -> Duration {
    let soak = std::env::var("MODELWAY_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    soak.map_or(short, Duration::from_secs)
}
