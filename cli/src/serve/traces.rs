//! Traces of inferences, sent to an OpenTelemetry collector. Off unless an endpoint is given.
//!
//! OpenTelemetry's own variables count: `OTEL_EXPORTER_OTLP_ENDPOINT` and its siblings, `OTEL_SERVICE_NAME`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_*`, `OTEL_SDK_DISABLED`.

mod exporter;

#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context, bail};
use opentelemetry::global;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;

use exporter::Told;

/// How long the last spans have to reach the collector when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// The options for traces.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArgs {
    /// OpenTelemetry collector that gets traces of inferences, by OTLP over gRPC: for instance
    /// http://localhost:4317. Without it, and without OTEL_EXPORTER_OTLP_ENDPOINT, there are none.
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,
}

/// Traces on their way; ended, the last are sent.
pub(super) struct Traces(SdkTracerProvider);

// === impl TraceArgs ===

impl TraceArgs {
    /// Begins to send traces, if an endpoint is given. To be called in an async runtime, on which they are sent.
    pub(super) fn start(&self) -> anyhow::Result<Option<Traces>> {
        let Some(endpoint) = endpoint(self.otlp_endpoint.as_deref(), variable)? else { return Ok(None) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build();
        let exporter = exporter.with_context(|| format!("cannot send traces to {endpoint}"))?;
        let mut resource = Resource::builder();
        if variable("OTEL_SERVICE_NAME").is_none() && !names_service(variable("OTEL_RESOURCE_ATTRIBUTES")) {
            resource = resource.with_service_name("modelway");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Told::new(exporter, endpoint.clone()))
            .build();
        global::set_text_map_propagator(TraceContextPropagator::new());
        global::set_tracer_provider(provider.clone());
        tracing::info!(endpoint, "sending traces");
        Ok(Some(Traces(provider)))
    }
}

// === impl Traces ===

impl Traces {
    /// Sends the last spans, if the collector takes them soon.
    pub(super) async fn end(self) {
        // It waits for the exporter's thread. What could not be sent was told by the exporter.
        let ending = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FAREWELL));
        let _ = tokio::time::timeout(FAREWELL, ending).await;
    }
}

/// Where to send traces: the option, else the variables, of which an empty one is none.
fn endpoint(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    let found = match option {
        Some(option) => Some(("--otlp-endpoint", option.to_owned())),
        None if is_disabled => None,
        None => ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
            .into_iter()
            .find_map(|name| Some((name, variable(name)?))),
    };
    let Some((name, endpoint)) = found else { return Ok(None) };
    let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(protocol) = protocol.filter(|protocol| protocol != "grpc") {
        bail!(
            "OTEL_EXPORTER_OTLP_PROTOCOL is '{protocol}', traces are sent by 'grpc' only: set it to that, with the collector's port for gRPC (4317)"
        );
    }
    let uri: http::Uri = endpoint.parse().with_context(|| bad_endpoint(name, &endpoint))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => Ok(Some(endpoint)),
        Some("https") => {
            bail!(
                "{name} is '{endpoint}', traces are sent without TLS: use the http:// address of a collector beside the server"
            )
        }
        _ => bail!(bad_endpoint(name, &endpoint)),
    }
}

fn bad_endpoint(name: &str, endpoint: &str) -> String {
    format!("{name} is '{endpoint}', expected an address such as http://localhost:4317")
}

fn names_service(attributes: Option<String>) -> bool {
    attributes.is_some_and(|attributes| attributes.split(',').any(|it| it.trim_start().starts_with("service.name=")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
