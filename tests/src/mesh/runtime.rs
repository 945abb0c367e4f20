//! One `modelway serve` process.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The variable that names another `modelway`.
const PROGRAM_VARIABLE: &str = "MODELWAY_PROGRAM";

/// A process, killed when dropped.
pub struct RuntimeProcess {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    is_frozen: bool,
}

/// The program under test: named by a variable, or the one that was built beside this test.
pub(super) fn program() -> PathBuf {
    if let Some(named) = std::env::var_os(PROGRAM_VARIABLE) {
        return named.into();
    }
    // …/target/debug/deps/mesh-0123456789abcdef
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().nth(2).unwrap_or(Path::new("")).join("modelway")
}

// === impl RuntimeProcess ===

impl RuntimeProcess {
    /// Starts it on a port of its own choice. It may not be ready yet. `around` is a program with arguments that becomes
    /// the one that it is told; empty for none.
    pub(super) fn start(
        number: usize,
        models: &Path,
        folder: &Path,
        around: &[String],
        arguments: &[String],
    ) -> Result<Self> {
        let log = folder.join(format!("runtime-{number}.log"));
        let mut command = match around {
            [] => Command::new(program()),
            [first, others @ ..] => {
                let mut command = Command::new(first);
                command.args(others).arg(program());
                command
            }
        };
        command.arg("serve").args(["--host", "127.0.0.1", "--port", "0", "--models"]).arg(models).args(arguments);
        // Ctrl-C in a terminal is the test's, which then stops it.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}: build it with `make binary`", program().display()))?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("no standard output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let mut started = Self { process, address: SocketAddr::from(([0; 4], 0)), log, is_frozen: false };
        match address {
            Some(address) => started.address = address,
            None => bail!("a runtime did not start, it said {line:?}: {}", started.log()),
        }
        Ok(started)
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it was frozen and not thawed.
    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it without a word to anybody (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Stops it where it stands (SIGSTOP), and waits until none of its threads runs: its connections stay open.
    pub async fn freeze(&mut self) -> Result<()> {
        self.is_frozen = true;
        self.signal(Signal::STOP)?;
        super::until("every thread stands still", super::PATIENCE, async || {
            for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
                let status = std::fs::read_to_string(thread?.path().join("stat"))?;
                // The state stands behind the name, which is in parentheses.
                let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
                ensure!(state == Some('T'), "a thread is in the state {state:?}");
            }
            Ok(())
        })
        .await
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&mut self) -> Result<()> {
        self.is_frozen = false;
        self.signal(Signal::CONT)
    }

    /// Asks it to end (SIGTERM), as Kubernetes does.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("the runtime did not end within {limit:?}: {}", self.log());
            }
            tokio::time::sleep(super::LOOK_INTERVAL).await;
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).context("the runtime has ended already")
    }
}

impl Drop for RuntimeProcess {
    fn drop(&mut self) {
        // Already gone is as good as stopped; a frozen one can be killed, too.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
