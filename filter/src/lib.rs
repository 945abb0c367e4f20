//! The WebAssembly shell of the decision: the callbacks of the proxy-wasm ABI and host calls, no policy.
//!
//! [`exports`] is what the gateway calls: only the callbacks that are used, because it enters the
//! module for each one that is there. They find a plugin or a stream in [`contexts`]. A request is
//! decided in the header callback where its headers tell all ([`stream`]). Where the body tells the
//! rest, the headers are held while the first bytes are read ([`held`]); [`body_tier`] watches
//! whether the gateway shows them at all. [`host`] wraps the calls to the gateway.

#![cfg_attr(test, allow(dead_code, unused_imports))]
#![deny(unsafe_code, clippy::indexing_slicing)]

mod brakes;
mod chosen;
mod contexts;
// The test program has no gateway to export to.
#[cfg(not(test))]
mod exports;
mod head;
// Its calls are all there, whichever tier uses them.
#[cfg_attr(not(feature = "body"), allow(dead_code))]
mod host;
mod outcome;
mod plugin;
#[cfg(feature = "body")]
mod restore;
mod settle;
#[cfg_attr(not(feature = "body"), allow(dead_code))]
mod stats;
mod stream;
mod table;

#[cfg(feature = "body")]
mod body_tier;
#[cfg(feature = "body")]
mod held;
#[cfg(feature = "body")]
mod tail;
