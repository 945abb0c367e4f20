//! Header and trailer maps, where they can be reached.

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, Guest, NOT_FOUND, OK, bytes};
use crate::headers::Headers;
use crate::host::memory::hand_over;
use crate::host::pairs;
use crate::host::world::{Direction, World};

/// The map behind Envoy's number for it, unless it is out of reach just now.
fn map(world: &mut World, kind: u32) -> Option<&mut Headers> {
    let stream = world.acting_stream()?;
    let (direction, trailers) = match kind {
        0 => (Direction::Request, false),
        1 => (Direction::Request, true),
        2 => (Direction::Response, false),
        3 => (Direction::Response, true),
        _ => return None,
    };
    let flow = stream.flow(direction);
    if trailers {
        flow.trailers.as_mut().filter(|_| flow.trailers_reachable)
    } else {
        flow.headers_reachable.then_some(&mut flow.headers)
    }
}

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_header_map_pairs",
        |mut guest: Guest<'_>, kind: u32, data: u32, size: u32| -> Result<u32> {
            // A map out of reach is an empty one here, not an error: so does Envoy.
            let encoded = map(guest.data_mut(), kind).map(|headers| pairs::encode(headers)).unwrap_or_default();
            hand_over(&mut guest, &encoded, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_header_map_pairs",
        |mut guest: Guest<'_>, kind: u32, data: u32, size: u32| -> Result<u32> {
            let encoded = bytes!(guest, data, size);
            Ok(edit(&mut guest, kind, |headers| *headers = pairs::decode(&encoded)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_header_map_value",
        |mut guest: Guest<'_>, kind: u32, name: u32, name_length: u32, data: u32, size: u32| -> Result<u32> {
            let name = bytes!(guest, name, name_length);
            let Some(headers) = map(guest.data_mut(), kind) else { return Ok(BAD_ARGUMENT) };
            let Some(value) = headers.first(&name).map(<[u8]>::to_vec) else { return Ok(NOT_FOUND) };
            hand_over(&mut guest, &value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_replace_header_map_value",
        |mut guest: Guest<'_>, kind: u32, name: u32, name_length: u32, value: u32, length: u32| -> Result<u32> {
            let name = bytes!(guest, name, name_length);
            let value = bytes!(guest, value, length);
            Ok(edit(&mut guest, kind, |headers| headers.replace(&name, &value)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_add_header_map_value",
        |mut guest: Guest<'_>, kind: u32, name: u32, name_length: u32, value: u32, length: u32| -> Result<u32> {
            let name = bytes!(guest, name, name_length);
            let value = bytes!(guest, value, length);
            Ok(edit(&mut guest, kind, |headers| headers.add(&name, &value)))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_remove_header_map_value",
        |mut guest: Guest<'_>, kind: u32, name: u32, name_length: u32| -> Result<u32> {
            let name = bytes!(guest, name, name_length);
            Ok(edit(&mut guest, kind, |headers| headers.remove(&name)))
        },
    )?;
    Ok(())
}

fn edit(guest: &mut Guest<'_>, kind: u32, change: impl FnOnce(&mut Headers)) -> u32 {
    match map(guest.data_mut(), kind) {
        Some(headers) => {
            change(headers);
            OK
        }
        None => BAD_ARGUMENT,
    }
}
