//! A real Envoy with a filter in it, on ports of its own, stopped by its process id when it goes out of scope.

mod bootstrap;

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::client;
use crate::gateway::{Request, Setup};
use crate::host::repository;

/// The variable that names another Envoy.
const ENVOY_VARIABLE: &str = "MODELWAY_ENVOY";
/// Where `make` installs Envoy, seen from the root of the repository.
const INSTALLED_ENVOY: &str = ".tools/venv/bin/envoy";

const START_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running Envoy.
pub struct Envoy {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
}

// === impl Envoy ===

impl Envoy {
    /// Starts Envoy with the module at `filter` before `upstream` and waits until it accepts requests.
    pub fn start(runtime: &Handle, setup: &Setup, filter: &Path, upstream: SocketAddr) -> Result<Self> {
        let directory = TempDir::new()?;
        let mut process = launch(&directory, setup, filter, upstream)?.spawn().with_context(|| {
            format!(
                "cannot start {}: install it with `make setup`, or name another in {ENVOY_VARIABLE}",
                envoy_path().display()
            )
        })?;
        match runtime.block_on(wait_until_ready(&mut process, &directory)) {
            Ok((address, admin)) => Ok(Self { process, directory, address, admin }),
            Err(error) => {
                stop(&mut process);
                Err(error.context(format!("envoy's log: {}", log_of(&directory))))
            }
        }
    }

    /// Asks Envoy whether it would accept this setup; the answer is its log if not.
    pub fn validate(setup: &Setup, filter: &Path) -> Result<std::result::Result<(), String>> {
        let directory = TempDir::new()?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let status = launch(&directory, setup, filter, nowhere)?.args(["--mode", "validate"]).status()?;
        Ok(if status.success() { Ok(()) } else { Err(log_of(&directory)) })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin interface listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Envoy's whole log so far.
    pub fn log(&self) -> String {
        log_of(&self.directory)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

fn stop(process: &mut Child) {
    // Already gone is as good as stopped.
    let _ = process.kill();
    let _ = process.wait();
}

fn launch(directory: &TempDir, setup: &Setup, filter: &Path, upstream: SocketAddr) -> Result<Command> {
    let bootstrap = directory.path().join("bootstrap.json");
    std::fs::write(&bootstrap, bootstrap::render(setup, filter, upstream)?.to_string())?;
    let log = File::create(log_path(directory))?;
    let mut command = Command::new(envoy_path());
    command
        .arg("--config-path")
        .arg(&bootstrap)
        .arg("--admin-address-path")
        .arg(admin_path(directory))
        .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
        .args(["--component-log-level", "wasm:info"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    Ok(command)
}

fn envoy_path() -> PathBuf {
    let named: Option<OsString> = std::env::var_os(ENVOY_VARIABLE);
    named.map_or_else(|| repository().join(INSTALLED_ENVOY), PathBuf::from)
}

fn log_path(directory: &TempDir) -> PathBuf {
    directory.path().join("envoy.log")
}

fn admin_path(directory: &TempDir) -> PathBuf {
    directory.path().join("admin-address")
}

fn log_of(directory: &TempDir) -> String {
    std::fs::read(log_path(directory)).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
}

async fn wait_until_ready(process: &mut Child, directory: &TempDir) -> Result<(SocketAddr, SocketAddr)> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Some(status) = process.try_wait()? {
            bail!("envoy ended with {status} before it was ready");
        }
        if let Some(addresses) = addresses(directory).await {
            return Ok(addresses);
        }
        if Instant::now() > deadline {
            bail!("envoy was not ready within {START_LIMIT:?}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The listener's and the admin interface's addresses, once Envoy is ready.
async fn addresses(directory: &TempDir) -> Option<(SocketAddr, SocketAddr)> {
    let admin: SocketAddr = std::fs::read_to_string(admin_path(directory)).ok()?.trim().parse().ok()?;
    let ready = client::send(admin, Request::get("/ready")).await.ok()?;
    if ready.headers.get(":status") != Some(b"200") {
        return None;
    }
    let listeners = client::send(admin, Request::get("/listeners?format=json")).await.ok()?;
    let address = listener_address(&listeners.body).ok()?;
    Some((address, admin))
}

fn listener_address(listeners: &[u8]) -> Result<SocketAddr> {
    let listeners: serde_json::Value = serde_json::from_slice(listeners)?;
    let port = listeners
        .pointer("/listener_statuses/0/local_address/socket_address/port_value")
        .and_then(serde_json::Value::as_u64)
        .ok_or_else(|| anyhow!("no listener yet"))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?)))
}
