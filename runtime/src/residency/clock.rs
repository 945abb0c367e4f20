//! Time as one number, so that it fits into an atomic.

use std::time::Duration;

use tokio::time::Instant;

/// Nanoseconds since a clock began; never zero.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Moment(pub(super) u64);

/// Counts from when it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

// === impl Clock ===

impl Clock {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn now(self) -> Moment {
        Moment(nanoseconds(self.start.elapsed()).saturating_add(1))
    }

    /// As tokio's timers want it.
    pub(super) fn instant(self, moment: Moment) -> Instant {
        self.start + Duration::from_nanos(moment.0)
    }
}

// === impl Moment ===

impl Moment {
    /// The time from the earlier moment to this one; zero if it is not earlier.
    pub(super) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(time)))
    }
}

/// Enough for five hundred years.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
