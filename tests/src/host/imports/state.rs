//! Properties, shared data and foreign functions.

use std::collections::btree_map::Entry;

use wasmtime::{Linker, Result};

use super::{CAS_MISMATCH, Guest, NOT_FOUND, OK, bytes};
use crate::host::memory::{hand_over, write};
use crate::host::world::World;

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_get_property",
        |mut guest: Guest<'_>, path: u32, path_length: u32, data: u32, size: u32| -> Result<u32> {
            let path = bytes!(guest, path, path_length);
            let Some(value) = property(guest.data_mut(), &path) else { return Ok(NOT_FOUND) };
            hand_over(&mut guest, &value, data, size)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_property",
        |mut guest: Guest<'_>, path: u32, path_length: u32, value: u32, length: u32| -> Result<u32> {
            let path = bytes!(guest, path, path_length);
            let value = bytes!(guest, value, length);
            let Some(stream) = guest.data_mut().acting_stream() else { return Ok(NOT_FOUND) };
            stream.properties.insert(path, value);
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_get_shared_data",
        |mut guest: Guest<'_>, key: u32, key_length: u32, data: u32, size: u32, cas: u32| -> Result<u32> {
            let key = bytes!(guest, key, key_length);
            let Some((value, version)) = guest.data().shared_data.get(&key).cloned() else { return Ok(NOT_FOUND) };
            match hand_over(&mut guest, &value, data, size)? {
                OK => Ok(write(&mut guest, cas, &version.to_le_bytes())),
                status => Ok(status),
            }
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_shared_data",
        |mut guest: Guest<'_>, key: u32, key_length: u32, value: u32, length: u32, cas: u32| -> Result<u32> {
            let key = bytes!(guest, key, key_length);
            let value = bytes!(guest, value, length);
            match guest.data_mut().shared_data.entry(key) {
                Entry::Occupied(held) if cas != 0 && held.get().1 != cas => return Ok(CAS_MISMATCH),
                Entry::Occupied(mut held) => {
                    let version = held.get().1 + 1;
                    held.insert((value, version));
                }
                Entry::Vacant(free) => {
                    free.insert((value, 1));
                }
            }
            Ok(OK)
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut guest: Guest<'_>, name: u32, name_length: u32, _: u32, _: u32, data: u32, size: u32| -> Result<u32> {
            let name = bytes!(guest, name, name_length);
            if name != b"clear_route_cache" {
                return Ok(NOT_FOUND);
            }
            hand_over(&mut guest, b"", data, size)
        },
    )?;
    Ok(())
}

/// What the guest set itself, or one of the attributes that a stock Envoy has for every request.
fn property(world: &mut World, path: &[u8]) -> Option<Vec<u8>> {
    let plugin: Option<&[u8]> = match path {
        b"plugin_name" => Some(b"modelway"),
        b"plugin_root_id" | b"plugin_vm_id" => Some(b""),
        _ => None,
    };
    if let Some(value) = plugin {
        return Some(value.to_vec());
    }
    let stream = world.acting_stream()?;
    if let Some(value) = stream.properties.get(path) {
        return Some(value.clone());
    }
    let request = &stream.request.headers;
    match path {
        b"request\0path" => request.get(":path").map(<[u8]>::to_vec),
        b"request\0method" => request.get(":method").map(<[u8]>::to_vec),
        b"request\0host" => request.get(":authority").map(<[u8]>::to_vec),
        b"request\0id" => request.get("x-request-id").map(<[u8]>::to_vec),
        b"source\0address" => Some(b"127.0.0.1:40000".to_vec()),
        b"connection\0mtls" => Some(vec![0]),
        b"response\0code" => {
            let status = stream.response.headers.text(":status")?.parse::<u64>().ok()?;
            Some(status.to_le_bytes().to_vec())
        }
        _ => {
            let name = path.strip_prefix(b"request\0headers\0")?;
            request.first(name).map(<[u8]>::to_vec)
        }
    }
}
