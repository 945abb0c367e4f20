//! Bodies and the configuration as buffers, and where Envoy lets a guest edit them.

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, Guest, NOT_FOUND, OK, bytes};
use crate::host::memory::hand_over;
use crate::host::world::World;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;

/// What a buffer holds now; `None` where Envoy has no such buffer.
fn buffer(world: &mut World, kind: u32) -> Option<Vec<u8>> {
    match kind {
        REQUEST_BODY => Some(world.acting_stream()?.request.window.clone()),
        RESPONSE_BODY => Some(world.acting_stream()?.response.window.clone()),
        VM_CONFIGURATION => Some(Vec::new()),
        PLUGIN_CONFIGURATION if world.configuration_reachable => Some(world.configuration.clone()),
        _ => None,
    }
}

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_buffer_bytes",
        |mut guest: Guest<'_>, kind: u32, start: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            let Some(content) = buffer(guest.data_mut(), kind) else { return Ok(NOT_FOUND) };
            let start = start as usize;
            if start > content.len() {
                // Envoy computes the remaining length without a check here, which ends in a crash of the filter.
                return Err(wasmtime::Error::msg(format!(
                    "the guest reads a buffer of {} bytes from offset {start}",
                    content.len()
                )));
            }
            let end = content.len().min(start.saturating_add(length as usize));
            let slice = content.get(start..end).unwrap_or_default();
            // Nothing is written where there is nothing to hand over: the guest sees its own null.
            if slice.is_empty() { Ok(OK) } else { hand_over(&mut guest, slice, data, size) }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_buffer_bytes",
        |mut guest: Guest<'_>, kind: u32, start: u32, length: u32, data: u32, size: u32| -> Result<u32> {
            let replacement = bytes!(guest, data, size);
            Ok(set_buffer(guest.data_mut(), kind, start as usize, length as usize, &replacement))
        },
    )?;
    Ok(())
}

fn set_buffer(world: &mut World, kind: u32, start: usize, length: usize, replacement: &[u8]) -> u32 {
    let Some(stream) = world.acting_stream() else { return NOT_FOUND };
    let flow = match kind {
        REQUEST_BODY => &mut stream.request,
        RESPONSE_BODY => &mut stream.response,
        VM_CONFIGURATION | PLUGIN_CONFIGURATION => return BAD_ARGUMENT,
        _ => return NOT_FOUND,
    };
    if !flow.window_reachable {
        return BAD_ARGUMENT;
    }
    if start == 0 {
        let replaced = length.min(flow.window.len());
        flow.window.splice(..replaced, replacement.iter().copied());
        OK
    } else if start >= flow.window.len() {
        flow.window.extend_from_slice(replacement);
        OK
    } else {
        BAD_ARGUMENT
    }
}
