//! What a runtime tells about itself, asked directly and not through the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::time::timeout;

use super::RuntimeProcess;
use crate::client;
use crate::gateway::Request;

/// A runtime that is asked this directly answers soon, or it is frozen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The series of a runtime's `/metrics`, by names with their labels.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

/// A model in a runtime's index.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// `READY`, `UNAVAILABLE` …
    pub state: String,
    /// Why it is in this state.
    pub reason: String,
}

// === impl RuntimeProcess ===

impl RuntimeProcess {
    /// Every model by name.
    pub async fn index(&self) -> Result<BTreeMap<String, Indexed>> {
        let body = self.asked(Request::post("/v2/repository/index", "{}")).await?;
        let models: Vec<Value> = serde_json::from_slice(&body)?;
        let text = |model: &Value, field: &str| model[field].as_str().unwrap_or_default().to_owned();
        let indexed = |model: &Value| {
            (text(model, "name"), Indexed { state: text(model, "state"), reason: text(model, "reason") })
        };
        Ok(models.iter().map(indexed).collect())
    }

    /// The models in memory.
    pub async fn resident(&self) -> Result<BTreeSet<String>> {
        let index = self.index().await?;
        Ok(index.into_iter().filter(|(_, model)| model.state == "READY").map(|(name, _)| name).collect())
    }

    /// What it tells Prometheus.
    pub async fn metrics(&self) -> Result<Metrics> {
        let body = self.asked(Request::get("/metrics")).await?;
        Ok(Metrics::parse(&String::from_utf8_lossy(&body)))
    }

    async fn asked(&self, request: Request) -> Result<Vec<u8>> {
        ensure!(!self.is_frozen(), "the runtime at {} is frozen", self.address());
        let answer = timeout(PATIENCE, client::send(self.address(), request)).await;
        let answer = answer.with_context(|| format!("the runtime at {} is silent", self.address()))??;
        let status = answer.headers.text(":status").unwrap_or_default();
        ensure!(status == "200", "{status} {}", String::from_utf8_lossy(&answer.body));
        Ok(answer.body)
    }
}

// === impl Metrics ===

impl Metrics {
    fn parse(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(series.collect())
    }

    /// The sum of the series whose name, or name with labels, is this.
    pub fn sum(&self, name: &str) -> f64 {
        let is_of_it =
            |series: &str| series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        self.0.iter().filter(|(series, _)| is_of_it(series)).map(|(_, value)| value).sum()
    }
}
