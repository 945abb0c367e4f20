//! How much memory the models get when nobody says.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// Of the memory that the process may have: the rest is for requests, and for what a load needs
/// beside the model itself.
const SHARE_PERCENT: u64 = 60;

/// Where nothing can be read.
const FALLBACK: u64 = 1 << 30;

/// Above this a limit of cgroup v1 means that there is none.
const NO_LIMIT: u64 = 1 << 60;

/// A share of the memory limit of the control group, or of the memory that is available.
pub fn default_memory() -> u64 {
    share(limit_of_group(Path::new("/")), available(Path::new("/")))
}

/// The memory that the process may have: the limit of its control group, or all of the machine's.
pub(crate) fn whole_memory() -> Option<u64> {
    let (limit, machine) = (limit_of_group(Path::new("/")), of_machine(Path::new("/"), "MemTotal:"));
    limit.into_iter().chain(machine).min()
}

fn share(limit: Option<u64>, available: Option<u64>) -> u64 {
    // A group's limit may be larger than the machine.
    let whole = match (limit, available) {
        (Some(limit), Some(available)) => limit.min(available),
        (limit, available) => limit.or(available).unwrap_or(FALLBACK),
    };
    whole / 100 * SHARE_PERCENT
}

/// The lowest limit of the process's control group and those above it.
fn limit_of_group(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mut lowest: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (base, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        let base = root.join(base);
        // In a container the group's path is often that of the host, and only the base exists.
        let mut folder: PathBuf = base.join(group.trim_start_matches('/'));
        while folder.starts_with(&base) {
            let limit = fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse().ok());
            let limit = limit.filter(|&limit| limit < NO_LIMIT);
            lowest = lowest.into_iter().chain(limit).min();
            if !folder.pop() {
                break;
            }
        }
    }
    lowest
}

fn available(root: &Path) -> Option<u64> {
    of_machine(root, "MemAvailable:")
}

fn of_machine(root: &Path, line: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|of| of.strip_prefix(line))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
