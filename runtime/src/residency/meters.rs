//! What is counted of loads and evictions.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::error::Refusal;
use crate::residency::room::Totals;

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
    resident_bytes: IntGauge,
    reserved_bytes: IntGauge,
    queue: IntGauge,
    loading: IntGauge,
}

// === impl Meters ===

impl Meters {
    /// The numbers of a residency with this budget, shown by the registry.
    pub(crate) fn register(registry: &Registry, budget: u64) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            shown(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?)
        };
        let gauge = |name: &str, help: &str| shown(registry, IntGauge::new(name, help)?);
        let counter = |name: &str, help: &str| shown(registry, IntCounter::new(name, help)?);
        let refusals = Opts::new("modelway_refusals_total", "Requests that another server should take, by reason");
        let refusals = shown(registry, IntCounterVec::new(refusals, &["reason"])?)?;
        for refusal in Refusal::ALL {
            refusals.with_label_values(&[refusal.as_str()]);
        }
        gauge("modelway_memory_budget_bytes", "Bytes that models may have in all")?.set(signed(budget));
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
            resident_bytes: gauge(
                "modelway_resident_bytes",
                "Bytes of models in memory, also of those that requests still use after they were unloaded",
            )?,
            reserved_bytes: gauge("modelway_reserved_bytes", "Bytes expected of the loads under way")?,
            queue: gauge("modelway_load_queue_length", "Loads that wait for their turn or for room")?,
            loading: gauge("modelway_loads_in_progress", "Loads under way")?,
        })
    }

    pub(super) fn set(&self, totals: Totals) {
        self.resident_bytes.set(signed(totals.used));
        self.reserved_bytes.set(signed(totals.reserved));
        self.queue.set(i64::try_from(totals.queued).unwrap_or(i64::MAX));
        self.loading.set(i64::try_from(totals.loading).unwrap_or(i64::MAX));
    }

    pub(super) fn loaded(&self, took: Duration) {
        self.loads.observe(took.as_secs_f64());
    }

    pub(super) fn load_failed(&self) {
        self.load_failures.inc();
    }

    pub(super) fn evicted(&self, idle: Duration) {
        self.evictions.observe(idle.as_secs_f64());
    }

    pub(super) fn unloaded(&self) {
        self.unloads.inc();
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refusals.with_label_values(&[refusal.as_str()]).inc();
    }
}

fn shown<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
