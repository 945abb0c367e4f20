//! The series of models, as Prometheus' text.
//!
//! Written from the accounts and not through the registry of the `prometheus` crate, which keeps about a kilobyte a
//! series: with thousands of models that would be more than the models themselves.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use super::counters::{ModelCounters, Outcome};
use super::ledger::{Label, Ledger};
use super::texts::TextCounters;

type Accounts = [(String, Arc<ModelCounters>)];

/// The models' series, with the bytes of each in memory, and the totals over all models.
pub(super) fn write(ledger: &Ledger, sizes: &BTreeMap<Arc<Label>, u64>, into: &mut Vec<u8>) {
    let mut text = Text(String::new());
    let open = ledger.accounts();
    let accounts: Vec<_> = open.iter().map(|(label, counters)| (labels(label), counters.clone())).collect();
    write_counts(&mut text, &accounts);
    write_times(&mut text, &accounts);
    write_histograms(&mut text, &accounts);
    write_texts(&mut text, &accounts);
    text.head("modelway_model_resident_bytes", "gauge", "Bytes of memory that a model keeps");
    for (label, bytes) in sizes {
        text.sample("modelway_model_resident_bytes", &labels(label), bytes);
    }
    write_totals(&mut text, ledger);
    into.extend_from_slice(text.0.as_bytes());
}

fn write_counts(text: &mut Text, accounts: &Accounts) {
    text.counter("nv_inference_request_success", "Inference requests answered", accounts, |of| {
        Some(of.count(Outcome::Success))
    });
    let failures = "nv_inference_request_failure";
    text.head(failures, "counter", "Inference requests that failed, by Triton's reasons");
    for (labels, counters) in accounts {
        for outcome in Outcome::FAILURES {
            let labels = format!("{labels},reason=\"{}\"", outcome.reason());
            text.sample(failures, &labels, counters.count(outcome));
        }
    }
    text.counter("nv_inference_count", "Inferences: rows of the batches answered", accounts, |of| {
        Some(of.inferences())
    });
    text.counter("nv_inference_exec_count", "Executions of the model", accounts, |of| Some(of.executions()));
    let pending = "nv_inference_pending_request_count";
    text.head(pending, "gauge", "Inference requests that wait for their turn");
    for (labels, counters) in accounts.iter().filter(|(_, counters)| counters.is_timed()) {
        text.sample(pending, labels, counters.pending());
    }
}

fn write_times(text: &mut Text, accounts: &Accounts) {
    text.counter(
        "nv_inference_request_duration_us",
        "Time of successful inference requests, summed, in microseconds",
        accounts,
        |of| Some(of.microseconds()[0]),
    );
    let timed = |of: &ModelCounters, time: usize| of.microseconds().get(time).copied().filter(|_| of.is_timed());
    text.counter("nv_inference_queue_duration_us", "Of it, time until it was the request's turn", accounts, |of| {
        timed(of, 1)
    });
    text.counter("nv_inference_compute_infer_duration_us", "Of it, time in the model", accounts, |of| timed(of, 2));
}

fn write_histograms(text: &mut Text, accounts: &Accounts) {
    const SECOND: f64 = 1e9;
    const MILLISECOND: f64 = 1e6;
    let duration = "modelway_inference_duration_seconds";
    text.head(duration, "histogram", "Time in inference, of failed requests, too");
    for (labels, counters) in accounts {
        let (below, count) = counters.duration.cumulated();
        text.histogram(duration, labels, &below, count, counters.duration.sum().as_nanos() as f64, SECOND);
    }
    let first = "nv_inference_first_response_histogram_ms";
    text.head(first, "histogram", "Time until the first response of models that stream, in milliseconds");
    for (labels, counters) in accounts {
        let (below, count) = counters.first_response.cumulated();
        // A model that does not stream has no first response.
        if count > 0 {
            text.histogram(first, labels, &below, count, counters.first_response.sum().as_nanos() as f64, MILLISECOND);
        }
    }
}

/// Only language models that were asked for a text have these.
fn write_texts(text: &mut Text, accounts: &Accounts) {
    const SECOND: f64 = 1e9;
    if accounts.iter().all(|(_, counters)| counters.told_texts().is_none()) {
        return;
    }
    let mut counter = |name: &str, help: &str, value: fn(&TextCounters) -> u64| {
        text.counter(name, help, accounts, |of| of.told_texts().map(value));
    };
    counter("modelway_prompt_tokens_total", "Tokens of prompts that were read", TextCounters::prompt_tokens);
    counter(
        "modelway_prompt_tokens_cached_total",
        "Of these, tokens that an earlier prompt began with, too",
        TextCounters::cached_tokens,
    );
    counter("modelway_generation_tokens_total", "Tokens of the texts that were made", TextCounters::new_tokens);
    let first = "modelway_time_to_first_token_seconds";
    text.head(first, "histogram", "Time from a request to the first token of its text");
    for (labels, texts) in accounts.iter().filter_map(|(labels, of)| Some((labels, of.told_texts()?))) {
        let (below, count) = texts.first_token.cumulated();
        text.histogram(first, labels, &below, count, texts.first_token.sum().as_nanos() as f64, SECOND);
    }
    let between = "modelway_inter_token_latency_seconds";
    text.head(between, "histogram", "Time between two tokens of a text");
    for (labels, texts) in accounts.iter().filter_map(|(labels, of)| Some((labels, of.told_texts()?))) {
        let (below, count) = texts.between_tokens.cumulated();
        text.histogram(between, labels, &below, count, texts.between_tokens.sum().as_nanos() as f64, SECOND);
    }
}

fn write_totals(text: &mut Text, ledger: &Ledger) {
    let totals = ledger.totals();
    let requests = "modelway_inference_requests_total";
    text.head(requests, "counter", "Inference requests of all models since the start, by how they ended");
    for (outcome, count) in totals.outcomes() {
        text.sample(requests, &format!("outcome=\"{}\"", outcome.word()), count);
    }
    let rows = "modelway_inference_rows_total";
    text.head(rows, "counter", "Rows of the batches answered by all models since the start");
    text.sample(rows, "", totals.inferences);
    let executions = "modelway_inference_executions_total";
    text.head(executions, "counter", "Executions of all models since the start");
    text.sample(executions, "", totals.executions);
    let prompts = "modelway_inference_prompt_tokens_total";
    text.head(prompts, "counter", "Tokens of the prompts that all models have read since the start");
    text.sample(prompts, "", totals.prompt_tokens);
    let made = "modelway_inference_generation_tokens_total";
    text.head(made, "counter", "Tokens of the texts that all models have made since the start");
    text.sample(made, "", totals.new_tokens);
}

/// `model="…",version="…"`
fn labels(label: &Label) -> String {
    format!("model=\"{}\",version=\"{}\"", escaped(label.model()), escaped(label.version()))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Text(String);

// === impl Text ===

// Writing to a text never fails.
impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn counter(&mut self, name: &str, help: &str, accounts: &Accounts, value: impl Fn(&ModelCounters) -> Option<u64>) {
        self.head(name, "counter", help);
        for (labels, counters) in accounts {
            if let Some(value) = value(counters) {
                self.sample(name, labels, value);
            }
        }
    }

    /// Bounds and sum are in nanoseconds, and are written in the unit of so many.
    fn histogram(&mut self, name: &str, labels: &str, below: &[(u64, u64)], count: u64, sum: f64, unit: f64) {
        for (bound, below) in below {
            let bound = *bound as f64 / unit;
            let _ = writeln!(self.0, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(self.0, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
        let _ = writeln!(self.0, "{name}_sum{{{labels}}} {}", sum / unit);
        let _ = writeln!(self.0, "{name}_count{{{labels}}} {count}");
    }
}
