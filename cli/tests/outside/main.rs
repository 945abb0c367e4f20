//! `modelway serve` as others see it: the collector that gets its traces, the gateway that reads its load.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

mod collector;
mod load;
mod server;
mod traces;

use std::time::Duration;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is something.
async fn until<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = find().await {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
