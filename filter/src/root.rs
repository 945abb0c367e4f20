//! The root context: configuration and timer.

use std::rc::Rc;

use modelway_decision::Router;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::host;
use crate::plugin::Plugin;
use crate::stream::Stream;

/// Makes a plugin of a configuration, and a stream context for every request.
#[derive(Default)]
pub(crate) struct PluginContext {
    plugin: Option<Rc<Plugin>>,
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
