//! The host calls of ABI 0.2.1 under the module name `env`, with Envoy's answers.

mod bodies;
mod elsewhere;
mod headers;
mod metrics;
mod process;
mod state;
mod streams;

use wasmtime::{Caller, Linker, Result};

use super::world::World;

pub(super) const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
pub(super) const INVALID_MEMORY_ACCESS: u32 = 6;
const CAS_MISMATCH: u32 = 8;
const UNIMPLEMENTED: u32 = 12;

type Guest<'a> = Caller<'a, World>;

/// Reads a byte string of the guest, or answers the host call with `InvalidMemoryAccess`.
macro_rules! bytes {
    ($guest:expr, $pointer:expr, $length:expr) => {
        match $crate::host::memory::read(&mut $guest, $pointer, $length) {
            Some(bytes) => bytes,
            None => return Ok($crate::host::imports::INVALID_MEMORY_ACCESS),
        }
    };
}
use bytes;

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    process::link(linker)?;
    headers::link(linker)?;
    bodies::link(linker)?;
    streams::link(linker)?;
    state::link(linker)?;
    metrics::link(linker)?;
    elsewhere::link(linker)
}
