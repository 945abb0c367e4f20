//! What a room knows of one slot.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::model::Device;
use crate::residency::clock::Moment;
use crate::residency::loaded::Loaded;
use crate::residency::slot::Slot;

/// Who wants a model, the most urgent first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Urgency {
    /// Someone said so: also a load that failed before is tried.
    Command,
    /// A request waits.
    Request,
    /// A new version is to take the place of one in memory.
    Replacement,
    /// Nobody waits; nothing is evicted for it.
    Preload,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::residency) struct WaiterId(pub(in crate::residency) u64);

/// Someone who waits for a load.
pub(in crate::residency) struct Waiter {
    pub(in crate::residency) id: WaiterId,
    pub(in crate::residency) answer: oneshot::Sender<Result<Arc<Loaded>, Error>>,
}

pub(super) struct Cell {
    pub(super) slot: Arc<Slot>,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    Queued(Queued),
    Loading(Loading),
    Ready {
        bytes: u64,
    },
    Failed {
        reason: String,
        failures: u32,
        until: Moment,
    },
    /// Out of its slot, and used by requests or being freed.
    Leaving {
        loaded: Weak<Loaded>,
    },
}

pub(super) struct Queued {
    pub(super) waiters: Vec<Waiter>,
    /// Also wanted when nobody waits.
    pub(super) is_background: bool,
    pub(super) urgency: Urgency,
    /// Its place among the equally urgent.
    pub(super) number: u64,
    pub(super) failures: u32,
    /// Since when it is in the queue.
    pub(super) since: Moment,
    /// Since when it waits for bytes that are being freed.
    pub(super) blocked_since: Option<Moment>,
}

pub(super) struct Loading {
    pub(super) waiters: Vec<Waiter>,
    pub(super) is_background: bool,
    pub(super) urgency: Urgency,
    pub(super) failures: u32,
    /// Where so many bytes are set aside for it.
    pub(super) device: Device,
    pub(super) reserved: u64,
    pub(super) cancelled: CancellationToken,
    /// Unloaded meanwhile.
    pub(super) is_unwanted: bool,
}

// === impl Cell ===

impl Cell {
    /// Whether its model is on the way out, with nobody left who uses it.
    pub(super) fn has_left(&self) -> bool {
        matches!(&self.phase, Phase::Leaving { loaded } if loaded.strong_count() == 0)
    }
}

// === impl Queued ===

impl Queued {
    pub(super) fn new(urgency: Urgency, number: u64, waiter: Option<Waiter>, failures: u32, now: Moment) -> Self {
        let mut queued = Self {
            waiters: Vec::new(),
            is_background: false,
            urgency,
            number,
            failures,
            since: now,
            blocked_since: None,
        };
        queued.join(urgency, waiter);
        queued
    }

    pub(super) fn join(&mut self, urgency: Urgency, waiter: Option<Waiter>) {
        self.urgency = self.urgency.min(urgency);
        self.is_background |= waiter.is_none() || urgency > Urgency::Request;
        self.waiters.extend(waiter);
    }
}
