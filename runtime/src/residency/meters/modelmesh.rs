//! The same numbers under KServe ModelMesh's names, so that its dashboards fit.
//!
//! Types, units and buckets are ModelMesh's. The names that are of the whole cluster there are of this server here:
//! there is nobody who would know all.

use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

use super::{Stock, count, shown, signed};
use crate::residency::room::Taken;

/// Upper bounds in milliseconds of times.
pub(crate) const MILLISECONDS: [f64; 19] = [
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 75.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0,
    60_000.0, 120_000.0, 300_000.0,
];

const SECOND: f64 = 1000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Upper bounds in milliseconds of ages.
const AGES: [f64; 10] =
    [30.0 * SECOND, 5.0 * MINUTE, 15.0 * MINUTE, HOUR, 4.0 * HOUR, 12.0 * HOUR, DAY, 7.0 * DAY, 30.0 * DAY, 90.0 * DAY];

/// Upper bounds in bytes of a model: from 256 KiB by fours.
const SIZES: [f64; 8] =
    [262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 268_435_456.0, 1_073_741_824.0, 4_294_967_296.0];

/// The numbers.
pub(super) struct ModelMeshMeters {
    loads: Histogram,
    load_failures: IntCounter,
    loading_queue: Histogram,
    cache_misses: Histogram,
    sizes: Histogram,
    evictions: IntCounter,
    ages: Histogram,
    models: IntGauge,
    managed: IntGauge,
    failed: IntGauge,
    of_instance: IntGauge,
    capacity: IntGauge,
    used: IntGauge,
    used_basis_points: IntGauge,
    longest_unused: IntGauge,
}

// === impl ModelMeshMeters ===

impl ModelMeshMeters {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let name = format!("modelmesh_{name}");
            shown(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(bounds.to_vec()))?)
        };
        let gauge = |name: &str, help: &str| shown(registry, IntGauge::new(format!("modelmesh_{name}"), help)?);
        let counter = |name: &str, help: &str| shown(registry, IntCounter::new(format!("modelmesh_{name}"), help)?);
        Ok(Self {
            loads: histogram("loadmodel_milliseconds", "Time taken to load a model", &MILLISECONDS)?,
            load_failures: counter("loadmodel_failure", "Model load failures")?,
            loading_queue: histogram(
                "loading_queue_delay_milliseconds",
                "Time that a load spent in the queue",
                &MILLISECONDS,
            )?,
            cache_misses: histogram(
                "cache_miss_milliseconds",
                "Time that a request waited for a model that was not in memory",
                &MILLISECONDS,
            )?,
            sizes: histogram("loaded_model_size_bytes", "Measured size of a loaded model", &SIZES)?,
            evictions: counter("model_evicted", "Models evicted")?,
            ages: histogram("age_at_eviction_milliseconds", "Time since an evicted model was used", &AGES)?,
            models: gauge("models_loaded_total", "Models and versions in memory")?,
            managed: gauge("models_managed_total", "Models and versions in storage")?,
            failed: gauge("models_with_failure_total", "Models and versions whose last load failed")?,
            of_instance: gauge("instance_models_total", "Models and versions in this server's memory")?,
            capacity: gauge("instance_capacity_bytes", "Bytes that models may have in all")?,
            used: gauge("instance_used_bytes", "Bytes of models in memory")?,
            used_basis_points: gauge("instance_used_bps", "Part of the capacity in use, in hundredths of a percent")?,
            longest_unused: gauge(
                "instance_lru_age_seconds",
                "Time since the model in memory that was used longest ago was used",
            )?,
        })
    }

    pub(super) fn set(&self, stock: &Stock, host: Taken) {
        const BASIS_POINTS: u128 = 10_000;
        self.models.set(count(stock.ready));
        self.managed.set(count(stock.models));
        self.failed.set(count(stock.failed));
        self.of_instance.set(count(stock.ready));
        self.capacity.set(signed(host.budget));
        self.used.set(signed(host.used));
        let basis_points = u128::from(host.used) * BASIS_POINTS / u128::from(host.budget.max(1));
        self.used_basis_points.set(i64::try_from(basis_points).unwrap_or(i64::MAX));
        let age = stock.longest_unused.unwrap_or_default().as_secs();
        self.longest_unused.set(signed(age));
    }

    pub(super) fn loaded(&self, took: Duration, bytes: u64) {
        self.loads.observe(milliseconds(took));
        self.sizes.observe(bytes as f64);
    }

    pub(super) fn load_failed(&self) {
        self.load_failures.inc();
    }

    pub(super) fn left_queue(&self, queued: Duration) {
        self.loading_queue.observe(milliseconds(queued));
    }

    pub(super) fn missed(&self, waited: Duration) {
        self.cache_misses.observe(milliseconds(waited));
    }

    pub(super) fn evicted(&self, idle: Duration) {
        self.evictions.inc();
        self.ages.observe(milliseconds(idle));
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * SECOND
}
