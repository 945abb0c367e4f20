//! A child process: its name, its last words and its end.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a process may take to end on its own once it was told to.
const GRACE: Duration = Duration::from_secs(5);
/// How many lines of a process's output are kept.
const KEPT_LINES: usize = 20;

/// A child process in a group of its own, so that a Ctrl-C reaches it only through us.
pub(crate) struct Process {
    name: String,
    child: Child,
    output: Output,
    /// The standard output until somebody reads it to the line that he needs.
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    readers: Vec<JoinHandle<()>>,
}

/// The last lines of a process, also shown as they come if so asked.
#[derive(Clone)]
struct Output {
    name: String,
    /// Until the process is told to stop: what it says about that is no news.
    echo: Arc<AtomicBool>,
    kept: Arc<Mutex<VecDeque<String>>>,
}

// === impl Process ===

impl Process {
    /// Starts a process that is killed when this value is dropped. `echo`: show what it writes.
    pub(crate) fn start(name: &str, mut command: Command, echo: bool) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}: {}", program.display()))?;
        let output = Output { name: name.to_owned(), echo: Arc::new(AtomicBool::new(echo)), kept: Arc::default() };
        let readers = child.stderr.take().map(|stderr| tokio::spawn(output.clone().read(lines(stderr))));
        let stdout = child.stdout.take().map(lines);
        Ok(Self { name: name.to_owned(), child, output, stdout, readers: readers.into_iter().collect() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The rest of the first line of standard output that begins with `prefix`.
    pub(crate) async fn line_after(&mut self, prefix: &str) -> anyhow::Result<String> {
        while let Some(stdout) = &mut self.stdout {
            let Some(line) = stdout.next_line().await.context("cannot read the standard output")? else {
                break;
            };
            let found = line.strip_prefix(prefix).map(str::to_owned);
            self.output.keep(line);
            if let Some(rest) = found {
                self.read_on();
                return Ok(rest);
            }
        }
        Err(self.ended().await)
    }

    /// Waits for the end of the process and tells it as an error, with its last words.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        self.read_on();
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("an unknown status: {error}"),
        };
        for reader in &mut self.readers {
            // A grandchild may hold the pipe open.
            let _ = timeout(Duration::from_secs(1), reader).await;
        }
        self.readers.clear();
        let words = self.output.last_words();
        if words.is_empty() {
            return anyhow!("{} stopped with {status}, without a word", self.name);
        }
        if self.output.echo.load(Ordering::Relaxed) {
            return anyhow!("{} stopped with {status}; its last words stand above", self.name);
        }
        anyhow!("{} stopped with {status}; its last words:\n{words}", self.name)
    }

    /// Asks the process to end, and makes it if it does not.
    pub(crate) async fn stop(&mut self) {
        self.read_on();
        self.output.echo.store(false, Ordering::Relaxed);
        terminate(&mut self.child).await;
    }

    /// Keeps reading standard output, so that the process never waits for a reader.
    fn read_on(&mut self) {
        if let Some(stdout) = self.stdout.take() {
            self.readers.push(tokio::spawn(self.output.clone().read(stdout)));
        }
    }
}

/// SIGTERM, and SIGKILL after the grace period.
pub(crate) async fn terminate(child: &mut Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(pid) = pid else {
        return;
    };
    let told = kill_process(pid, Signal::TERM);
    if told.is_err() || timeout(GRACE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn lines<R: AsyncRead + Unpin>(pipe: R) -> Lines<BufReader<R>> {
    BufReader::new(pipe).lines()
}

// === impl Output ===

impl Output {
    async fn read<R: AsyncRead + Unpin>(self, mut pipe: Lines<BufReader<R>>) {
        while let Ok(Some(line)) = pipe.next_line().await {
            self.keep(line);
        }
    }

    fn keep(&self, line: String) {
        if self.echo.load(Ordering::Relaxed) {
            // A closed terminal is no reason to stop reading.
            let _ = writeln!(std::io::stderr(), "{} | {line}", self.name);
        }
        let mut kept = self.kept();
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }

    fn last_words(&self) -> String {
        let indented: Vec<String> = self.kept().iter().map(|line| format!("  {line}")).collect();
        indented.join("\n")
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
