//! Counters, gauges and histograms.

use wasmtime::{Linker, Result};

use super::{BAD_ARGUMENT, Guest, NOT_FOUND, OK, bytes};
use crate::host::memory::write;
use crate::host::world::{Metric, World};

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;
/// Envoy keeps the kind of a metric in the lowest bits of its id.
const METRIC_KIND_MASK: u32 = 3;
const METRIC_ID_STEP: u32 = 4;

pub(super) fn link(linker: &mut Linker<World>) -> Result<()> {
    linker.func_wrap(
        "env",
        "proxy_define_metric",
        |mut guest: Guest<'_>, kind: u32, name: u32, length: u32, id: u32| -> Result<u32> {
            if kind > HISTOGRAM {
                return Ok(BAD_ARGUMENT);
            }
            let name = String::from_utf8_lossy(&bytes!(guest, name, length)).into_owned();
            let world = guest.data_mut();
            let known = world.metrics.iter().find(|(_, metric)| metric.kind == kind && metric.name == name);
            let assigned = match known {
                Some((id, _)) => *id,
                None => {
                    let count = u32::try_from(world.metrics.len()).unwrap_or(u32::MAX);
                    let id = (count + 1) * METRIC_ID_STEP + kind;
                    world.metrics.insert(id, Metric { kind, name, value: 0, samples: Vec::new() });
                    id
                }
            };
            Ok(write(&mut guest, id, &assigned.to_le_bytes()))
        },
    )?;
    linker.func_wrap("env", "proxy_increment_metric", |mut guest: Guest<'_>, id: u32, offset: i64| -> Result<u32> {
        let kind = id & METRIC_KIND_MASK;
        if kind > GAUGE || (kind == COUNTER && offset <= 0) {
            return Ok(BAD_ARGUMENT);
        }
        let Some(metric) = guest.data_mut().metrics.get_mut(&id) else { return Ok(NOT_FOUND) };
        metric.value = metric.value.wrapping_add_signed(offset);
        Ok(OK)
    })?;
    linker.func_wrap("env", "proxy_record_metric", |mut guest: Guest<'_>, id: u32, value: u64| -> Result<u32> {
        let Some(metric) = guest.data_mut().metrics.get_mut(&id) else { return Ok(NOT_FOUND) };
        match metric.kind {
            COUNTER => metric.value = metric.value.wrapping_add(value),
            GAUGE => metric.value = value,
            _ => metric.samples.push(value),
        }
        Ok(OK)
    })?;
    linker.func_wrap("env", "proxy_get_metric", |mut guest: Guest<'_>, id: u32, value: u32| -> Result<u32> {
        if id & METRIC_KIND_MASK == HISTOGRAM {
            return Ok(BAD_ARGUMENT);
        }
        let Some(answer) = guest.data().metrics.get(&id).map(|metric| metric.value) else { return Ok(NOT_FOUND) };
        Ok(write(&mut guest, value, &answer.to_le_bytes()))
    })?;
    Ok(())
}
