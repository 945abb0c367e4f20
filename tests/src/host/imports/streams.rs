//! Letting a stream go on, ending it, answering it.

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, Guest, OK, bytes};
use crate::host::ROOT_CONTEXT;
use crate::host::pairs;
use crate::host::world::{Deferred, Direction, LocalReply, World};

fn direction(kind: u32) -> Option<Direction> {
    match kind {
        0 => Some(Direction::Request),
        1 => Some(Direction::Response),
        _ => None,
    }
}

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap("env", "proxy_continue_stream", |mut guest: Guest<'_>, kind: u32| -> Result<u32> {
        let Some(direction) = direction(kind) else { return Ok(BAD_ARGUMENT) };
        let world = guest.data_mut();
        let context = world.acting_context();
        if let Some(stream) = world.acting_stream() {
            // Envoy forgets the request's maps at once, whichever direction is let go.
            stream.request.headers_reachable = false;
            stream.request.window_reachable = false;
            stream.request.trailers_reachable = false;
            world.deferred.push(Deferred::Continue(context, direction));
        }
        Ok(OK)
    })?;
    linker.func_wrap("env", "proxy_close_stream", |mut guest: Guest<'_>, kind: u32| -> Result<u32> {
        if direction(kind).is_none() {
            return Ok(BAD_ARGUMENT);
        }
        let world = guest.data_mut();
        let context = world.acting_context();
        world.deferred.push(Deferred::Reset(context));
        Ok(OK)
    })?;
    linker.func_wrap(
        "env",
        "proxy_send_local_response",
        |mut guest: Guest<'_>,
         status: u32,
         details: u32,
         details_length: u32,
         body: u32,
         body_length: u32,
         headers: u32,
         headers_length: u32,
         grpc_status: i32|
         -> Result<u32> {
            let details = bytes!(guest, details, details_length);
            let body = bytes!(guest, body, body_length);
            let headers = bytes!(guest, headers, headers_length);
            let world = guest.data_mut();
            let context = world.acting_context();
            let details = String::from_utf8_lossy(&details).into_owned();
            let headers = pairs::decode(&headers);
            let reply = LocalReply { status, body, headers, grpc_status, details };
            world.deferred.push(Deferred::Reply(context, reply));
            Ok(OK)
        },
    )?;
    linker.func_wrap("env", "proxy_set_effective_context", |mut guest: Guest<'_>, context: u32| -> Result<u32> {
        let world = guest.data_mut();
        if context != ROOT_CONTEXT && !world.streams.contains_key(&context) {
            return Ok(BAD_ARGUMENT);
        }
        world.effective_context = context;
        Ok(OK)
    })?;
    linker.func_wrap("env", "proxy_done", || -> u32 { OK })?;
    Ok(())
}
