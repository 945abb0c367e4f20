//! `modelway serve` as a process of its own, and what the system and its metrics say of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use modelway_bench::cpu::CpuClock;

/// Longer than a runtime takes to be ready.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// What is logged without settings, and when storage was looked through.
const LOG: &str = "info,modelway_runtime::catalogue::watch=debug";

/// The program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    path: PathBuf,
}

/// A running runtime; it is stopped by its process id when it goes out of scope.
pub(crate) struct Runtime {
    process: Child,
    address: SocketAddr,
    started_in: Duration,
    directory: TempDir,
}

// === impl Program ===

impl Program {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("no program {}: `make binary`", path.display()))?;
        Ok(Self { path })
    }

    /// Starts a runtime for the models in this folder and waits until it is ready. It logs to a file.
    pub(crate) async fn serve(&self, folder: &Path, arguments: &[&str]) -> Result<Runtime> {
        let directory = TempDir::new()?;
        let log = File::create(directory.path().join("log"))?;
        let started = Instant::now();
        let mut command = Command::new(&self.path);
        command.args(["serve", "--host", "127.0.0.1", "--port", "0", "--models"]).arg(folder).args(arguments);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).env("RUST_LOG", LOG).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.split(' ').nth(2).and_then(|address| address.parse().ok());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut runtime =
            Runtime { process, address: address.unwrap_or(nowhere), started_in: Duration::ZERO, directory };
        ensure!(address.is_some(), "the runtime says {line:?}, its log: {}", runtime.log());
        runtime.until_ready("/v2/health/ready").await?;
        runtime.started_in = started.elapsed();
        Ok(runtime)
    }
}

// === impl Runtime ===

impl Runtime {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the start of the process to the first moment at which it was ready.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    pub(crate) fn cpu(&self) -> CpuClock {
        CpuClock::of_process(self.process.id())
    }

    /// A line of `/proc/PID/status` in bytes: `VmRSS`, or `VmHWM` for the most there ever was.
    pub(crate) fn memory(&self, line: &str) -> Result<f64> {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(&path)?;
        let kilobytes = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes: Option<f64> =
            kilobytes.and_then(|text| text.trim().strip_suffix("kB")).and_then(|number| number.trim().parse().ok());
        Ok(kilobytes.with_context(|| format!("{path} does not tell {line} in kB"))? * 1024.0)
    }

    /// The sum of the metrics whose line begins so.
    pub(crate) async fn metric(&self, beginning: &str) -> Result<f64> {
        let page = self.get("/metrics").await?;
        let values = page.lines().filter(|line| line.starts_with(beginning));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Loads that gave a model, so far.
    pub(crate) async fn loads(&self) -> Result<f64> {
        self.metric("modelway_model_load_seconds_count").await
    }

    /// Bytes of each model in memory, as the runtime measures it.
    pub(crate) async fn bytes_by_model(&self) -> Result<BTreeMap<String, u64>> {
        let page = self.get("/metrics").await?;
        let of_line = |line: &str| {
            let (name, rest) = line.strip_prefix("modelway_model_resident_bytes{model=\"")?.split_once('"')?;
            Some((name.to_owned(), rest.rsplit(' ').next()?.parse().ok()?))
        };
        Ok(page.lines().filter_map(of_line).collect())
    }

    /// How long each look through storage took, so far.
    pub(crate) fn looks(&self) -> Vec<Duration> {
        let took = |line: &str| line.split("microseconds=").nth(1)?.split(' ').next()?.trim().parse().ok();
        let log = self.log();
        let looks = log.lines().filter(|line| line.contains("looked through storage"));
        looks.filter_map(took).map(Duration::from_micros).collect()
    }

    /// Waits until this path answers 200.
    pub(crate) async fn until_ready(&mut self, path: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.get(path).await.is_err() {
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("the runtime ended with {status}, its log: {}", self.log());
            }
            ensure!(Instant::now() < deadline, "{path} did not answer within {PATIENCE:?}");
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Result<String> {
        self.call("GET", path).await
    }

    /// A command.
    pub(crate) async fn post(&self, path: &str) -> Result<()> {
        self.call("POST", path).await.map(drop)
    }

    /// The body of an answer, if it is 200.
    async fn call(&self, method: &str, path: &str) -> Result<String> {
        let mut socket = TcpStream::connect(self.address).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: runtime\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(body.to_owned())
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // It holds nothing that must be put away.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
