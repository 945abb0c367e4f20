//! Counts the calls of the module's allocator.
//!
//! Linked into a second build of the filter with `--wrap=malloc` and so on, so that the code that is counted is the
//! code that ships: `wasm-ld` leads every call of `malloc` here, and `__real_malloc` to the C library's.

#![no_std]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

static CALLS: AtomicU32 = AtomicU32::new(0);

unsafe extern "C" {
    fn __real_malloc(size: usize) -> *mut u8;
    fn __real_calloc(count: usize, size: usize) -> *mut u8;
    fn __real_realloc(memory: *mut u8, size: usize) -> *mut u8;
    fn __real_posix_memalign(memory: *mut *mut u8, alignment: usize, size: usize) -> i32;
    fn __real_aligned_alloc(alignment: usize, size: usize) -> *mut u8;
}

/// Calls so far: allocations and reallocations, none of them freed.
#[unsafe(no_mangle)]
extern "C" fn modelway_allocations() -> u32 {
    CALLS.load(Relaxed)
}

fn count() {
    CALLS.fetch_add(1, Relaxed);
}

// SAFETY of all below: each call goes on as it came.

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_malloc(size: usize) -> *mut u8 {
    count();
    unsafe { __real_malloc(size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_calloc(count_of: usize, size: usize) -> *mut u8 {
    count();
    unsafe { __real_calloc(count_of, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_realloc(memory: *mut u8, size: usize) -> *mut u8 {
    count();
    unsafe { __real_realloc(memory, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_posix_memalign(memory: *mut *mut u8, alignment: usize, size: usize) -> i32 {
    count();
    unsafe { __real_posix_memalign(memory, alignment, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_aligned_alloc(alignment: usize, size: usize) -> *mut u8 {
    count();
    unsafe { __real_aligned_alloc(alignment, size) }
}
