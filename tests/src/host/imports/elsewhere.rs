//! Queues and calls to other services, of which this host has none.

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, NOT_FOUND, UNIMPLEMENTED};
use crate::host::world::World;

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap("env", "proxy_register_shared_queue", |_: u32, _: u32, _: u32| UNIMPLEMENTED)?;
    linker.func_wrap("env", "proxy_resolve_shared_queue", |_: u32, _: u32, _: u32, _: u32, _: u32| NOT_FOUND)?;
    linker.func_wrap("env", "proxy_dequeue_shared_queue", |_: u32, _: u32, _: u32| NOT_FOUND)?;
    linker.func_wrap("env", "proxy_enqueue_shared_queue", |_: u32, _: u32, _: u32| NOT_FOUND)?;
    linker.func_wrap("env", "proxy_get_status", |_: u32, _: u32, _: u32| UNIMPLEMENTED)?;
    // An upstream cluster that does not exist, which is the only kind there is here.
    linker.func_wrap(
        "env",
        "proxy_http_call",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| BAD_ARGUMENT,
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_call",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| UNIMPLEMENTED,
    )?;
    linker.func_wrap(
        "env",
        "proxy_grpc_stream",
        |_: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32, _: u32| UNIMPLEMENTED,
    )?;
    linker.func_wrap("env", "proxy_grpc_send", |_: u32, _: u32, _: u32, _: u32| NOT_FOUND)?;
    linker.func_wrap("env", "proxy_grpc_cancel", |_: u32| NOT_FOUND)?;
    linker.func_wrap("env", "proxy_grpc_close", |_: u32| NOT_FOUND)?;
    Ok(())
}
