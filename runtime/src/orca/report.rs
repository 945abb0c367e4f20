//! A report, and its three forms on the wire.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use prost::Message;
use serde::Serialize;

use super::Format;

const REPORT: HeaderName = HeaderName::from_static("endpoint-load-metrics");
const REPORT_BIN: HeaderName = HeaderName::from_static("endpoint-load-metrics-bin");

/// Digits behind the point that are told: a gateway needs no more.
const DIGITS: f64 = 1e6;

/// The load of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// Of the processors that it may use, more than 1 where it got more; `None` where the system does not tell.
    pub(super) processor_share: Option<f64>,
    /// Of the memory that it may use.
    pub(super) memory_share: Option<f64>,
    pub(super) requests_a_second: f64,
    pub(super) named: Vec<(String, f64)>,
}

/// `xds.data.orca.v3.OrcaLoadReport`, of which this server has these fields; as JSON it is protobuf's.
#[derive(Clone, PartialEq, Message, Serialize)]
struct OrcaLoadReport {
    #[prost(double, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_utilization: Option<f64>,
    #[prost(double, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mem_utilization: Option<f64>,
    #[prost(double, tag = "6")]
    rps_fractional: f64,
    #[prost(btree_map = "string, double", tag = "8")]
    named_metrics: BTreeMap<String, f64>,
}

// === impl Report ===

impl Report {
    pub(super) fn header(self, format: Format) -> (HeaderName, HeaderValue) {
        let report = OrcaLoadReport {
            cpu_utilization: self.processor_share.map(rounded),
            mem_utilization: self.memory_share.map(rounded),
            rps_fractional: rounded(self.requests_a_second),
            named_metrics: self.named.into_iter().map(|(name, value)| (name, rounded(value))).collect(),
        };
        let (name, value) = match format {
            Format::Text => (REPORT, text(&report)),
            // A struct of numbers always serializes.
            Format::Json => (REPORT, format!("JSON {}", serde_json::to_string(&report).unwrap_or_default())),
            Format::Bin => (REPORT_BIN, STANDARD.encode(report.encode_to_vec())),
        };
        // Names and numbers are ASCII.
        (name, HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("")))
    }
}

fn text(report: &OrcaLoadReport) -> String {
    let of_field = |name: &str, value: Option<f64>| value.map(|value| format!("{name}={value}"));
    let fields = [
        of_field("cpu_utilization", report.cpu_utilization),
        of_field("mem_utilization", report.mem_utilization),
        of_field("rps_fractional", Some(report.rps_fractional)),
    ];
    let named = report.named_metrics.iter().map(|(name, value)| format!("named_metrics.{name}={value}"));
    let all: Vec<_> = fields.into_iter().flatten().chain(named).collect();
    format!("TEXT {}", all.join(", "))
}

/// Never a NaN or an infinity, which Envoy refuses.
fn rounded(value: f64) -> f64 {
    let rounded = (value * DIGITS).round() / DIGITS;
    if rounded.is_finite() { rounded.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            processor_share: Some(0.25),
            memory_share: None,
            requests_a_second: 12.345_678_91,
            named: vec![("queued".to_owned(), 3.0), ("in_flight".to_owned(), f64::NAN)],
        }
    }

    fn value(format: Format) -> (String, String) {
        let (name, value) = report().header(format);
        (name.to_string(), value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_report_has_three_forms_that_say_the_same() {
        let text =
            "TEXT cpu_utilization=0.25, rps_fractional=12.345679, named_metrics.in_flight=0, named_metrics.queued=3";
        assert_eq!(value(Format::Text), ("endpoint-load-metrics".to_owned(), text.to_owned()));
        let json = r#"JSON {"cpu_utilization":0.25,"rps_fractional":12.345679,"named_metrics":{"in_flight":0.0,"queued":3.0}}"#;
        assert_eq!(value(Format::Json), ("endpoint-load-metrics".to_owned(), json.to_owned()));
        let (name, bin) = value(Format::Bin);
        assert_eq!(name, "endpoint-load-metrics-bin");
        let read = OrcaLoadReport::decode(STANDARD.decode(bin).unwrap().as_slice()).unwrap();
        assert_eq!((read.cpu_utilization, read.mem_utilization, read.rps_fractional), (Some(0.25), None, 12.345_679));
        assert_eq!(read.named_metrics["queued"], 3.0);
    }
}
