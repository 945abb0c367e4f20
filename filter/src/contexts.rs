//! Every context of this instance: the plugins, one for each configuration, and the streams.
//!
//! A stream is taken out while its callback runs and put back behind it, so no borrow lasts over a
//! call to the gateway: whatever a gateway calls meanwhile finds the table whole, and a stream that
//! is busy just goes on.

use std::cell::RefCell;
use std::rc::Rc;

use modelway_decision::Router;

use crate::host;
use crate::plugin::Plugin;
use crate::stream::{Action, Stream};
use crate::table::Table;

#[cfg(not(feature = "body"))]
const WITHOUT_BODIES: &str = "this module has no body tier, so keys and rules on what stands in request bodies count as \
    absent, and answers keep the upstream's name of the model; load modelway_filter.wasm instead of modelway_filter_headers.wasm";

thread_local! {
    static CONTEXTS: RefCell<Contexts> = const { RefCell::new(Contexts { plugins: Vec::new(), streams: Table::new() }) };
}

struct Contexts {
    /// By the contexts that the gateway makes for them. Several share an instance where the
    /// gateway runs several configurations of one module, and while one replaces another.
    plugins: Vec<(u32, Option<Rc<Plugin>>)>,
    /// `None` while a callback has it. In a box, so that taking one out moves no more than a pointer.
    streams: Table<Option<Box<Stream>>>,
}

/// A context came to be: a plugin's has no parent, a stream's parent is its plugin's.
pub(crate) fn create(context_id: u32, parent_id: u32) {
    CONTEXTS.with_borrow_mut(|contexts| {
        if parent_id == 0 {
            contexts.plugins.push((context_id, None));
            return;
        }
        let plugin = contexts.plugin(parent_id);
        contexts.streams.insert(u64::from(context_id), Some(Box::new(Stream::new(plugin))));
    });
}

/// A context is gone.
pub(crate) fn delete(context_id: u32) {
    let removed = CONTEXTS.with_borrow_mut(|contexts| {
        let stream = contexts.streams.remove(u64::from(context_id));
        if stream.is_none() {
            contexts.plugins.retain(|(id, _)| *id != context_id);
        }
        stream
    });
    // Behind the borrow: ending makes calls to the gateway.
    if let Some(mut stream) = removed.flatten() {
        stream.end();
    }
}

/// Reads and compiles a plugin's configuration; false refuses it.
pub(crate) fn configure(context_id: u32, size: usize) -> bool {
    let configured = host::plugin_configuration(size)
        .map_err(|refused| format!("the gateway does not show it ({refused})"))
        .and_then(|json| Router::from_json(&json).map_err(|error| error.to_string()));
    let router = match configured {
        Ok(router) => router,
        Err(reason) => {
            host::error(&format!("configuration refused: {reason}"));
            return false;
        }
    };
    #[cfg(not(feature = "body"))]
    if router.reads_bodies() || router.settings().restore_model_name {
        host::warn(WITHOUT_BODIES);
    }
    let plugin = Rc::new(Plugin::new(router));
    CONTEXTS.with_borrow_mut(|contexts| {
        if let Some((_, held)) = contexts.plugins.iter_mut().find(|(id, _)| *id == context_id) {
            *held = Some(plugin);
        }
    });
    true
}

/// Lets go of the requests that a plugin must not hold any longer.
#[cfg(feature = "body")]
pub(crate) fn tick(context_id: u32) {
    let Some(plugin) = CONTEXTS.with_borrow(|contexts| contexts.plugin(context_id)) else { return };
    let now = host::now();
    for held in plugin.watched.due(now) {
        if host::use_context(held).is_ok() {
            with_stream(held, |stream| {
                stream.release(now);
                Action::Continue
            });
        }
    }
}

/// Runs a stream's callback. A stream that is not there goes on as it is.
pub(crate) fn with_stream(context_id: u32, callback: impl FnOnce(&mut Stream) -> Action) -> Action {
    let key = u64::from(context_id);
    let taken = CONTEXTS.with_borrow_mut(|contexts| contexts.streams.get_mut(key).and_then(Option::take));
    let Some(mut stream) = taken else { return Action::Continue };
    let action = callback(&mut stream);
    CONTEXTS.with_borrow_mut(|contexts| {
        // Deleted meanwhile, it has no place any more.
        if let Some(place) = contexts.streams.get_mut(key) {
            *place = Some(stream);
        }
    });
    action
}

// === impl Contexts ===

impl Contexts {
    /// None where the gateway runs streams of a plugin whose configuration it refused.
    fn plugin(&self, context_id: u32) -> Option<Rc<Plugin>> {
        self.plugins.iter().find(|(id, _)| *id == context_id).and_then(|(_, plugin)| plugin.clone())
    }
}
