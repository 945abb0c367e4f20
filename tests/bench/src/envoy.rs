//! A gateway under measurement: a real Envoy with one worker, in a process of its own.

mod bootstrap;

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use modelway_tests::client;
use modelway_tests::gateway::Request;
use modelway_tests::host::repository;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::cpu::CpuClock;
use crate::http_filters::HttpFilters;

const ENVOY_VARIABLE: &str = "MODELWAY_ENVOY";
/// Where `make` installs Envoy, seen from the root of the repository.
const INSTALLED_ENVOY: &str = ".tools/venv/bin/envoy";

const START_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running Envoy; it is stopped by its process id when it goes out of scope.
pub(crate) struct Envoy {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
    started_in: Duration,
}

// === impl Envoy ===

impl Envoy {
    /// Starts an Envoy with these filters before the upstream and waits until it takes requests.
    pub(crate) async fn start(filters: &HttpFilters, upstream: SocketAddr) -> Result<Self> {
        let directory = TempDir::new()?;
        std::fs::write(directory.path().join("bootstrap.json"), bootstrap::render(filters, upstream).to_string())?;
        let log = File::create(directory.path().join("envoy.log"))?;
        let program = envoy_path();
        let started = Instant::now();
        let process = Command::new(&program)
            .arg("--config-path")
            .arg(directory.path().join("bootstrap.json"))
            .arg("--admin-address-path")
            .arg(directory.path().join("admin-address"))
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                let program = program.display();
                format!("cannot start {program}: install it with `make setup`, or name another in {ENVOY_VARIABLE}")
            })?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self { process, directory, address: nowhere, started_in: Duration::ZERO };
        envoy.address = envoy.wait_until_ready().await.with_context(|| format!("envoy's log: {}", envoy.log()))?;
        envoy.started_in = started.elapsed();
        Ok(envoy)
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu(&self) -> CpuClock {
        CpuClock::of_process(self.process.id())
    }

    /// From the start of the process to the first moment at which it takes requests.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The bytes of memory that are the process's own.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes: u64 = line
            .and_then(|line| line.trim().strip_suffix("kB"))
            .and_then(|number| number.trim().parse().ok())
            .ok_or_else(|| anyhow!("{path} does not tell RssAnon in kB"))?;
        Ok(kilobytes * 1024)
    }

    /// Envoy's log so far: warnings and errors.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("envoy.log")).unwrap_or_default()
    }

    async fn wait_until_ready(&mut self) -> Result<SocketAddr> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("envoy ended with {status} before it was ready");
            }
            if let Some(address) = self.listener().await {
                return Ok(address);
            }
            if Instant::now() > deadline {
                bail!("envoy was not ready within {START_LIMIT:?}");
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// The listener's address, once Envoy is ready.
    async fn listener(&self) -> Option<SocketAddr> {
        let admin = std::fs::read_to_string(self.directory.path().join("admin-address")).ok()?;
        let admin: SocketAddr = admin.trim().parse().ok()?;
        let ready = client::send(admin, Request::get("/ready")).await.ok()?;
        if ready.headers.get(":status") != Some(b"200") {
            return None;
        }
        let listeners = client::send(admin, Request::get("/listeners?format=json")).await.ok()?;
        let listeners: serde_json::Value = serde_json::from_slice(&listeners.body).ok()?;
        let port = listeners.pointer("/listener_statuses/0/local_address/socket_address/port_value")?.as_u64()?;
        Some(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).ok()?)))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Already gone is as good as stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn envoy_path() -> PathBuf {
    std::env::var_os(ENVOY_VARIABLE).map_or_else(|| repository().join(INSTALLED_ENVOY), PathBuf::from)
}
