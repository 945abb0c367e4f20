//! The brakes of a configuration on one worker: what its requests ended like, and what all workers
//! make of it together.
//!
//! Workers share a ledger for each brake through the gateway's shared data. Whoever has a request
//! looks after the ledgers, ten times a second at most: without requests nothing can be braked.

use std::cell::{Cell, RefCell};

use modelway_decision::Router;
use modelway_decision::brake::{Ending, GateState, Ledger, SYNC_INTERVAL, Tally};

use crate::host;

/// Of so few brakes each is looked after, of more those alone that this worker has to do with.
const FEW: usize = 16;

/// Another worker may have written between a look and a write; beyond this the next look does it.
const MOST_TRIES: usize = 4;

/// A worker's part in the brakes of a plugin.
pub(crate) struct Brakes {
    /// By the brakes' numbers.
    brakes: RefCell<Vec<Brake>>,
    synced: Cell<u64>,
}

struct Brake {
    /// What the ledger is shared under.
    key: Vec<u8>,
    /// What has ended since it was last added to the ledger.
    tally: Tally,
    is_open: bool,
}

// === impl Brakes ===

impl Brakes {
    pub(crate) fn of(router: &Router) -> Self {
        let brakes = (0..router.brakes().count()).map(|number| {
            let name = router.brake_name(number).unwrap_or_default();
            Brake { key: [b"modelway.brake.", name].concat(), tally: Tally::default(), is_open: true }
        });
        Self { brakes: RefCell::new(brakes.collect()), synced: Cell::new(0) }
    }

    /// Sets the gates by what all workers know, where that is due. To be called before a decision.
    pub(crate) fn look(&self, router: &Router) {
        if !self.brakes.borrow().is_empty() {
            self.sync_if_due(router, host::now());
        }
    }

    /// Counts the end of a request for a guarded variant.
    pub(crate) fn add(&self, router: &Router, number: usize, ending: Ending, now: u64) {
        let guard = router.brakes().nth(number).map(|(guard, _)| guard);
        if let (Some(brake), Some(guard)) = (self.brakes.borrow_mut().get_mut(number), guard) {
            brake.tally.add(guard, ending);
        }
        self.sync_if_due(router, now);
    }

    fn sync_if_due(&self, router: &Router, now: u64) {
        if now.saturating_sub(self.synced.get()) < SYNC_INTERVAL {
            return;
        }
        self.synced.set(now);
        let mut brakes = self.brakes.borrow_mut();
        let are_few = brakes.len() <= FEW;
        for (brake, (guard, gate)) in brakes.iter_mut().zip(router.brakes()) {
            if !are_few && brake.is_open && brake.tally.is_empty() {
                continue;
            }
            for _ in 0..MOST_TRIES {
                let (bytes, version) = host::shared_data(&brake.key);
                let mut ledger = Ledger::from_bytes(&bytes);
                let state = ledger.sync(guard, &brake.tally, now);
                if host::set_shared_data(&brake.key, &ledger.to_bytes(), version).is_ok() {
                    gate.set(state);
                    brake.is_open = state == GateState::Open;
                    brake.tally = Tally::default();
                    break;
                }
            }
        }
    }
}
