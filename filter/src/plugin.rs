//! One configuration of the filter on one worker.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::rc::{Rc, Weak};

use modelway_decision::Router;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::body_tier::BodyTier;
use crate::host;
use crate::stream::{Held, Stream};

/// How often held requests are looked after while there are any that must be let go in time.
const TICK_MILLISECONDS: u32 = 20;

/// What every stream of a plugin shares.
pub(crate) struct Plugin {
    pub(crate) router: Router,
    pub(crate) body_tier: BodyTier,
    /// Requests that must be let go by a time.
    watched: RefCell<Vec<Watched>>,
    random: Cell<u64>,
}

struct Watched {
    context_id: u32,
    deadline: u64,
    held: Weak<RefCell<Held>>,
}

/// The root context: configuration and timer.
#[derive(Default)]
pub(crate) struct PluginContext {
    plugin: Option<Rc<Plugin>>,
}

// === impl Plugin ===

impl Plugin {
    fn new(router: Router) -> Self {
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
    pub(crate) fn watch(&self, context_id: u32, deadline: u64, held: &Rc<RefCell<Held>>) {
        let mut watched = self.watched.borrow_mut();
        if watched.is_empty() {
            host::set_tick_period(TICK_MILLISECONDS);
        }
        watched.push(Watched { context_id, deadline, held: Rc::downgrade(held) });
    }

    /// Takes out what is due; what is gone or was decided meanwhile is forgotten.
    fn due(&self, now: u64) -> Vec<(u32, Rc<RefCell<Held>>)> {
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

// === impl PluginContext ===

impl Context for PluginContext {}

impl RootContext for PluginContext {
    fn on_configure(&mut self, size: usize) -> bool {
        let configured = host::plugin_configuration(size)
            .map_err(|refused| format!("the gateway does not show it ({refused:?})"))
            .and_then(|json| Router::from_json(&json).map_err(|error| error.to_string()));
        match configured {
            Ok(router) => {
                self.plugin = Some(Rc::new(Plugin::new(router)));
                true
            }
            Err(reason) => {
                log::error!("configuration refused: {reason}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(plugin) = &self.plugin else { return };
        let now = host::now();
        for (context_id, held) in plugin.due(now) {
            if host::use_context(context_id).is_ok() {
                held.borrow_mut().release(plugin, now);
            }
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, self.plugin.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
