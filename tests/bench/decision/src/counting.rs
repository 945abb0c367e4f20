//! A global allocator that counts.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: Counting = Counting { calls: AtomicU64::new(0), held: AtomicU64::new(0) };

struct Counting {
    calls: AtomicU64,
    held: AtomicU64,
}

/// Allocations and reallocations so far.
pub(crate) fn allocations() -> u64 {
    ALLOCATOR.calls.load(Relaxed)
}

/// Bytes that are allocated now.
pub(crate) fn held_bytes() -> u64 {
    ALLOCATOR.held.load(Relaxed)
}

// === impl Counting ===

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.calls.fetch_add(1, Relaxed);
        self.held.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        self.held.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.calls.fetch_add(1, Relaxed);
        self.held.fetch_add(size as u64, Relaxed);
        self.held.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}
