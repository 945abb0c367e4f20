//! What all workers of a gateway know about a guarded variant.

use super::{GateState, Guard, Tally};

/// A window is cut into so many slots.
const SLOTS: usize = 10;

/// The wait for a probe is doubled at most so often.
const MOST_DOUBLINGS: u32 = 3;

/// The first byte of the bytes; another layout gets another number.
const LAYOUT: u8 = 1;

/// Counts of the window, and where the variant stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ledger {
    standing: Standing,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Standing {
    /// In service.
    #[default]
    Serving,
    /// Out of service since, for the n-th time in a row.
    Braked { since: u64, failed_probes: u32 },
    /// One worker has been given the probes.
    Probing { since: u64, failed_probes: u32, ended: u32, bad: u32 },
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Slot {
    /// Which stretch of time it counts, as time over the slot's length.
    number: u64,
    requests: u32,
    failed: u32,
    slow: u32,
}

// === impl Ledger ===

impl Ledger {
    /// Reads what [`Self::to_bytes`] wrote; anything else is an empty ledger.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    /// The ledger as bytes: numbers are little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (tag, since, counts) = match self.standing {
            Standing::Serving => (0, 0, [0; 3]),
            Standing::Braked { since, failed_probes } => (1, since, [failed_probes, 0, 0]),
            Standing::Probing { since, failed_probes, ended, bad } => (2, since, [failed_probes, ended, bad]),
        };
        let mut bytes = vec![LAYOUT, tag];
        bytes.extend_from_slice(&since.to_le_bytes());
        for count in counts {
            bytes.extend_from_slice(&u32::to_le_bytes(count));
        }
        for slot in &self.slots {
            bytes.extend_from_slice(&slot.number.to_le_bytes());
            for count in [slot.requests, slot.failed, slot.slow] {
                bytes.extend_from_slice(&count.to_le_bytes());
            }
        }
        bytes
    }

    /// Adds a worker's tally and gives that worker its gate. `now` is in nanoseconds.
    pub fn sync(&mut self, guard: &Guard, tally: &Tally, now: u64) -> GateState {
        self.add(guard, tally, now);
        match self.standing {
            Standing::Serving => self.judge(guard, now),
            Standing::Braked { since, failed_probes } => {
                let wait = guard.probe_after.saturating_mul(1 << failed_probes.min(MOST_DOUBLINGS));
                if now.saturating_sub(since) < wait {
                    return GateState::Shut;
                }
                self.probe(guard, failed_probes, now)
            }
            Standing::Probing { since, failed_probes, ended, bad } => {
                let is_over = ended >= guard.probes;
                let is_overdue = now.saturating_sub(since) > guard.window;
                if !guard.forgives(bad, guard.probes) {
                    self.standing = Standing::Braked { since: now, failed_probes: failed_probes.saturating_add(1) };
                    return GateState::Shut;
                }
                if is_over || (is_overdue && ended > 0) {
                    *self = Self::default();
                    return GateState::Open;
                }
                // The worker that had the probes gets no requests, or has lost them: another one tries.
                if is_overdue { self.probe(guard, failed_probes, now) } else { GateState::Restricted }
            }
        }
    }

    /// Whether the variant is out of service.
    pub fn is_braked(&self) -> bool {
        self.standing != Standing::Serving
    }

    fn add(&mut self, guard: &Guard, tally: &Tally, now: u64) {
        if let Standing::Probing { ended, bad, .. } = &mut self.standing {
            *ended = ended.saturating_add(tally.probes);
            *bad = bad.saturating_add(tally.bad_probes);
        }
        let number = slot_number(guard, now);
        let Some(slot) = self.slots.get_mut((number % SLOTS as u64) as usize) else { return };
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.requests = slot.requests.saturating_add(tally.requests);
        slot.failed = slot.failed.saturating_add(tally.failed);
        slot.slow = slot.slow.saturating_add(tally.slow);
    }

    fn judge(&mut self, guard: &Guard, now: u64) -> GateState {
        let newest = slot_number(guard, now);
        let (mut requests, mut failed, mut slow) = (0_u32, 0_u32, 0_u32);
        for slot in &self.slots {
            if slot.number <= newest && newest - slot.number < SLOTS as u64 {
                requests = requests.saturating_add(slot.requests);
                failed = failed.saturating_add(slot.failed);
                slow = slow.saturating_add(slot.slow);
            }
        }
        if !guard.is_exceeded(requests, failed, slow) {
            return GateState::Open;
        }
        *self = Self { standing: Standing::Braked { since: now, failed_probes: 0 }, ..Self::default() };
        GateState::Shut
    }

    fn probe(&mut self, guard: &Guard, failed_probes: u32, now: u64) -> GateState {
        self.standing = Standing::Probing { since: now, failed_probes, ended: 0, bad: 0 };
        GateState::Probing(guard.probes)
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let [layout, tag] = take(bytes)?;
        if layout != LAYOUT {
            return None;
        }
        let since = u64::from_le_bytes(take(bytes)?);
        let mut count = || take(bytes).map(u32::from_le_bytes);
        let (failed_probes, ended, bad) = (count()?, count()?, count()?);
        let standing = match tag {
            0 => Standing::Serving,
            1 => Standing::Braked { since, failed_probes },
            2 => Standing::Probing { since, failed_probes, ended, bad },
            _ => return None,
        };
        let mut slots = [Slot::default(); SLOTS];
        for slot in &mut slots {
            slot.number = u64::from_le_bytes(take(bytes)?);
            slot.requests = u32::from_le_bytes(take(bytes)?);
            slot.failed = u32::from_le_bytes(take(bytes)?);
            slot.slow = u32::from_le_bytes(take(bytes)?);
        }
        Some(Self { standing, slots })
    }
}

fn slot_number(guard: &Guard, now: u64) -> u64 {
    now / (guard.window / SLOTS as u64).max(1)
}

fn take<const COUNT: usize>(bytes: &mut &[u8]) -> Option<[u8; COUNT]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
