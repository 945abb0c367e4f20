//! Whether a variant gets requests on this worker now.

use std::sync::atomic::{AtomicU32, Ordering};

/// What the ledger says about a variant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GateState {
    /// It gets what the split gives it.
    Open,
    /// It gets nothing.
    Shut,
    /// So many requests more, then nothing.
    Probing(u32),
    /// No more than the probes that this worker may have left.
    Restricted,
}

/// A variant's gate. Open, unless the shell says otherwise.
#[derive(Debug)]
pub struct Gate(AtomicU32);

/// How a gate lets a request through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passage {
    Free,
    AsProbe,
    None,
}

const OPEN: u32 = u32::MAX;

// === impl Gate ===

impl Default for Gate {
    fn default() -> Self {
        Self(AtomicU32::new(OPEN))
    }
}

impl Gate {
    /// Sets what counts from now on.
    pub fn set(&self, state: GateState) {
        let left = match state {
            GateState::Open => OPEN,
            GateState::Shut => 0,
            GateState::Probing(left) => left.min(OPEN - 1),
            GateState::Restricted if self.is_open() => 0,
            GateState::Restricted => return,
        };
        self.0.store(left, Ordering::Relaxed);
    }

    /// Lets one request through, if it may pass.
    pub(crate) fn pass(&self) -> Passage {
        match self.0.load(Ordering::Relaxed) {
            OPEN => Passage::Free,
            0 => Passage::None,
            left => {
                self.0.store(left - 1, Ordering::Relaxed);
                Passage::AsProbe
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OPEN
    }
}
