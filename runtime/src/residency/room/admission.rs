//! Who of those that wait is loaded next.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Refusal};
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
    Never,
}

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
        while self.loading < self.rules.loads_at_once {
            let Some((&(urgency, _), &id)) = self.queue.first_key_value() else { return };
            let Some(need) = self.cells.get(&id).map(|cell| cell.slot.expected_bytes()) else {
                self.queue.pop_first();
                continue;
            };
            match self.standing(need) {
                Standing::Fits => steps.extend(self.start(id)),
                Standing::Never => steps.extend(self.refuse(id, NoRoom::TooLarge, need)),
                Standing::WaitsForBytes => match self.wait_for_bytes(id, now) {
                    Some(wake) => {
                        steps.push(wake);
                        // What comes later must not take the bytes that this one waits for.
                        return;
                    }
                    None => steps.extend(self.refuse(id, NoRoom::Guarded, need)),
                },
                Standing::Needs(bytes) => match self.victims(bytes, urgency, now) {
                    Ok(victims) => self.evict(&victims, now, steps),
                    Err(why) => steps.extend(self.refuse(id, why, need)),
                },
            }
        }
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
        let excess = (self.used + self.reserved).saturating_sub(self.rules.budget.saturating_add(self.leaving_bytes));
        if excess > 0
            && let Ok(victims) = self.victims(excess, Urgency::Request, now)
        {
            self.evict(&victims, now, steps);
        }
    }

    fn standing(&self, need: u64) -> Standing {
        if need > self.rules.budget {
            return Standing::Never;
        }
        let free = self.rules.budget.saturating_sub(self.used + self.reserved);
        if need <= free {
            return Standing::Fits;
        }
        if need <= free.saturating_add(self.leaving_bytes) {
            return Standing::WaitsForBytes;
        }
        Standing::Needs(need - free - self.leaving_bytes)
    }

    fn start(&mut self, id: SlotId) -> Option<Step> {
        let tenancy = Tenancy(self.number());
        self.queue.pop_first();
        let cell = self.cells.get_mut(&id)?;
        let Phase::Queued(queued) = &mut cell.phase else { return None };
        let cancelled = CancellationToken::new();
        let loading = Loading {
            waiters: std::mem::take(&mut queued.waiters),
            is_background: queued.is_background,
            urgency: queued.urgency,
            failures: queued.failures,
            reserved: cell.slot.expected_bytes(),
            cancelled: cancelled.clone(),
            is_unwanted: false,
        };
        self.reserved += loading.reserved;
        self.loading += 1;
        cell.phase = Phase::Loading(loading);
        Some(Step::Load { slot: cell.slot.clone(), tenancy, cancelled })
    }

    fn refuse(&mut self, id: SlotId, why: NoRoom, need: u64) -> Option<Step> {
        self.queue.pop_first();
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
