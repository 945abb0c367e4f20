//! How long the caller waits: `grpc-timeout`, or over REST what Envoy says of its own timeout.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use http::HeaderMap;
use tonic::Status;

#[cfg(test)]
mod tests;

/// The moment when the caller stops waiting, if it said so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<tokio::time::Instant>);

/// Envoy's name for the milliseconds after which it gives the request up.
const ENVOY_TIMEOUT: &str = "x-envoy-expected-rq-timeout-ms";

// === impl Deadline ===

impl Deadline {
    /// Counts from now; a timeout that cannot be read is none, as gRPC servers do.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let of_envoy = || text(ENVOY_TIMEOUT).and_then(|value| value.parse().ok()).map(Duration::from_millis);
        let timeout = text("grpc-timeout").and_then(parse).or_else(of_envoy);
        Self(timeout.and_then(|timeout| tokio::time::Instant::now().checked_add(timeout)))
    }

    /// The moment, if the caller said so.
    pub(crate) fn moment(self) -> Option<tokio::time::Instant> {
        self.0
    }

    /// The work's result, if it comes in time. Otherwise the work is dropped.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        match self.0 {
            None => work.await,
            Some(moment) => tokio::time::timeout_at(moment, work).await.unwrap_or_else(|_| Err(exceeded())),
        }
    }

    /// The items that come in time, then an error if there would be more.
    pub(crate) fn limit_stream<T>(
        self,
        mut items: Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>,
    ) -> Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>
    where
        T: Send + 'static,
    {
        let Some(moment) = self.0 else { return items };
        let mut timer = Box::pin(tokio::time::sleep_until(moment));
        let mut has_passed = false;
        Box::pin(stream::poll_fn(move |context| {
            if has_passed {
                return std::task::Poll::Ready(None);
            }
            if timer.as_mut().poll(context).is_ready() {
                has_passed = true;
                return std::task::Poll::Ready(Some(Err(exceeded())));
            }
            items.poll_next_unpin(context)
        }))
    }
}

fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline of the call passed")
}

/// At most eight digits and a unit: `250m` is 250 milliseconds.
fn parse(text: &str) -> Option<Duration> {
    const MOST_DIGITS: usize = 8;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > MOST_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}
