//! The exporter, with what becomes of it told once: a collector that is down is no reason for a full log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_otlp::SpanExporter as Otlp;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Tells when traces no longer arrive, and when they do again.
#[derive(Debug)]
pub(super) struct Told {
    exporter: Otlp,
    endpoint: String,
    is_failing: AtomicBool,
}

// === impl Told ===

impl Told {
    pub(super) fn new(exporter: Otlp, endpoint: String) -> Self {
        Self { exporter, endpoint, is_failing: AtomicBool::new(false) }
    }

    fn tell(&self, result: &OTelSdkResult) {
        let endpoint = &self.endpoint;
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) if !was_failing => tracing::warn!(endpoint, %error, "traces do not arrive, and are dropped"),
            Ok(()) if was_failing => tracing::info!(endpoint, "traces arrive again"),
            _ => {}
        }
    }
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        self.tell(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
