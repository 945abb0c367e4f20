//! Who is in memory, who waits to be, and who must go: decisions only.
//!
//! A room knows no threads, no files and no timers. Each call changes what it knows and is over at
//! once; what has to be done about it comes out of [`Room::next`] as a [`Step`], to be done without
//! the lock that the room stands behind. Nothing here drops a model: that would come back to the
//! room through the model's lease, behind the same lock.

mod admission;
mod eviction;
mod phase;
mod pool;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Refusal};
use crate::listing::State;
use crate::model::Device;
use crate::residency::Mode;
use crate::residency::clock::{Moment, nanoseconds};
use crate::residency::loaded::{Loaded, Tenancy};
use crate::residency::slot::{Origin, Slot, SlotId};

pub(crate) use phase::Urgency;
use phase::{Cell, Loading, Phase, Queued};
pub(super) use phase::{Waiter, WaiterId};
use pool::Pool;
pub(super) use pool::Taken;

/// The first pause after a failed load; it doubles with every failure.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);

/// How much a new load time counts in the mean.
const MEAN_WEIGHT: f64 = 0.2;

/// What a room is told at its start.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) mode: Mode,
    /// Bytes of the host's memory that models may have in all.
    pub(super) budget: u64,
    /// Bytes of each CUDA device's memory; `None`: models may not use them.
    pub(super) gpu_budget: Option<u64>,
    pub(super) loads_at_once: usize,
    /// A model used in so short a time is not evicted; `None`: twice the mean load.
    pub(super) guard_age: Option<Duration>,
}

// === impl Rules ===

impl Rules {
    /// Bytes that models may have of this device's memory; `None`: it was given none.
    pub(super) fn budget_of(&self, device: Device) -> Option<u64> {
        match device {
            Device::Cpu => Some(self.budget),
            Device::Cuda(_) => self.gpu_budget,
        }
    }
}

/// The decisions.
pub(super) struct Room {
    rules: Rules,
    /// The memory of each device: room is made on one by evicting what is on it.
    pools: BTreeMap<Device, Pool>,
    loading: usize,
    /// Slots that are more than just a place; all others are not in memory.
    cells: HashMap<SlotId, Cell>,
    queue: BTreeMap<(Urgency, u64), SlotId>,
    /// Bytes of models that have left their slots and are still used or being freed.
    leaving: HashMap<Tenancy, u64>,
    mean_load: Option<Duration>,
    next_number: u64,
}

/// What came of asking for a model.
pub(super) enum Joined {
    Resident(Arc<Loaded>),
    /// The waiter, if there is one, will be answered.
    Waiting,
    Refused(Error),
}

/// Something to be done, without the room's lock.
pub(super) enum Step {
    Load {
        slot: Arc<Slot>,
        tenancy: Tenancy,
        cancelled: CancellationToken,
        /// How long it was in the queue.
        queued: Duration,
    },
    Evict {
        loaded: Arc<Loaded>,
        idle: Duration,
    },
    Answer {
        waiters: Vec<Waiter>,
        error: Error,
    },
    /// Nothing more can be done; ask again at this moment.
    Wake(Moment),
}

/// What became of a load, for whoever waited for it.
pub(super) struct Settled {
    pub(super) waiters: Vec<Waiter>,
    pub(super) result: Result<Arc<Loaded>, Error>,
    /// Not kept; to be dropped without the lock.
    pub(super) discarded: Option<Arc<Loaded>>,
}

/// How a load ended without a model.
pub(super) enum LoadEnd {
    /// Nobody waited any more.
    Cancelled,
    Failed(String),
}

/// Numbers for the metrics, over all devices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Totals {
    pub(super) used: u64,
    pub(super) reserved: u64,
    pub(super) queued: usize,
    pub(super) loading: usize,
}

// === impl Room ===

impl Room {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            pools: BTreeMap::from([(Device::Cpu, Pool::default())]),
            loading: 0,
            cells: HashMap::new(),
            queue: BTreeMap::new(),
            leaving: HashMap::new(),
            mean_load: None,
            next_number: 0,
        }
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(super) fn totals(&self) -> Totals {
        let used = self.pools.values().map(|pool| pool.used).sum();
        let reserved = self.pools.values().map(|pool| pool.reserved).sum();
        Totals { used, reserved, queued: self.queue.len(), loading: self.loading }
    }

    /// What is taken of the memory of each device that has or had models, the host's first.
    pub(super) fn taken(&self) -> Vec<(Device, Taken)> {
        self.pools.iter().map(|(device, pool)| (*device, pool.taken(self.rules.budget_of(*device)))).collect()
    }

    /// A number that no slot, load or waiter had before.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Asks for the model of a slot. `patience` is how long the caller waits, if it said so.
    pub(super) fn join(
        &mut self,
        slot: &Arc<Slot>,
        urgency: Urgency,
        waiter: Option<Waiter>,
        patience: Option<Duration>,
        now: Moment,
    ) -> Joined {
        if let Some(loaded) = slot.resident.load_full() {
            return Joined::Resident(loaded);
        }
        if let Origin::Broken(reason) = &slot.description.origin {
            return Joined::Refused(failed(slot, reason));
        }
        let (waiter, late) = match self.too_late(slot, urgency, patience) {
            None => (waiter, None),
            // Nobody with such a deadline would ever get it loaded, so it is loaded for the next one.
            Some(late) if late.is_load_alone => (None, Some(late.error)),
            Some(late) => return Joined::Refused(late.error),
        };
        match self.enter(slot, urgency, waiter, now) {
            Joined::Waiting => late.map_or(Joined::Waiting, Joined::Refused),
            joined => joined,
        }
    }

    fn enter(&mut self, slot: &Arc<Slot>, urgency: Urgency, waiter: Option<Waiter>, now: Moment) -> Joined {
        let failures = match self.cells.get_mut(&slot.id).map(|cell| &mut cell.phase) {
            Some(Phase::Queued(queued)) => {
                let had = queued.urgency;
                queued.join(urgency, waiter);
                self.requeue(slot.id, had);
                return Joined::Waiting;
            }
            Some(Phase::Loading(loading)) if !loading.is_unwanted => {
                loading.is_background |= waiter.is_none();
                loading.waiters.extend(waiter);
                return Joined::Waiting;
            }
            // It ends soon, and what it loads is not to be kept.
            Some(Phase::Loading(_)) => {
                let text = format!("{} is being unloaded, try again", slot.label());
                return Joined::Refused(Error::new(ErrorKind::Unavailable, text));
            }
            Some(Phase::Failed { reason, until, .. }) if *until > now && urgency != Urgency::Command => {
                let seconds = until.since(now).as_secs() + 1;
                let text = format!("{} failed to load: {reason} (tried again in {seconds} s)", slot.label());
                return Joined::Refused(Error::refused(Refusal::LoadFailed, text));
            }
            Some(Phase::Failed { failures, .. }) => *failures,
            Some(Phase::Leaving { loaded }) => match loaded.upgrade() {
                Some(loaded) => {
                    self.take_back(slot, &loaded);
                    return Joined::Resident(loaded);
                }
                None => 0,
            },
            Some(Phase::Ready { .. }) | None => 0,
        };
        if matches!(slot.description.origin, Origin::Memory) {
            let text = format!("{} was unloaded, and this server has no files to load it from", slot.label());
            return Joined::Refused(Error::not_found(text));
        }
        let number = self.number();
        slot.retry_at.store(0, Ordering::Relaxed);
        self.queue.insert((urgency, number), slot.id);
        let queued = Queued::new(urgency, number, waiter, failures, now);
        self.cells.insert(slot.id, Cell { slot: slot.clone(), phase: Phase::Queued(queued) });
        Joined::Waiting
    }

    /// A waiter has gone. A load that nobody waits for any more is taken out of the queue, or told.
    pub(super) fn leave(&mut self, slot: SlotId, waiter: WaiterId) {
        let Some(cell) = self.cells.get_mut(&slot) else { return };
        match &mut cell.phase {
            Phase::Queued(queued) => {
                queued.waiters.retain(|other| other.id != waiter);
                if queued.waiters.is_empty() && !queued.is_background {
                    let key = (queued.urgency, queued.number);
                    self.queue.remove(&key);
                    self.cells.remove(&slot);
                }
            }
            Phase::Loading(loading) => {
                loading.waiters.retain(|other| other.id != waiter);
                if loading.waiters.is_empty() && !loading.is_background {
                    loading.cancelled.cancel();
                }
            }
            _ => {}
        }
    }

    /// Memory that models have in common is counted from now on.
    pub(super) fn share(&mut self, device: Device, bytes: u64) {
        self.pool(device).used += bytes;
    }

    /// A load ended with this model, which is counted from now on.
    pub(super) fn loaded(
        &mut self,
        slot: &Arc<Slot>,
        loaded: Option<Arc<Loaded>>,
        took: Duration,
        now: Moment,
    ) -> Settled {
        let Some(loading) = self.end_loading(slot.id) else {
            let error = Error::internal("a load ended that had not begun");
            return Settled { waiters: Vec::new(), result: Err(error), discarded: loaded };
        };
        let Some((loaded, tenancy)) = loaded.and_then(|loaded| loaded.lease().tenancy().map(|of| (loaded, of))) else {
            let error = Error::internal("a load ended without a model");
            return Settled { waiters: loading.waiters, result: Err(error), discarded: None };
        };
        let (device, bytes) = (loaded.lease().device(), loaded.lease().bytes());
        self.pool(device).used += bytes;
        slot.set_device(device);
        slot.expected_bytes.store(bytes, Ordering::Relaxed);
        slot.load_nanos.store(nanoseconds(took).max(1), Ordering::Relaxed);
        self.learn(took);
        let refusal = if loading.is_unwanted {
            Some(unloaded(slot))
        } else {
            self.cannot_keep(device, loading.urgency, now).map(|why| why.error(slot, bytes, &self.rules))
        };
        if let Some(error) = refusal {
            self.leaving.insert(tenancy, bytes);
            self.pool(device).leaving += bytes;
            return Settled { waiters: loading.waiters, result: Err(error), discarded: Some(loaded) };
        }
        slot.usage.touch();
        slot.resident.store(Some(loaded.clone()));
        self.cells.insert(slot.id, Cell { slot: slot.clone(), phase: Phase::Ready { bytes } });
        self.list_for_eviction(slot, now);
        Settled { waiters: loading.waiters, result: Ok(loaded), discarded: None }
    }

    /// A load ended without a model.
    pub(super) fn not_loaded(&mut self, slot: &Arc<Slot>, end: LoadEnd, now: Moment) -> Settled {
        let Some(loading) = self.end_loading(slot.id) else {
            let error = Error::internal("a load ended that had not begun");
            return Settled { waiters: Vec::new(), result: Err(error), discarded: None };
        };
        let mut settled = Settled { waiters: Vec::new(), result: Err(unloaded(slot)), discarded: None };
        match end {
            _ if loading.is_unwanted => settled.waiters = loading.waiters,
            // Whoever came after it was given up gets a load of their own.
            LoadEnd::Cancelled if !loading.waiters.is_empty() || loading.is_background => {
                let number = self.number();
                self.queue.insert((loading.urgency, number), slot.id);
                let queued = Queued {
                    waiters: loading.waiters,
                    is_background: loading.is_background,
                    ..Queued::new(loading.urgency, number, None, loading.failures, now)
                };
                self.cells.insert(slot.id, Cell { slot: slot.clone(), phase: Phase::Queued(queued) });
            }
            LoadEnd::Cancelled => {}
            LoadEnd::Failed(reason) => {
                let failures = loading.failures.saturating_add(1);
                let doublings = failures.saturating_sub(1).min(16);
                let pause = FIRST_BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF);
                let until = now.after(pause);
                slot.retry_at.store(until.0, Ordering::Relaxed);
                settled.waiters = loading.waiters;
                settled.result = Err(failed(slot, &reason));
                let phase = Phase::Failed { reason, failures, until };
                self.cells.insert(slot.id, Cell { slot: slot.clone(), phase });
            }
        }
        settled
    }

    /// Takes the model out of its slot, and the slot out of the queue. The model itself is for the
    /// caller to drop; it is counted until nobody uses it.
    pub(super) fn unload(&mut self, slot: &Slot) -> Settled {
        let mut settled = Settled { waiters: Vec::new(), result: Err(unloaded(slot)), discarded: None };
        let Some(cell) = self.cells.get_mut(&slot.id) else { return settled };
        match &mut cell.phase {
            Phase::Queued(queued) => {
                settled.waiters = std::mem::take(&mut queued.waiters);
                let key = (queued.urgency, queued.number);
                self.queue.remove(&key);
                self.cells.remove(&slot.id);
            }
            Phase::Loading(loading) => {
                settled.waiters = std::mem::take(&mut loading.waiters);
                loading.is_unwanted = true;
                loading.cancelled.cancel();
            }
            Phase::Ready { .. } => settled.discarded = self.take_out(slot.id),
            Phase::Failed { .. } => {
                slot.retry_at.store(0, Ordering::Relaxed);
                self.cells.remove(&slot.id);
            }
            Phase::Leaving { .. } => {}
        }
        settled
    }

    /// A model's memory was freed.
    pub(super) fn released(&mut self, slot: SlotId, tenancy: Tenancy, device: Device, bytes: u64) {
        let was_leaving = self.leaving.remove(&tenancy).unwrap_or(0);
        let pool = self.pool(device);
        pool.used = pool.used.saturating_sub(bytes);
        pool.leaving = pool.leaving.saturating_sub(was_leaving);
        let has_left = self.cells.get(&slot).is_some_and(Cell::has_left);
        if has_left {
            self.cells.remove(&slot);
        }
    }

    /// Counts a model that a program made; it stays until it is unloaded.
    pub(super) fn adopt(&mut self, slot: &Arc<Slot>, loaded: &Arc<Loaded>) {
        let (device, bytes) = (loaded.lease().device(), loaded.lease().bytes());
        self.pool(device).used += bytes;
        slot.set_device(device);
        slot.resident.store(Some(loaded.clone()));
        self.cells.insert(slot.id, Cell { slot: slot.clone(), phase: Phase::Ready { bytes } });
    }

    /// Takes the pin into account: a pinned model is not in the list to evict from.
    pub(super) fn set_pinned(&mut self, slot: &Arc<Slot>, is_pinned: bool, now: Moment) {
        slot.set_pinned(is_pinned);
        if slot.is_resident() && !is_pinned {
            self.list_for_eviction(slot, now);
        }
    }

    /// What has become of the model.
    pub(super) fn state(&self, slot: &Slot) -> State {
        if let Origin::Broken(reason) = &slot.description.origin {
            return State::Failed { reason: reason.clone() };
        }
        match self.cells.get(&slot.id).map(|cell| &cell.phase) {
            None => State::Unloaded,
            Some(Phase::Queued(_)) => State::Queued,
            Some(Phase::Loading(loading)) if loading.is_unwanted => State::Unloading,
            Some(Phase::Loading(_)) => State::Loading,
            Some(Phase::Ready { bytes }) => State::Ready { size_bytes: *bytes },
            Some(Phase::Failed { reason, .. }) => State::Failed { reason: reason.clone() },
            Some(Phase::Leaving { .. }) => State::Unloading,
        }
    }

    /// Whether neither the slot nor anything that was loaded into it holds memory.
    pub(super) fn is_empty(&self, slot: SlotId) -> bool {
        self.cells.get(&slot).is_none_or(|cell| matches!(cell.phase, Phase::Failed { .. }))
    }

    fn end_loading(&mut self, slot: SlotId) -> Option<Loading> {
        match self.cells.remove(&slot)? {
            Cell { phase: Phase::Loading(loading), .. } => {
                self.loading = self.loading.saturating_sub(1);
                let pool = self.pool(loading.device);
                pool.reserved = pool.reserved.saturating_sub(loading.reserved);
                Some(loading)
            }
            other => {
                self.cells.insert(slot, other);
                None
            }
        }
    }

    fn pool(&mut self, device: Device) -> &mut Pool {
        self.pools.entry(device).or_default()
    }

    fn requeue(&mut self, slot: SlotId, had: Urgency) {
        let Some(Phase::Queued(queued)) = self.cells.get(&slot).map(|cell| &cell.phase) else { return };
        if queued.urgency < had {
            self.queue.remove(&(had, queued.number));
            self.queue.insert((queued.urgency, queued.number), slot);
        }
    }

    fn learn(&mut self, took: Duration) {
        let mean = self.mean_load.map_or(took, |mean| {
            Duration::from_secs_f64(mean.as_secs_f64() * (1.0 - MEAN_WEIGHT) + took.as_secs_f64() * MEAN_WEIGHT)
        });
        self.mean_load = Some(mean);
    }
}

fn failed(slot: &Slot, reason: &str) -> Error {
    Error::refused(Refusal::LoadFailed, format!("{} failed to load: {reason}", slot.label()))
}

fn unloaded(slot: &Slot) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{} was unloaded while it was waited for", slot.label()))
}
