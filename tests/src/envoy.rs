//! A real Envoy with a filter in it, on ports of its own, stopped by its process id when it goes out of scope.

mod bootstrap;
mod transcoder;

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
use crate::gateway::{Request, Setup, Stats};
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

/// A running Envoy whose filter is configured by a file that it watches (Envoy's extension config
/// discovery, which is also what Istio uses).
pub struct ReloadingEnvoy {
    envoy: Envoy,
    filter: PathBuf,
    version: u64,
}

// === impl Envoy ===

impl Envoy {
    /// Starts Envoy with the module at `filter` before `upstream` and waits until it accepts requests.
    pub fn start(runtime: &Handle, setup: &Setup, filter: &Path, upstream: SocketAddr) -> Result<Self> {
        let directory = TempDir::new()?;
        let bootstrap = write(&directory, &bootstrap::render(setup, filter, upstream)?)?;
        let command = launch(&directory, &bootstrap, setup.workers)?;
        Self::run(runtime, directory, command)
    }

    /// Starts Envoy with a bootstrap that somebody else has written and waits until it accepts requests.
    pub fn start_with(runtime: &Handle, bootstrap: &Path) -> Result<Self> {
        runtime.block_on(Self::open(bootstrap, 1))
    }

    /// The same with so many workers, for async code.
    pub async fn open(bootstrap: &Path, workers: u32) -> Result<Self> {
        let directory = TempDir::new()?;
        let command = launch(&directory, bootstrap, workers)?;
        Self::ready(directory, command).await
    }

    fn run(runtime: &Handle, directory: TempDir, command: Command) -> Result<Self> {
        runtime.block_on(Self::ready(directory, command))
    }

    async fn ready(directory: TempDir, mut command: Command) -> Result<Self> {
        let mut process = command.spawn().with_context(|| {
            format!(
                "cannot start {}: install it with `make setup`, or name another in {ENVOY_VARIABLE}",
                envoy_path().display()
            )
        })?;
        match wait_until_ready(&mut process, &directory).await {
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
        let bootstrap = write(&directory, &bootstrap::render(setup, filter, nowhere)?)?;
        let status = launch(&directory, &bootstrap, 1)?.args(["--mode", "validate"]).status()?;
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

    /// A counter or gauge of Envoy's own; `None` while there is no such.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>> {
        let stats = client::send(self.admin, Request::get(&format!("/stats?filter=^{name}$"))).await?;
        let text = String::from_utf8_lossy(&stats.body).into_owned();
        Ok(text.trim().rsplit_once(": ").and_then(|(_, value)| value.parse().ok()))
    }

    /// What the filter counts, by names as Envoy keeps them.
    pub async fn custom_stats(&self) -> Result<Stats> {
        let stats = client::send(self.admin, Request::get("/stats")).await?;
        let text = String::from_utf8_lossy(&stats.body).into_owned();
        let lines = text.lines().filter_map(|line| line.strip_prefix("wasmcustom.")?.rsplit_once(": "));
        Ok(lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// What Envoy knows of every upstream host, as text.
    pub async fn clusters(&self) -> Result<String> {
        let clusters = client::send(self.admin, Request::get("/clusters")).await?;
        Ok(String::from_utf8_lossy(&clusters.body).into_owned())
    }

    /// Everything that Envoy tells Prometheus.
    pub async fn prometheus(&self) -> Result<String> {
        let stats = client::send(self.admin, Request::get("/stats/prometheus")).await?;
        Ok(String::from_utf8_lossy(&stats.body).into_owned())
    }

    /// Envoy's whole log so far.
    pub fn log(&self) -> String {
        log_of(&self.directory)
    }
}

// === impl ReloadingEnvoy ===

impl ReloadingEnvoy {
    /// Starts Envoy with the module at `filter` before `upstream` and waits until it accepts requests.
    pub fn start(runtime: &Handle, setup: &Setup, filter: &Path, upstream: SocketAddr) -> Result<Self> {
        let directory = TempDir::new()?;
        let bootstrap = bootstrap::render_discovering(setup, &watched_path(directory.path()), upstream)?;
        let bootstrap = write(&directory, &bootstrap)?;
        replace_watched(directory.path(), setup, filter, 1)?;
        let command = launch(&directory, &bootstrap, setup.workers)?;
        let envoy = Envoy::run(runtime, directory, command)?;
        Ok(Self { envoy, filter: filter.to_owned(), version: 1 })
    }

    /// Hands the running Envoy another configuration of the filter, and says when it was there.
    pub fn reload(&mut self, setup: &Setup) -> Result<Instant> {
        self.version += 1;
        replace_watched(self.envoy.directory.path(), setup, &self.filter, self.version)
    }

    /// The Envoy itself.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }
}

fn watched_path(directory: &Path) -> PathBuf {
    directory.join("filter.json")
}

/// By renaming, so that Envoy never reads half a file.
fn replace_watched(directory: &Path, setup: &Setup, filter: &Path, version: u64) -> Result<Instant> {
    let written = directory.join("filter.json.new");
    std::fs::write(&written, bootstrap::discovery_response(setup, filter, version)?.to_string())?;
    std::fs::rename(&written, watched_path(directory))?;
    Ok(Instant::now())
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

fn write(directory: &TempDir, bootstrap: &serde_json::Value) -> Result<PathBuf> {
    let path = directory.path().join("bootstrap.json");
    std::fs::write(&path, bootstrap.to_string())?;
    Ok(path)
}

fn launch(directory: &TempDir, bootstrap: &Path, workers: u32) -> Result<Command> {
    let log = File::create(log_path(directory))?;
    let mut command = Command::new(envoy_path());
    command
        .arg("--config-path")
        .arg(bootstrap)
        // Access logs wait for ten seconds otherwise.
        .args(["--file-flush-interval-msec", "100"])
        .arg("--admin-address-path")
        .arg(admin_path(directory))
        .args(["--concurrency", &workers.to_string(), "--disable-hot-restart", "--log-level", "warning"])
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
