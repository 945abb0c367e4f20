//! What is counted, as Prometheus text.
//!
//! Names are Triton's and ModelMesh's where they have the same number, so that their dashboards fit; ours begin with
//! `modelway_`. Labels are models that stand in storage: no request can invent a series.

mod buckets;
mod counters;
mod exposition;
mod ledger;
mod stopwatch;
mod texts;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{Encoder, Histogram, HistogramOpts, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::listing::State;
use crate::residency::{MILLISECONDS, Residency, Stock};

pub(crate) use counters::Outcome;
pub(crate) use ledger::{Account, Totals};
use ledger::{Label, Ledger};
pub use stopwatch::Timed;
pub(crate) use stopwatch::{Measured, Part, Stopwatch};

/// What can be set.
#[derive(Clone, Debug)]
pub(crate) struct MetricsOptions {
    /// How many models have series of their own; the rest share those of `other`.
    pub(crate) models: usize,
    /// Whether what ModelMesh counts, too, is told under its names.
    pub(crate) has_modelmesh_names: bool,
}

/// The server's numbers.
pub(crate) struct Metrics {
    registry: Registry,
    residency: Arc<Residency>,
    ledger: Arc<Ledger>,
    models: IntGaugeVec,
    in_flight: IntGauge,
    queued: IntGauge,
    /// ModelMesh's name for the time in the queue.
    queue_delay: Option<Histogram>,
}

// === impl Metrics ===

impl Metrics {
    /// With the numbers of what is in memory.
    pub(crate) fn new(residency: &Arc<Residency>, options: &MetricsOptions) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        residency.register(&registry, options.has_modelmesh_names)?;
        let models = Opts::new("modelway_models", "Models and versions in storage, by state");
        let models = IntGaugeVec::new(models, &["state"])?;
        registry.register(Box::new(models.clone()))?;
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let queue_delay = if options.has_modelmesh_names {
            let name = "modelmesh_req_queue_delay_milliseconds";
            let options = HistogramOpts::new(name, "Time that a request waited for its turn to be computed");
            let histogram = Histogram::with_opts(options.buckets(MILLISECONDS.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            Some(histogram)
        } else {
            None
        };
        let in_flight = gauge("modelway_inferences_in_flight", "Inference requests not answered yet")?;
        let queued = gauge("modelway_inferences_queued", "Of those in flight, requests that wait for their turn")?;
        let ledger = Ledger::new(options.models);
        Ok(Self { residency: residency.clone(), ledger, models, in_flight, queued, queue_delay, registry })
    }

    /// The numbers of this model and version, for as long as the account is kept.
    pub(crate) fn open_account(&self, model: &str, version: Option<&str>) -> Account {
        self.ledger.open(model, version.unwrap_or(""))
    }

    /// Requests begun and not ended.
    pub(crate) fn in_flight(&self) -> &IntGauge {
        &self.in_flight
    }

    /// Of these, requests that wait for their turn.
    pub(crate) fn queued(&self) -> i64 {
        self.ledger.pending()
    }

    /// What all requests since the start came to.
    pub(crate) fn totals(&self) -> Totals {
        self.ledger.totals()
    }

    /// A request has waited so long for its turn.
    pub(crate) fn waited(&self, time: Duration) {
        if let Some(delay) = &self.queue_delay {
            const MILLISECONDS_A_SECOND: f64 = 1000.0;
            delay.observe(time.as_secs_f64() * MILLISECONDS_A_SECOND);
        }
    }

    /// The exposition in Prometheus' text format.
    pub(crate) fn text(&self, catalogue: &Catalogue) -> Result<Vec<u8>, Error> {
        // Of those without series of their own, together.
        let mut sizes: BTreeMap<Arc<Label>, u64> = BTreeMap::new();
        let mut longest_unused = None;
        catalogue.each_resident(|loaded| {
            longest_unused = longest_unused.max(Some(loaded.unused()));
            // What was loaded and not asked yet is told, too.
            let account = loaded.account.get_or_init(|| self.open_account(loaded.name(), loaded.version()));
            match sizes.get_mut(account.label()) {
                Some(size) => *size += loaded.lease().bytes(),
                None => drop(sizes.insert(account.label().clone(), loaded.lease().bytes())),
            }
        });
        self.take_stock(catalogue, longest_unused);
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut text)
            .map_err(|error| Error::internal(format!("cannot write the metrics: {error}")))?;
        exposition::write(&self.ledger, &sizes, &mut text);
        Ok(text)
    }

    fn take_stock(&self, catalogue: &Catalogue, longest_unused: Option<Duration>) {
        let mut counts = [("unloaded", 0), ("loading", 0), ("ready", 0), ("failed", 0), ("unloading", 0)];
        let states = catalogue.states();
        for state in &states {
            let state = match state {
                State::Unloaded => "unloaded",
                State::Queued | State::Loading => "loading",
                State::Ready { .. } => "ready",
                State::Failed { .. } => "failed",
                State::Unloading => "unloading",
            };
            for (name, count) in &mut counts {
                *count += usize::from(*name == state);
            }
        }
        let of = |wanted: &str| counts.iter().find(|(state, _)| *state == wanted).map_or(0, |(_, count)| *count);
        for (state, count) in counts {
            self.models.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.queued.set(self.queued());
        let stock = Stock { models: states.len(), ready: of("ready"), failed: of("failed"), longest_unused };
        self.residency.take_stock(stock);
    }
}
