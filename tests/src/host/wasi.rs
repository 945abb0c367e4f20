//! The part of WASI preview 1 that Envoy offers a guest: a clock, random bytes, an empty environment, and a standard
//! output that is the log. A guest that imports anything else is refused, as Envoy refuses it.

use wasmtime::{Caller, Linker, Result};

use super::imports::OK;
use super::memory::{read, write};
use super::world::World;

const WASI: &str = "wasi_snapshot_preview1";

const SUCCESS: u32 = 0;
const BAD_DESCRIPTOR: u32 = 8;
const FAULT: u32 = 21;
const NOT_SUPPORTED: u32 = 58;
const NO_SYSTEM_CALL: u32 = 52;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const INFO: u32 = 2;
const ERROR: u32 = 4;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

type Guest<'a> = Caller<'a, World>;

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(WASI, "environ_sizes_get", two_zeroes)?;
    linker.func_wrap(WASI, "environ_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(WASI, "args_sizes_get", two_zeroes)?;
    linker.func_wrap(WASI, "args_get", |_: u32, _: u32| SUCCESS)?;
    linker.func_wrap(WASI, "clock_time_get", clock_time_get)?;
    linker.func_wrap(WASI, "random_get", random_get)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    linker.func_wrap(WASI, "fd_read", |_: u32, _: u32, _: u32, _: u32| NO_SYSTEM_CALL)?;
    linker.func_wrap(WASI, "fd_seek", |_: u32, _: i64, _: u32, _: u32| SUCCESS)?;
    linker.func_wrap(WASI, "fd_close", |_: u32| SUCCESS)?;
    linker.func_wrap(WASI, "fd_fdstat_get", fd_fdstat_get)?;
    linker.func_wrap(WASI, "sched_yield", || SUCCESS)?;
    linker.func_wrap(WASI, "proc_exit", |code: u32| -> Result<()> {
        Err(wasmtime::Error::msg(format!("the guest called proc_exit({code})")))
    })?;
    Ok(())
}

fn fault_unless_ok(status: u32) -> u32 {
    if status == OK { SUCCESS } else { FAULT }
}

fn two_zeroes(mut guest: Guest<'_>, count: u32, size: u32) -> u32 {
    match write(&mut guest, count, &[0; 4]) {
        OK => fault_unless_ok(write(&mut guest, size, &[0; 4])),
        _ => FAULT,
    }
}

fn clock_time_get(mut guest: Guest<'_>, clock: u32, _precision: u64, time: u32) -> u32 {
    if clock != REALTIME && clock != MONOTONIC {
        return NOT_SUPPORTED;
    }
    let now = guest.data().nanoseconds();
    fault_unless_ok(write(&mut guest, time, &now.to_le_bytes()))
}

fn random_get(mut guest: Guest<'_>, pointer: u32, length: u32) -> u32 {
    let bytes = guest.data_mut().random_bytes(length as usize);
    fault_unless_ok(write(&mut guest, pointer, &bytes))
}

fn fd_write(mut guest: Guest<'_>, descriptor: u32, vectors: u32, count: u32, written: u32) -> u32 {
    let level = match descriptor {
        STDOUT => INFO,
        STDERR => ERROR,
        _ => return BAD_DESCRIPTOR,
    };
    let mut text = Vec::new();
    for index in 0..count {
        let Some(vector) = read(&mut guest, vectors + index * 8, 8) else { return FAULT };
        let (pointer, length) = vector.split_at(4);
        let (Ok(pointer), Ok(length)) = (pointer.try_into(), length.try_into()) else { return FAULT };
        let Some(part) = read(&mut guest, u32::from_le_bytes(pointer), u32::from_le_bytes(length)) else {
            return FAULT;
        };
        text.extend(part);
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if !text.is_empty() {
        guest.data_mut().keep_log(level, String::from_utf8_lossy(&text).into_owned());
    }
    fault_unless_ok(write(&mut guest, written, &length.to_le_bytes()))
}

fn fd_fdstat_get(mut guest: Guest<'_>, descriptor: u32, status: u32) -> u32 {
    if descriptor != STDOUT && descriptor != STDERR {
        return BAD_DESCRIPTOR;
    }
    let mut answer = [0; 24];
    answer[8] = 64;
    fault_unless_ok(write(&mut guest, status, &answer))
}
