//! The guest's memory, read and written with its bounds checked.

use wasmtime::{AsContextMut, Caller, Result};

use super::imports::{INVALID_MEMORY_ACCESS, OK};
use super::world::World;

/// Copies bytes out of the guest; `None` where the range is not all in its memory.
pub(super) fn read(guest: &mut Caller<'_, World>, pointer: u32, length: u32) -> Option<Vec<u8>> {
    let memory = guest.data().memory?;
    let start = pointer as usize;
    let end = start.checked_add(length as usize)?;
    memory.data(&*guest).get(start..end).map(<[u8]>::to_vec)
}

/// Copies bytes into the guest and answers with the host call's status.
pub(super) fn write(guest: &mut Caller<'_, World>, pointer: u32, bytes: &[u8]) -> u32 {
    let Some(memory) = guest.data().memory else { return INVALID_MEMORY_ACCESS };
    match memory.write(guest.as_context_mut(), pointer as usize, bytes) {
        Ok(()) => OK,
        Err(_) => INVALID_MEMORY_ACCESS,
    }
}

/// Gives bytes to the guest in memory that the guest itself allocates, and tells it where they are.
pub(super) fn hand_over(guest: &mut Caller<'_, World>, bytes: &[u8], data: u32, size: u32) -> Result<u32> {
    let pointer = if bytes.is_empty() {
        0
    } else {
        let Some(allocate) = guest.data().allocate.clone() else { return Ok(INVALID_MEMORY_ACCESS) };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let pointer = allocate.call(guest.as_context_mut(), length)?;
        if write(guest, pointer, bytes) != OK {
            return Ok(INVALID_MEMORY_ACCESS);
        }
        pointer
    };
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if write(guest, data, &pointer.to_le_bytes()) != OK {
        return Ok(INVALID_MEMORY_ACCESS);
    }
    Ok(write(guest, size, &length.to_le_bytes()))
}
