//! One configuration of the filter on one worker.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::{Rc, Weak};

use modelway_decision::Router;

use crate::body_tier::BodyTier;
use crate::host;

/// How often held requests are looked after while there are any that must be let go in time.
const TICK_MILLISECONDS: u32 = 20;

/// What every stream of a plugin shares.
pub(crate) struct Plugin {
    pub(crate) router: Router,
    pub(crate) body_tier: BodyTier,
    /// Requests that must be let go by a time.
    watched: RefCell<Vec<Watch>>,
    random: Cell<u64>,
}

struct Watch {
    context_id: u32,
    deadline: u64,
    held: Weak<RefCell<dyn Watched>>,
}

/// A held request, as the timer sees it.
pub(crate) trait Watched {
    /// Whether it is still held.
    fn is_waiting(&self) -> bool;

    /// Lets it go, routed by its headers. The stream must be the effective context.
    fn release(&mut self, plugin: &Plugin, now: u64);
}

// === impl Plugin ===

impl Plugin {
    pub(crate) fn new(router: Router) -> Self {
        // The standard library seeds this from the host's random source, for each instance anew.
        let seed = RandomState::new().hash_one(host::now());
        Self { router, body_tier: BodyTier::default(), watched: RefCell::default(), random: Cell::new(seed) }
    }

    /// 64 bits for a request without a key (SplitMix64).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Lets this request go at the deadline if it is still held then.
    pub(crate) fn watch(&self, context_id: u32, deadline: u64, held: &Rc<RefCell<dyn Watched>>) {
        let mut watched = self.watched.borrow_mut();
        if watched.is_empty() {
            host::set_tick_period(TICK_MILLISECONDS);
        }
        watched.push(Watch { context_id, deadline, held: Rc::downgrade(held) });
    }

    /// Takes out what is due; what is gone or was decided meanwhile is forgotten.
    pub(crate) fn due(&self, now: u64) -> Vec<(u32, Rc<RefCell<dyn Watched>>)> {
        let mut due = Vec::new();
        let mut watched = self.watched.borrow_mut();
        watched.retain(|request| match request.held.upgrade() {
            Some(held) if held.borrow().is_waiting() => {
                if request.deadline <= now {
                    due.push((request.context_id, held));
                    return false;
                }
                true
            }
            _ => false,
        });
        if watched.is_empty() {
            host::set_tick_period(0);
        }
        due
    }
}
