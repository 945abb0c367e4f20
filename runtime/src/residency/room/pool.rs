//! The memory of one device: what is taken of it, and who may have to leave it.

use std::collections::BTreeSet;

use crate::residency::clock::Moment;
use crate::residency::slot::SlotId;

/// One device's memory.
#[derive(Default)]
pub(super) struct Pool {
    /// Bytes of models in memory, also of those that are leaving it.
    pub(super) used: u64,
    /// Bytes expected of the loads under way.
    pub(super) reserved: u64,
    /// Of the used bytes, those of models that have left their slots and are still used or being freed.
    pub(super) leaving: u64,
    /// Models that may be evicted, by the last use that was seen: never later than the real one.
    pub(super) by_last_use: BTreeSet<(Moment, SlotId)>,
}

/// What is taken of one device's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::residency) struct Taken {
    /// What models may have in all.
    pub(in crate::residency) budget: u64,
    pub(in crate::residency) used: u64,
    pub(in crate::residency) reserved: u64,
}

// === impl Pool ===

impl Pool {
    pub(super) fn taken(&self, budget: Option<u64>) -> Taken {
        Taken { budget: budget.unwrap_or(0), used: self.used, reserved: self.reserved }
    }

    /// Bytes above the budget.
    pub(super) fn excess(&self, budget: u64) -> u64 {
        (self.used + self.reserved).saturating_sub(budget)
    }
}

// === impl Taken ===

impl Taken {
    /// Of the budget; more than 1 while a model that is larger than expected makes others leave.
    pub(in crate::residency) fn share(self) -> f64 {
        if self.budget == 0 {
            return 0.0;
        }
        (self.used + self.reserved) as f64 / self.budget as f64
    }
}
