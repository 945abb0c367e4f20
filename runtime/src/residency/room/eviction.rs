//! Which models make room for others: those whose last use is longest ago.
//!
//! A use costs the request one store. The room's list is put right only when something is evicted:
//! the first entry of the list is put back with its real last use until it is where it belongs, so
//! that the order is exact and each model moves at most once for all its uses in between.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Refusal};
use crate::model::Device;
use crate::residency::clock::Moment;
use crate::residency::loaded::Loaded;
use crate::residency::slot::{Slot, SlotId};

use super::phase::{Phase, Urgency};
use super::{Mode, Room, Rules};

/// Without a setting, a model must be unused for this many mean load times. Below that, loading it
/// again would take longer than it was out of use, and the runtime would do little else.
const GUARD_LOADS: u32 = 2;
const LONGEST_GUARD: Duration = Duration::from_secs(300);

/// Models to take out.
#[derive(Debug)]
pub(super) struct Victims {
    /// The one device that all of them are on.
    device: Device,
    pub(super) slots: Vec<SlotId>,
    pub(super) bytes: u64,
}

/// Why there is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoRoom {
    /// It would not fit into an empty room.
    TooLarge,
    /// All that is in memory is pinned or was used just now.
    Guarded,
    /// Nothing may be evicted for it.
    Full,
    /// Models may have no memory of its device.
    NoBudget,
}

// === impl Victims ===

impl Victims {
    fn on(device: Device) -> Self {
        Self { device, slots: Vec::new(), bytes: 0 }
    }
}

// === impl NoRoom ===

impl NoRoom {
    pub(super) fn error(self, slot: &Slot, bytes: u64, rules: &Rules) -> Error {
        let (label, device) = (slot.label(), slot.device());
        let budget = rules.budget_of(device).unwrap_or(0);
        let (of_device, option) = match device {
            Device::Cpu => (String::new(), "--memory"),
            Device::Cuda(_) => (format!(" of {device}"), "--gpu-memory"),
        };
        let text = match self {
            Self::TooLarge => {
                format!("{label} needs {bytes} bytes, the memory budget{of_device} is {budget}: raise {option}")
            }
            Self::Guarded => format!(
                "no room for {label} ({bytes} bytes): of the memory budget{of_device} of {budget} bytes all is taken by models that are pinned or were used just now"
            ),
            Self::Full => format!(
                "no room for {label} ({bytes} bytes) in the memory budget{of_device} of {budget} bytes, and nothing is evicted for it"
            ),
            Self::NoBudget => {
                format!("{label} is for {device}, of whose memory models have none here: give them some with {option}")
            }
        };
        let refusal = match self {
            Self::TooLarge | Self::NoBudget => Refusal::TooLarge,
            Self::Guarded | Self::Full => Refusal::NoRoom,
        };
        Error::refused(refusal, text)
    }
}

impl Room {
    /// From now on this model may be evicted, unless it is pinned.
    pub(super) fn list_for_eviction(&mut self, slot: &Slot, now: Moment) {
        if !slot.is_pinned() {
            self.pool(slot.device()).by_last_use.insert((slot.usage.last().min(now), slot.id));
        }
    }

    /// Why a model that was just counted cannot stay on this device, if it cannot.
    pub(super) fn cannot_keep(&mut self, device: Device, urgency: Urgency, now: Moment) -> Option<NoRoom> {
        let Some(budget) = self.rules.budget_of(device) else { return Some(NoRoom::NoBudget) };
        let pool = self.pool(device);
        let excess = pool.excess(budget).saturating_sub(pool.leaving);
        if excess == 0 {
            return None;
        }
        self.victims(device, excess, urgency, now).map(|victims| self.spare(&victims)).err()
    }

    /// Takes models off the device's list, the longest unused first, until they make so many bytes.
    ///
    /// Idle ones before those with requests in flight: these hold their bytes until they have ended.
    pub(super) fn victims(
        &mut self,
        device: Device,
        bytes: u64,
        urgency: Urgency,
        now: Moment,
    ) -> Result<Victims, NoRoom> {
        if urgency == Urgency::Preload || self.rules.mode == Mode::Explicit {
            return Err(NoRoom::Full);
        }
        let guard = self.guard_age();
        let (mut chosen, mut busy, mut guarded) = (Victims::on(device), Victims::on(device), None);
        while chosen.bytes < bytes {
            let Some((last, slot)) = self.pop_longest_unused(device) else { break };
            if now.since(last) < guard {
                // All that follow were used later still.
                guarded = Some((last, slot));
                break;
            }
            let Some((is_busy, of_model)) = self.busy_and_bytes(slot) else { continue };
            let victims = if is_busy { &mut busy } else { &mut chosen };
            victims.slots.push(slot);
            victims.bytes += of_model;
        }
        self.pool(device).by_last_use.extend(guarded);
        if chosen.bytes + busy.bytes < bytes {
            self.spare(&chosen);
            self.spare(&busy);
            return Err(NoRoom::Guarded);
        }
        let mut spared = Victims::on(device);
        for slot in busy.slots {
            let of_model = self.busy_and_bytes(slot).map_or(0, |(_, bytes)| bytes);
            let victims = if chosen.bytes < bytes { &mut chosen } else { &mut spared };
            victims.slots.push(slot);
            victims.bytes += of_model;
        }
        self.spare(&spared);
        Ok(chosen)
    }

    /// Puts models back on the list.
    pub(super) fn spare(&mut self, victims: &Victims) {
        for slot in &victims.slots {
            if let Some(last) = self.cells.get(slot).map(|cell| cell.slot.usage.last()) {
                self.pool(victims.device).by_last_use.insert((last, *slot));
            }
        }
    }

    /// Takes the model out of its slot; its bytes are leaving from now on.
    pub(super) fn take_out(&mut self, slot: SlotId) -> Option<Arc<Loaded>> {
        let cell = self.cells.get_mut(&slot)?;
        let loaded = cell.slot.resident.swap(None)?;
        cell.phase = Phase::Leaving { loaded: Arc::downgrade(&loaded) };
        if let Some(tenancy) = loaded.lease().tenancy() {
            self.leaving.insert(tenancy, loaded.lease().bytes());
            self.pool(loaded.lease().device()).leaving += loaded.lease().bytes();
        }
        Some(loaded)
    }

    /// Puts a model that was leaving, and is still in use, back into its slot.
    pub(super) fn take_back(&mut self, slot: &Arc<Slot>, loaded: &Arc<Loaded>) {
        if let Some(bytes) = loaded.lease().tenancy().and_then(|tenancy| self.leaving.remove(&tenancy)) {
            let pool = self.pool(loaded.lease().device());
            pool.leaving = pool.leaving.saturating_sub(bytes);
        }
        slot.usage.touch();
        slot.resident.store(Some(loaded.clone()));
        if let Some(cell) = self.cells.get_mut(&slot.id) {
            cell.phase = Phase::Ready { bytes: loaded.lease().bytes() };
        }
        self.list_for_eviction(slot, slot.usage.last());
    }

    fn guard_age(&self) -> Duration {
        let by_load = self.mean_load.unwrap_or_default().saturating_mul(GUARD_LOADS).min(LONGEST_GUARD);
        self.rules.guard_age.unwrap_or(by_load)
    }

    /// Off the list: the model whose last use is longest ago, with that use.
    fn pop_longest_unused(&mut self, device: Device) -> Option<(Moment, SlotId)> {
        loop {
            let (seen, slot) = self.pool(device).by_last_use.pop_first()?;
            // What was unloaded or pinned since, or loaded to another device, is only found here.
            let Some(cell) = self.cells.get(&slot) else { continue };
            let is_elsewhere = cell.slot.device() != device;
            if is_elsewhere || !matches!(cell.phase, Phase::Ready { .. }) || cell.slot.is_pinned() {
                continue;
            }
            let last = cell.slot.usage.last();
            if last <= seen {
                return Some((last, slot));
            }
            self.pool(device).by_last_use.insert((last, slot));
        }
    }

    fn busy_and_bytes(&self, slot: SlotId) -> Option<(bool, u64)> {
        let loaded = self.cells.get(&slot)?.slot.resident.load();
        let loaded = loaded.as_ref()?;
        // One is the slot's own, the other the lease's of the model itself.
        let is_busy = Arc::strong_count(loaded) > 1 || Arc::strong_count(loaded.lease()) > 1;
        Some((is_busy, loaded.lease().bytes()))
    }
}
