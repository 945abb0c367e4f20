//! Who of those that wait is loaded next.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Refusal};
use crate::model::Device;
use crate::residency::clock::Moment;
use crate::residency::loaded::Tenancy;
use crate::residency::slot::{Slot, SlotId};

use super::eviction::{NoRoom, Victims};
use super::phase::{Loading, Phase, Urgency};
use super::{Cell, Room, Step};

/// How long a load waits for evicted models whose requests have not ended.
const ROOM_PATIENCE: Duration = Duration::from_secs(2);

/// How a waiting load stands.
enum Standing {
    Fits,
    /// The bytes that it needs are being freed.
    WaitsForBytes,
    Needs(u64),
    Never(NoRoom),
}

/// A place in the queue.
type Turn = (Urgency, u64);

/// A caller would wait in vain.
pub(super) struct TooLate {
    pub(super) error: Error,
    /// Also with nobody else in the queue.
    pub(super) is_load_alone: bool,
}

// === impl Room ===

impl Room {
    /// What to do now, until there is nothing more.
    pub(in crate::residency) fn next(&mut self, now: Moment, steps: &mut Vec<Step>) {
        self.keep_within_budget(now, steps);
        let mut blocked = Vec::new();
        while self.loading < self.rules.loads_at_once {
            let Some((turn, id)) = self.first_of_queue(&blocked) else { return };
            let Some(slot) = self.cells.get(&id).map(|cell| &cell.slot) else {
                self.queue.remove(&turn);
                continue;
            };
            let (device, need) = (slot.device(), slot.expected_bytes());
            match self.standing(device, need) {
                Standing::Fits => steps.extend(self.start(turn, id, now)),
                Standing::Never(why) => steps.extend(self.refuse(turn, id, why, need)),
                Standing::WaitsForBytes => match self.wait_for_bytes(id, now) {
                    Some(wake) => {
                        steps.push(wake);
                        // What comes later must not take the bytes that this one waits for.
                        blocked.push(device);
                    }
                    None => steps.extend(self.refuse(turn, id, NoRoom::Guarded, need)),
                },
                Standing::Needs(bytes) => match self.victims(device, bytes, turn.0, now) {
                    Ok(victims) => self.evict(&victims, now, steps),
                    Err(why) => steps.extend(self.refuse(turn, id, why, need)),
                },
            }
        }
    }

    /// Whose turn it is, of those that are not for these devices.
    fn first_of_queue(&self, blocked: &[Device]) -> Option<(Turn, SlotId)> {
        let is_blocked = |id: &SlotId| {
            !blocked.is_empty() && self.cells.get(id).is_some_and(|cell| blocked.contains(&cell.slot.device()))
        };
        self.queue.iter().find(|(_, id)| !is_blocked(id)).map(|(&turn, &id)| (turn, id))
    }

    /// The refusal of a caller who would wait in vain.
    pub(super) fn too_late(&self, slot: &Slot, urgency: Urgency, patience: Option<Duration>) -> Option<TooLate> {
        let patience = patience?;
        let mean = self.mean_load?;
        let own = slot.load_time().unwrap_or(mean);
        let is_under_way = self.cells.get(&slot.id).is_some_and(|cell| matches!(cell.phase, Phase::Loading(_)));
        let ahead = match self.cells.get(&slot.id).map(|cell| &cell.phase) {
            Some(Phase::Loading(_)) => 0,
            Some(Phase::Queued(queued)) => self.queue.range(..(queued.urgency.min(urgency), queued.number)).count(),
            _ => self.queue.range(..(urgency, u64::MAX)).count(),
        };
        let at_once = u32::try_from(self.rules.loads_at_once.max(1)).unwrap_or(u32::MAX);
        let under_way = if is_under_way { 0 } else { self.loading };
        let before = mean.saturating_mul(u32::try_from(ahead + under_way).unwrap_or(u32::MAX)) / at_once;
        let expected = if is_under_way { Duration::ZERO } else { before + own };
        if expected <= patience {
            return None;
        }
        let text = format!(
            "{} is not in memory and would be loaded in about {:.3} s, after the caller's deadline in {:.3} s",
            slot.label(),
            expected.as_secs_f64(),
            patience.as_secs_f64()
        );
        Some(TooLate { error: Error::refused(Refusal::Deadline, text), is_load_alone: own > patience })
    }

    /// A model can turn out larger than was expected of it.
    fn keep_within_budget(&mut self, now: Moment, steps: &mut Vec<Step>) {
        let over: Vec<_> = self
            .pools
            .iter()
            .map(|(device, pool)| {
                let budget = self.rules.budget_of(*device).unwrap_or(0);
                (*device, pool.excess(budget).saturating_sub(pool.leaving))
            })
            .filter(|(_, excess)| *excess > 0)
            .collect();
        for (device, excess) in over {
            if let Ok(victims) = self.victims(device, excess, Urgency::Request, now) {
                self.evict(&victims, now, steps);
            }
        }
    }

    fn standing(&self, device: Device, need: u64) -> Standing {
        let Some(budget) = self.rules.budget_of(device) else { return Standing::Never(NoRoom::NoBudget) };
        if need > budget {
            return Standing::Never(NoRoom::TooLarge);
        }
        let (taken, leaving) =
            self.pools.get(&device).map(|pool| (pool.used + pool.reserved, pool.leaving)).unwrap_or_default();
        let free = budget.saturating_sub(taken);
        if need <= free {
            return Standing::Fits;
        }
        if need <= free.saturating_add(leaving) {
            return Standing::WaitsForBytes;
        }
        Standing::Needs(need - free - leaving)
    }

    fn start(&mut self, turn: Turn, id: SlotId, now: Moment) -> Option<Step> {
        let tenancy = Tenancy(self.number());
        self.queue.remove(&turn);
        let cell = self.cells.get_mut(&id)?;
        let Phase::Queued(queued) = &mut cell.phase else { return None };
        let cancelled = CancellationToken::new();
        let loading = Loading {
            waiters: std::mem::take(&mut queued.waiters),
            is_background: queued.is_background,
            urgency: queued.urgency,
            failures: queued.failures,
            device: cell.slot.device(),
            reserved: cell.slot.expected_bytes(),
            cancelled: cancelled.clone(),
            is_unwanted: false,
        };
        let (device, reserved, queued) = (loading.device, loading.reserved, now.since(queued.since));
        cell.phase = Phase::Loading(loading);
        let slot = cell.slot.clone();
        self.pool(device).reserved += reserved;
        self.loading += 1;
        Some(Step::Load { slot, tenancy, cancelled, queued })
    }

    fn refuse(&mut self, turn: Turn, id: SlotId, why: NoRoom, need: u64) -> Option<Step> {
        self.queue.remove(&turn);
        let Cell { slot, phase } = self.cells.remove(&id)?;
        let error = why.error(&slot, need, &self.rules);
        let Phase::Queued(queued) = phase else { return None };
        Some(Step::Answer { waiters: queued.waiters, error })
    }

    /// When to look again, unless it has waited long enough.
    fn wait_for_bytes(&mut self, id: SlotId, now: Moment) -> Option<Step> {
        let Phase::Queued(queued) = &mut self.cells.get_mut(&id)?.phase else { return None };
        let until = queued.blocked_since.get_or_insert(now).after(ROOM_PATIENCE);
        (now < until).then_some(Step::Wake(until))
    }

    fn evict(&mut self, victims: &Victims, now: Moment, steps: &mut Vec<Step>) {
        for &slot in &victims.slots {
            let idle = self.cells.get(&slot).map(|cell| now.since(cell.slot.usage.last())).unwrap_or_default();
            if let Some(loaded) = self.take_out(slot) {
                steps.push(Step::Evict { loaded, idle });
            }
        }
    }
}
