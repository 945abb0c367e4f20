//! The imports themselves, and the memory that the gateway fills for us.

#![allow(unsafe_code)]

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::{null, null_mut};

use super::Refused;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: i32, text: *const u8, size: usize) -> i32;
    fn proxy_get_header_map_value(
        map: i32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_add_header_map_value(
        map: i32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, data: *const u8, size: usize, version: u32) -> i32;
    fn proxy_define_metric(kind: i32, name: *const u8, name_size: usize, id: *mut u32) -> i32;
    fn proxy_increment_metric(id: u32, offset: i64) -> i32;
    fn proxy_record_metric(id: u32, value: u64) -> i32;
    fn proxy_get_header_map_pairs(map: i32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_replace_header_map_value(
        map: i32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_remove_header_map_value(map: i32, key: *const u8, key_size: usize) -> i32;
    fn proxy_get_buffer_bytes(buffer: i32, start: usize, length: usize, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_set_buffer_bytes(buffer: i32, start: usize, length: usize, data: *const u8, size: usize) -> i32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    fn proxy_set_effective_context(context_id: u32) -> i32;
    fn proxy_continue_stream(stream: i32) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> i32;
}

/// The ABI's `InvalidMemoryAccess`.
const BAD_MEMORY: i32 = 6;

pub(super) fn log(level: i32, text: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the slice during the call only.
    accepted(unsafe { proxy_log(level, text.as_ptr(), text.len()) })
}

pub(super) fn header_map_pairs(map: i32) -> Result<Vec<u8>, Refused> {
    // SAFETY: the closure's call writes the two pointers, or refuses.
    returned(|data, size| unsafe { proxy_get_header_map_pairs(map, data, size) })
}

pub(super) fn header_value(map: i32, name: &[u8]) -> Result<Vec<u8>, Refused> {
    // SAFETY: the host reads the slice during the call only, and writes the two pointers, or refuses.
    returned(|data, size| unsafe { proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) })
}

pub(super) fn add_header(map: i32, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the two slices during the call only.
    accepted(unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub(super) fn property(path: &[u8]) -> Result<Vec<u8>, Refused> {
    // SAFETY: the host reads the slice during the call only, and writes the two pointers, or refuses.
    returned(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

pub(super) fn set_property(path: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the two slices during the call only.
    accepted(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

pub(super) fn shared_data(key: &[u8]) -> Result<(Vec<u8>, u32), Refused> {
    let mut version = 0;
    let version_place = &raw mut version;
    // SAFETY: the host reads the slice during the call only, and writes the two pointers and four bytes to a u32 of
    // ours, or refuses.
    let data =
        returned(|data, size| unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), data, size, version_place) })?;
    Ok((data, version))
}

pub(super) fn set_shared_data(key: &[u8], data: &[u8], version: u32) -> Result<(), Refused> {
    // SAFETY: the host reads the two slices during the call only.
    accepted(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), data.as_ptr(), data.len(), version) })
}

pub(super) fn define_metric(kind: i32, name: &[u8]) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: the host reads the slice during the call only, and writes four bytes to a u32 of ours.
    accepted(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

pub(super) fn increment_metric(id: u32, offset: i64) -> Result<(), Refused> {
    // SAFETY: takes no pointer.
    accepted(unsafe { proxy_increment_metric(id, offset) })
}

pub(super) fn record_metric(id: u32, value: u64) -> Result<(), Refused> {
    // SAFETY: takes no pointer.
    accepted(unsafe { proxy_record_metric(id, value) })
}

pub(super) fn replace_header(map: i32, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the two slices during the call only.
    accepted(unsafe { proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub(super) fn remove_header(map: i32, name: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the slice during the call only.
    accepted(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

pub(super) fn buffer(buffer: i32, start: usize, length: usize) -> Result<Vec<u8>, Refused> {
    // SAFETY: the closure's call writes the two pointers, or refuses.
    returned(|data, size| unsafe { proxy_get_buffer_bytes(buffer, start, length, data, size) })
}

pub(super) fn set_buffer(buffer: i32, start: usize, length: usize, with: &[u8]) -> Result<(), Refused> {
    // SAFETY: the host reads the slice during the call only.
    accepted(unsafe { proxy_set_buffer_bytes(buffer, start, length, with.as_ptr(), with.len()) })
}

pub(super) fn current_time_nanoseconds() -> Result<u64, Refused> {
    let mut time = 0;
    // SAFETY: the host writes eight bytes to a u64 of ours.
    accepted(unsafe { proxy_get_current_time_nanoseconds(&raw mut time) })?;
    Ok(time)
}

pub(super) fn set_tick_period(milliseconds: u32) -> Result<(), Refused> {
    // SAFETY: takes no pointer.
    accepted(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
}

pub(super) fn set_effective_context(context_id: u32) -> Result<(), Refused> {
    // SAFETY: takes no pointer.
    accepted(unsafe { proxy_set_effective_context(context_id) })
}

pub(super) fn continue_stream(stream: i32) -> Result<(), Refused> {
    // SAFETY: takes no pointer.
    accepted(unsafe { proxy_continue_stream(stream) })
}

pub(super) fn send_local_response(
    status: u32,
    details: &[u8],
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Result<(), Refused> {
    let body_start = if body.is_empty() { null() } else { body.as_ptr() };
    // SAFETY: the host reads the slices during the call only.
    accepted(unsafe {
        proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body_start,
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

fn accepted(status: i32) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Refused(status)) }
}

thread_local! {
    /// What [`allocate`] gave last and nobody owns yet, with its size.
    static GIVEN: Cell<(*mut u8, usize)> = const { Cell::new((null_mut(), 0)) };
}

/// Memory for what the gateway is about to hand over; null if there is none.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    let Some(layout) = Layout::array::<u8>(size).ok().filter(|_| size > 0) else { return null_mut() };
    // SAFETY: the layout's size is not zero.
    let memory = unsafe { std::alloc::alloc(layout) };
    GIVEN.set((memory, size));
    memory
}

/// The bytes that a host call returns by pointer and size.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Result<Vec<u8>, Refused> {
    let mut data: *mut u8 = null_mut();
    let mut size = 0;
    accepted(call(&raw mut data, &raw mut size))?;
    if data.is_null() || size == 0 {
        return Ok(Vec::new());
    }
    let (given, capacity) = GIVEN.replace((null_mut(), 0));
    if given != data || size > capacity {
        return Err(Refused(BAD_MEMORY));
    }
    // SAFETY: `allocate` made this memory by the layout of `capacity` bytes, the host has filled
    // `size` of them, and it was forgotten there just now, so that this is its only owner.
    Ok(unsafe { Vec::from_raw_parts(data, size, capacity) })
}
