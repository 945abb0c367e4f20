//! The gateway that is a real Envoy.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};

use super::{Exchange, Gateway, Message, REQUEST_MARK, Request, Setup, Stats};
use crate::client;
use crate::client::raw;
use crate::envoy::Envoy;
use crate::upstream::Upstream;

/// How long an upstream may still be reading when the client has its answer.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// What Envoy puts before each line of a filter's log.
const LOG_MARK: &str = "wasm log";

/// A real Envoy with the filter in it, its upstream, and its clients.
pub struct EnvoyGateway {
    // Fields are dropped in this order: Envoy first, so that it never sees its upstream vanish.
    envoy: Envoy,
    upstream: Upstream,
    runtime: Runtime,
    sent: u64,
}

// === impl EnvoyGateway ===

impl EnvoyGateway {
    /// Starts an Envoy with this module and waits until it is ready.
    pub fn start(setup: &Setup, filter: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let upstream = Upstream::start(runtime.handle())?;
        let envoy = Envoy::start(runtime.handle(), setup, filter, upstream.address())?;
        Ok(Self { envoy, upstream, runtime, sent: 0 })
    }

    /// Everything that Envoy tells Prometheus.
    pub fn prometheus(&self) -> Result<String> {
        self.runtime.block_on(self.envoy.prometheus())
    }

    /// Sends bytes over a connection of their own, each part once the answers so far contain what comes with it, and
    /// gives all that came back until the connection closed or nothing came for a while.
    pub fn send_bytes(&self, parts: &[(&str, &[u8])]) -> Result<Vec<u8>> {
        self.runtime.block_on(raw::send(self.envoy.address(), parts))
    }

    /// What the upstream got under this mark, if anything.
    pub fn received(&self, mark: &str) -> Option<Message> {
        self.upstream.take(mark)
    }

    /// Envoy's whole log.
    pub fn envoy_log(&self) -> String {
        self.envoy.log()
    }
}

impl Gateway for EnvoyGateway {
    fn exchange(&mut self, requests: Vec<Request>) -> Result<Vec<Exchange>> {
        let mut exchanges = Vec::new();
        for request in requests {
            self.sent += 1;
            let mark = self.sent.to_string();
            exchanges.push(exchange(&self.envoy, &self.upstream, request.header(REQUEST_MARK, &mark), mark));
        }
        Ok(self.runtime.block_on(join_all(exchanges)))
    }

    fn stats(&mut self) -> Result<Stats> {
        self.runtime.block_on(self.envoy.custom_stats())
    }

    fn log(&mut self) -> Result<Vec<String>> {
        let log = self.envoy.log();
        let lines = log.lines().filter_map(|line| line.split_once(LOG_MARK));
        // Behind the mark come the plugin's names and a colon.
        Ok(lines.map(|(_, rest)| rest.split_once(": ").map_or(rest, |(_, text)| text).to_owned()).collect())
    }
}

async fn exchange(envoy: &Envoy, upstream: &Upstream, request: Request, mark: String) -> Exchange {
    let started = Instant::now();
    let pauses: Duration = request.body.iter().map(|part| part.after).sum();
    let patience = request.patience + pauses;
    let answer = tokio::time::timeout(patience, client::send(envoy.address(), request))
        .await
        .context("no answer in time")
        .and_then(|answer| answer);
    let took = started.elapsed();
    let (answer, failure) = match answer {
        Ok(answer) => (Some(answer), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let deadline = Instant::now() + SETTLE_LIMIT;
    let answered_by_upstream = answer.as_ref().is_some_and(|answer| answer.headers.get("x-modelway-served").is_some());
    while answered_by_upstream && !upstream.has_all(&mark) && Instant::now() < deadline {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Exchange { answer, failure, upstream: upstream.take(&mark), took }
}
