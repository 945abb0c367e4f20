//! The server's load in its answers, for gateways and clients that spread requests by it: ORCA, the Open Request Cost
//! Aggregation of Envoy and gRPC.
//!
//! A request asks by `endpoint-load-metrics-format: text`, `json` or `bin`, as with Triton; the answer has
//! `endpoint-load-metrics`, for `bin` `endpoint-load-metrics-bin`. The answer of a gRPC call has it in its trailers,
//! where gRPC's own clients look for it, and Envoy looks in both.

mod process;
mod report;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::Device;
use crate::serving::Serving;

use process::Process;
use report::Report;

/// What asks for a report.
const ASKED: HeaderName = HeaderName::from_static("endpoint-load-metrics-format");

/// Numbers that are rates, or cost a look into the system, are as old as this at most.
const FRESH: Duration = Duration::from_millis(500);

/// How a report is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Text,
    Json,
    Bin,
}

/// Makes the reports.
pub(crate) struct Reporter {
    serving: Arc<Serving>,
    process: Process,
    sample: Mutex<Sample>,
}

/// What was measured last.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    processor_time: Duration,
    requests: u64,
    /// `None` in the first moments, which are too short for a rate.
    measured: Option<Measured>,
}

#[derive(Clone, Debug, Default)]
struct Measured {
    /// `None` where the system does not tell.
    processor_share: Option<f64>,
    memory_share: Option<f64>,
    requests_a_second: f64,
    loads: usize,
    budget_shares: Vec<(Device, f64)>,
}

// === impl Format ===

impl Format {
    /// What these headers ask for. What nobody knows is not answered.
    pub(crate) fn asked(headers: &HeaderMap) -> Option<Self> {
        let wanted = headers.get(ASKED)?.as_bytes();
        let formats = [("text", Self::Text), ("json", Self::Json), ("bin", Self::Bin)];
        formats.into_iter().find(|(name, _)| wanted.eq_ignore_ascii_case(name.as_bytes())).map(|(_, format)| format)
    }
}

// === impl Reporter ===

impl Reporter {
    pub(crate) fn new(serving: Arc<Serving>) -> Self {
        let process = Process::new();
        let processor_time = process.processor_time().unwrap_or_default();
        let sample = Sample { at: Instant::now(), processor_time, requests: 0, measured: None };
        Self { serving, process, sample: Mutex::new(sample) }
    }

    /// The load now, as a header or trailer.
    pub(crate) fn header(&self, format: Format) -> (HeaderName, HeaderValue) {
        self.report().header(format)
    }

    fn report(&self) -> Report {
        let Measured { processor_share, memory_share, requests_a_second, loads, budget_shares } = self.measured();
        let metrics = self.serving.metrics();
        let mut named = vec![
            ("in_flight".to_owned(), metrics.in_flight().get().max(0) as f64),
            ("queued".to_owned(), metrics.queued().max(0) as f64),
            ("waiting_for_load".to_owned(), self.serving.catalogue().residency().waiting() as f64),
            ("loads".to_owned(), loads as f64),
        ];
        for (device, share) in budget_shares {
            named.push(match device {
                Device::Cpu => ("memory_share".to_owned(), share),
                Device::Cuda(number) => (format!("gpu_memory_share_{number}"), share),
            });
        }
        Report { processor_share, memory_share, requests_a_second, named }
    }

    fn measured(&self) -> Measured {
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(sample.at);
        let is_fresh = elapsed < FRESH;
        if let Some(measured) = sample.measured.as_ref().filter(|_| is_fresh) {
            return measured.clone();
        }
        if is_fresh {
            let pressure = self.serving.catalogue().residency().pressure();
            let memory_share = self.process.memory_share();
            let (loads, budget_shares) = (pressure.loads, pressure.shares);
            return Measured { memory_share, loads, budget_shares, ..Measured::default() };
        }
        let seconds = elapsed.as_secs_f64();
        let processor_time = self.process.processor_time();
        let used = processor_time.map(|time| time.saturating_sub(sample.processor_time));
        let requests = self.serving.metrics().totals().requests();
        let pressure = self.serving.catalogue().residency().pressure();
        let measured = Measured {
            processor_share: used.map(|used| used.as_secs_f64() / seconds / self.process.processors()),
            memory_share: self.process.memory_share(),
            requests_a_second: requests.saturating_sub(sample.requests) as f64 / seconds,
            loads: pressure.loads,
            budget_shares: pressure.shares,
        };
        let processor_time = processor_time.unwrap_or_default();
        *sample = Sample { at: now, processor_time, requests, measured: Some(measured.clone()) };
        measured
    }
}
