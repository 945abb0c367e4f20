//! What is counted, as Prometheus text.
//!
//! Names are Triton's where Triton has the same number, so that its dashboards fit; ours begin with
//! `modelway_`. Labels are models that stand in storage: no request can invent a series.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::error::Error;
use crate::listing::{Listing, State};
use crate::residency::Residency;

#[cfg(test)]
mod tests;

/// Upper bounds in seconds, from a small model's answer to a long generation.
const SECONDS: [f64; 14] = [0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const MODEL_LABELS: [&str; 2] = ["model", "version"];

/// The server's numbers.
pub(crate) struct Metrics {
    registry: Registry,
    residency: Arc<Residency>,
    success: IntCounterVec,
    failure: IntCounterVec,
    inferences: IntCounterVec,
    executions: IntCounterVec,
    duration_us: IntCounterVec,
    duration: HistogramVec,
    resident_bytes: IntGaugeVec,
    models: IntGaugeVec,
    in_flight: IntGauge,
}

/// The numbers of one model and version, looked up once.
#[derive(Debug)]
pub(crate) struct ModelCounters {
    success: IntCounter,
    failure: IntCounter,
    inferences: IntCounter,
    executions: IntCounter,
    duration_us: IntCounter,
    duration: Histogram,
}

// === impl Metrics ===

impl Metrics {
    /// With the numbers of what is in memory.
    pub(crate) fn new(residency: &Arc<Residency>) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        residency.register(&registry)?;
        let counter = |name: &str, help: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &MODEL_LABELS)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let success = counter("nv_inference_request_success", "Inference requests answered")?;
        let failure = counter("nv_inference_request_failure", "Inference requests that a model failed or refused")?;
        let inferences = counter("nv_inference_count", "Inferences: rows of the batches answered")?;
        let executions = counter("nv_inference_exec_count", "Executions of the model")?;
        let duration_us = counter("nv_inference_request_duration_us", "Time in inference, summed, in microseconds")?;
        let resident_bytes =
            gauge("modelway_model_resident_bytes", "Bytes of memory that a model keeps", &MODEL_LABELS)?;
        let models = gauge("modelway_models", "Models and versions in storage, by state", &["state"])?;
        let options =
            HistogramOpts::new("modelway_inference_duration_seconds", "Time in inference").buckets(SECONDS.to_vec());
        let duration = HistogramVec::new(options, &MODEL_LABELS)?;
        registry.register(Box::new(duration.clone()))?;
        let in_flight = IntGauge::new("modelway_inferences_in_flight", "Inference requests not answered yet")?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            registry,
            residency: residency.clone(),
            success,
            failure,
            inferences,
            executions,
            duration_us,
            duration,
            resident_bytes,
            models,
            in_flight,
        })
    }

    /// The numbers of this model and version.
    pub(crate) fn of_model(&self, model: &str, version: Option<&str>) -> ModelCounters {
        let labels = [model, version.unwrap_or("")];
        ModelCounters {
            success: self.success.with_label_values(&labels),
            failure: self.failure.with_label_values(&labels),
            inferences: self.inferences.with_label_values(&labels),
            executions: self.executions.with_label_values(&labels),
            duration_us: self.duration_us.with_label_values(&labels),
            duration: self.duration.with_label_values(&labels),
        }
    }

    /// Requests begun and not ended.
    pub(crate) fn in_flight(&self) -> &IntGauge {
        &self.in_flight
    }

    /// The exposition in Prometheus' text format, with the stock of models.
    pub(crate) fn text(&self, models: &[Listing]) -> Result<Vec<u8>, Error> {
        self.take_stock(models);
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .map_err(|error| Error::internal(format!("cannot write the metrics: {error}")))?;
        Ok(text)
    }

    fn take_stock(&self, models: &[Listing]) {
        self.residency.take_stock();
        // What is no longer in memory has no bytes to show.
        self.resident_bytes.reset();
        let mut counts = [("unloaded", 0), ("loading", 0), ("ready", 0), ("failed", 0), ("unloading", 0)];
        for listing in models {
            let state = match &listing.state {
                State::Unloaded => "unloaded",
                State::Queued | State::Loading => "loading",
                State::Ready { size_bytes } => {
                    let labels = [listing.name.as_str(), listing.version.as_deref().unwrap_or("")];
                    let size_bytes = i64::try_from(*size_bytes).unwrap_or(i64::MAX);
                    self.resident_bytes.with_label_values(&labels).set(size_bytes);
                    "ready"
                }
                State::Failed { .. } => "failed",
                State::Unloading => "unloading",
            };
            for (name, count) in &mut counts {
                *count += i64::from(*name == state);
            }
        }
        for (state, count) in counts {
            self.models.with_label_values(&[state]).set(count);
        }
    }
}

// === impl ModelCounters ===

impl ModelCounters {
    /// One response of the model, for a batch of so many rows.
    pub(crate) fn executed(&self, rows: usize) {
        self.executions.inc();
        self.inferences.inc_by(u64::try_from(rows).unwrap_or(u64::MAX));
    }

    /// A request ended after this time.
    pub(crate) fn ended(&self, success: bool, elapsed: Duration) {
        let requests = if success { &self.success } else { &self.failure };
        requests.inc();
        self.duration_us.inc_by(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        self.duration.observe(elapsed.as_secs_f64());
    }
}
