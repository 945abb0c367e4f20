//! The log, the clock and the timer.

use std::time::Duration;

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, Guest, OK, bytes};
use crate::host::memory::write;
use crate::host::world::{Timer, World};

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_log",
        |mut guest: Guest<'_>, level: u32, text: u32, length: u32| -> Result<u32> {
            if level > 5 {
                return Ok(BAD_ARGUMENT);
            }
            let text = bytes!(guest, text, length);
            guest.data_mut().keep_log(level, String::from_utf8_lossy(&text).into_owned());
            Ok(OK)
        },
    )?;
    linker.func_wrap("env", "proxy_get_log_level", |mut guest: Guest<'_>, level: u32| -> Result<u32> {
        let answer = guest.data().settings.log_level;
        Ok(write(&mut guest, level, &answer.to_le_bytes()))
    })?;
    linker.func_wrap(
        "env",
        "proxy_get_current_time_nanoseconds",
        |mut guest: Guest<'_>, time: u32| -> Result<u32> {
            let answer = guest.data().nanoseconds();
            Ok(write(&mut guest, time, &answer.to_le_bytes()))
        },
    )?;
    linker.func_wrap(
        "env",
        "proxy_set_tick_period_milliseconds",
        |mut guest: Guest<'_>, period: u32| -> Result<u32> {
            let world = guest.data_mut();
            let period = Duration::from_millis(u64::from(period));
            world.timer = (!period.is_zero()).then(|| Timer { period, due: world.clock + period });
            Ok(OK)
        },
    )?;
    Ok(())
}
