//! What the system says of this process.

use std::fs;
use std::time::Duration;

use crate::residency::whole_memory;

/// The unit of times in `/proc/self/stat`: Linux shows hundredths of a second to programs on every architecture.
const TICK_MILLISECONDS: u64 = 10;

/// The process, and what it may use.
#[derive(Debug)]
pub(super) struct Process {
    processors: f64,
    /// Bytes of the control group's limit or of the machine.
    memory: Option<u64>,
}

// === impl Process ===

impl Process {
    pub(super) fn new() -> Self {
        // Knows the control group's quota.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { processors: processors as f64, memory: whole_memory() }
    }

    /// Processors that it may use.
    pub(super) fn processors(&self) -> f64 {
        self.processors
    }

    /// Processor time that it has used since it began.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        ticks(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The part of the memory that it uses, at most 1.
    pub(super) fn memory_share(&self) -> Option<f64> {
        let memory = self.memory.filter(|&memory| memory > 0)?;
        let resident = resident_bytes(&fs::read_to_string("/proc/self/status").ok()?)?;
        Some((resident as f64 / memory as f64).min(1.0))
    }
}

/// Fields 14 and 15, counted behind the program's name, which may have anything in it.
fn ticks(stat: &str) -> Option<Duration> {
    const BEFORE_USER_TIME: usize = 11;
    let (_, behind) = stat.rsplit_once(')')?;
    let mut times = behind.split_ascii_whitespace().skip(BEFORE_USER_TIME).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(Duration::from_millis(user.checked_add(system)?.checked_mul(TICK_MILLISECONDS)?))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_name_may_look_like_anything() {
        let stat = "7 (a) R (b) S 1 7 7 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 1 0 9";
        assert_eq!(ticks(stat), Some(Duration::from_secs(2)));
        assert_eq!(ticks("7 (a) S 1"), None);
        assert_eq!(resident_bytes("Name:\ta\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(resident_bytes("Name:\ta\n"), None);
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        let process = Process::new();
        assert!(process.processor_time().is_some());
        assert!(process.memory_share().is_some_and(|share| share > 0.0 && share <= 1.0));
        assert!(process.processors() >= 1.0);
    }
}
