//! The processor time of a process or of one thread, in nanoseconds, as the scheduler has counted it.
//!
//! Wall time on a busy machine says what the neighbours do; `/proc/PID/stat` counts in ticks of ten milliseconds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::sleep;

/// A running thread's counter lags by up to a scheduler tick: it is read again until it stands still for this long.
const STILL: Duration = Duration::from_millis(1);
/// A process that never rests is read as it is.
const MOST_READINGS: usize = 20;

/// Whose time is read.
#[derive(Clone, Debug)]
pub enum CpuClock {
    /// All threads of the process whose `task` folder this is.
    Process(PathBuf),
    /// The thread with this folder.
    Thread(PathBuf),
}

// === impl CpuClock ===

impl CpuClock {
    /// Of a process with all its threads.
    pub fn of_process(id: u32) -> Self {
        Self::Process(PathBuf::from(format!("/proc/{id}/task")))
    }

    /// Of the thread that asks.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn of_this_thread() -> Result<Self> {
        let folder = std::fs::read_link("/proc/thread-self").context("cannot tell this thread's id")?;
        Ok(Self::Thread(Path::new("/proc").join(folder)))
    }

    /// The time so far, once it stands still.
    ///
    /// # Errors
    /// The process has ended, or the kernel does not count.
    pub async fn read(&self) -> Result<u64> {
        let mut last = self.read_now()?;
        for _ in 0..MOST_READINGS {
            sleep(STILL).await;
            let now = self.read_now()?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }

    /// The time so far, of a process that may be running.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_now(&self) -> Result<u64> {
        match self {
            Self::Thread(folder) => run_time(folder),
            Self::Process(tasks) => {
                let mut total = 0;
                for task in std::fs::read_dir(tasks).with_context(|| format!("{} is gone", tasks.display()))? {
                    total += run_time(&task?.path())?;
                }
                Ok(total)
            }
        }
    }
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn run_time(task: &Path) -> Result<u64> {
    let path = task.join("schedstat");
    let line = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: the kernel needs CONFIG_SCHED_INFO", path.display()))?;
    let number = line.split_whitespace().next().unwrap_or_default();
    number.parse().with_context(|| format!("{} says {line:?}, expected a number of nanoseconds first", path.display()))
}
