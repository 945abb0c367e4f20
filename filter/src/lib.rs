//! The WebAssembly shell of the decision: proxy-wasm callbacks and host calls, no policy.
//!
//! A request is decided in the header callback where its headers tell all ([`stream`]). Where the
//! body tells the rest, the headers are held while the first bytes are read; [`body_tier`] watches
//! whether the gateway shows them at all. [`host`] wraps the calls to the gateway, because those of
//! the SDK panic on what a client can cause.

#![deny(unsafe_code, clippy::indexing_slicing)]
// The one public function is the module's start, which the SDK's macro writes.
#![allow(missing_docs)]

mod body_tier;
mod host;
mod plugin;
mod root;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::PluginContext::default()));
}}
