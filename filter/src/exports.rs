//! What the gateway calls: the callbacks of ABI 0.2.1, and no more of them than are used.
//!
//! A callback that is exported is entered for every event of every stream, so one that would only
//! say "continue" is left out; the gateway then goes on by itself. Asking the gateway to answer or
//! to let a stream go on makes it call back only after the callback has returned; allocating is all
//! that it does in between.

#![allow(unsafe_code)]

use crate::contexts;
use crate::host;
use crate::stream::{Action, Stream};

#[cfg(target_family = "wasm")]
unsafe extern "C" {
    /// The constructors of the C library: its environment and the like.
    fn __wasm_call_ctors();
}

// SAFETY, of every name below: it is the ABI's, and nothing else in this module defines it.

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    #[cfg(target_family = "wasm")]
    // SAFETY: the linker makes this function; the host calls us once, before anything else.
    unsafe {
        __wasm_call_ctors();
    }
    host::log_panics();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    host::allocate(size)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context_id: u32, parent_id: u32) {
    contexts::create(context_id, parent_id);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context_id: u32, size: usize) -> bool {
    contexts::configure(context_id, size)
}

#[unsafe(no_mangle)]
#[cfg(feature = "body")]
extern "C" fn proxy_on_tick(context_id: u32) {
    contexts::tick(context_id);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context_id: u32, _: usize, end_of_stream: bool) -> Action {
    contexts::with_stream(context_id, |stream| stream.request_headers(context_id, end_of_stream))
}

#[unsafe(no_mangle)]
#[cfg(feature = "body")]
extern "C" fn proxy_on_request_body(context_id: u32, size: usize, end_of_stream: bool) -> Action {
    contexts::with_stream(context_id, |stream| stream.request_body(size, end_of_stream))
}

#[unsafe(no_mangle)]
#[cfg(feature = "body")]
extern "C" fn proxy_on_request_trailers(context_id: u32, _: usize) -> Action {
    contexts::with_stream(context_id, Stream::request_trailers)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context_id: u32, _: usize, end_of_stream: bool) -> Action {
    contexts::with_stream(context_id, |stream| stream.response_headers(end_of_stream))
}

#[unsafe(no_mangle)]
#[cfg(feature = "body")]
extern "C" fn proxy_on_response_body(context_id: u32, size: usize, end_of_stream: bool) -> Action {
    contexts::with_stream(context_id, |stream| stream.response_body(size, end_of_stream))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context_id: u32, _: usize) -> Action {
    contexts::with_stream(context_id, Stream::response_trailers)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context_id: u32) {
    contexts::delete(context_id);
}
