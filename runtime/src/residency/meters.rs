//! What is counted of loads and evictions.

mod modelmesh;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::error::Refusal;
use crate::model::Device;
use crate::residency::room::{Taken, Totals};

pub(crate) use modelmesh::MILLISECONDS;
use modelmesh::ModelMeshMeters;

/// Upper bounds in seconds of a load.
const LOAD_SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0];

/// Upper bounds in seconds of how long an evicted model was not used.
const IDLE_SECONDS: [f64; 10] = [0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 259_200.0];

/// The numbers.
pub(crate) struct Meters {
    loads: Histogram,
    load_failures: IntCounter,
    evictions: Histogram,
    unloads: IntCounter,
    refusals: IntCounterVec,
    host: Memory,
    gpus: Gpus,
    queue: IntGauge,
    loading: IntGauge,
    waiting: IntGauge,
    modelmesh: Option<ModelMeshMeters>,
}

/// What only who knows the catalogue can count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stock {
    pub(crate) models: usize,
    pub(crate) ready: usize,
    pub(crate) failed: usize,
    /// How long the model in memory that was used longest ago is unused.
    pub(crate) longest_unused: Option<Duration>,
}

/// The host's memory.
struct Memory {
    budget: IntGauge,
    resident: IntGauge,
    reserved: IntGauge,
    share: Gauge,
}

/// The memory of each CUDA device that has models.
struct Gpus {
    budget: IntGaugeVec,
    resident: IntGaugeVec,
    reserved: IntGaugeVec,
    share: GaugeVec,
}

// === impl Meters ===

impl Meters {
    /// The numbers of a residency, shown by the registry.
    pub(crate) fn register(registry: &Registry, has_modelmesh_names: bool) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            shown(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?)
        };
        let gauge = |name: &str, help: &str| shown(registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| shown(registry, IntCounter::new(name, help)?);
        let of_device = |name: &str, help: &str| shown(registry, IntGaugeVec::new(Opts::new(name, help), &["device"])?);
        let refusals = Opts::new("modelway_refusals_total", "Requests that another server should take, by reason");
        let refusals = shown(registry, IntCounterVec::new(refusals, &["reason"])?)?;
        for refusal in Refusal::ALL {
            refusals.with_label_values(&[refusal.as_str()]);
        }
        let share_of_gpu =
            Opts::new("modelway_gpu_memory_share", "Part of a device's budget that is taken or reserved");
        Ok(Self {
            loads: histogram("modelway_model_load_seconds", "Time of a model's load", &LOAD_SECONDS)?,
            load_failures: counter("modelway_model_load_failures_total", "Loads that gave no model")?,
            evictions: histogram(
                "modelway_model_eviction_age_seconds",
                "Time since an evicted model was used",
                &IDLE_SECONDS,
            )?,
            unloads: counter("modelway_model_unloads_total", "Models unloaded, by command or because storage changed")?,
            refusals,
            host: Memory {
                budget: gauge("modelway_memory_budget_bytes", "Bytes that models may have in all")?,
                resident: gauge(
                    "modelway_resident_bytes",
                    "Bytes of models in memory, also of those that requests still use after they were unloaded",
                )?,
                reserved: gauge("modelway_reserved_bytes", "Bytes expected of the loads under way")?,
                share: shown(
                    registry,
                    Gauge::new("modelway_memory_share", "Part of the memory budget that is taken or reserved")?,
                )?,
            },
            gpus: Gpus {
                budget: of_device("modelway_gpu_memory_budget_bytes", "Bytes that models on a device may have in all")?,
                resident: of_device("modelway_gpu_resident_bytes", "Bytes of models in a device's memory")?,
                reserved: of_device("modelway_gpu_reserved_bytes", "Bytes expected of the loads to a device")?,
                share: shown(registry, GaugeVec::new(share_of_gpu, &["device"])?)?,
            },
            queue: gauge("modelway_load_queue_length", "Loads that wait for their turn or for room")?,
            loading: gauge("modelway_loads_in_progress", "Loads under way")?,
            waiting: gauge("modelway_requests_waiting_for_load", "Requests and commands that wait for a load")?,
            modelmesh: has_modelmesh_names.then(|| ModelMeshMeters::register(registry)).transpose()?,
        })
    }

    pub(super) fn set(&self, stock: &Stock, totals: Totals, taken: &[(Device, Taken)], waiting: usize) {
        self.queue.set(count(totals.queued));
        self.loading.set(count(totals.loading));
        self.waiting.set(count(waiting));
        for &(device, taken) in taken {
            match device {
                Device::Cpu => self.host.set(taken),
                Device::Cuda(_) => self.gpus.set(device, taken),
            }
        }
        if let (Some(modelmesh), Some((_, host))) = (&self.modelmesh, taken.first()) {
            modelmesh.set(stock, *host);
        }
    }

    /// A load left the queue and begins.
    pub(super) fn left_queue(&self, queued: Duration) {
        if let Some(modelmesh) = &self.modelmesh {
            modelmesh.left_queue(queued);
        }
    }

    pub(super) fn loaded(&self, took: Duration, bytes: u64) {
        self.loads.observe(took.as_secs_f64());
        if let Some(modelmesh) = &self.modelmesh {
            modelmesh.loaded(took, bytes);
        }
    }

    pub(super) fn load_failed(&self) {
        self.load_failures.inc();
        if let Some(modelmesh) = &self.modelmesh {
            modelmesh.load_failed();
        }
    }

    pub(super) fn evicted(&self, idle: Duration) {
        self.evictions.observe(idle.as_secs_f64());
        if let Some(modelmesh) = &self.modelmesh {
            modelmesh.evicted(idle);
        }
    }

    /// A request has waited so long for a model that was not in memory.
    pub(super) fn missed(&self, waited: Duration) {
        if let Some(modelmesh) = &self.modelmesh {
            modelmesh.missed(waited);
        }
    }

    pub(super) fn unloaded(&self) {
        self.unloads.inc();
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refusals.with_label_values(&[refusal.as_str()]).inc();
    }
}

// === impl Memory ===

impl Memory {
    fn set(&self, taken: Taken) {
        self.budget.set(signed(taken.budget));
        self.resident.set(signed(taken.used));
        self.reserved.set(signed(taken.reserved));
        self.share.set(taken.share());
    }
}

// === impl Gpus ===

impl Gpus {
    fn set(&self, device: Device, taken: Taken) {
        let device = device.to_string();
        let labels = [device.as_str()];
        self.budget.with_label_values(&labels).set(signed(taken.budget));
        self.resident.with_label_values(&labels).set(signed(taken.used));
        self.reserved.with_label_values(&labels).set(signed(taken.reserved));
        self.share.with_label_values(&labels).set(taken.share());
    }
}

fn shown<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}
