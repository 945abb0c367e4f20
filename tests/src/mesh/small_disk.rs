//! A disk that is soon full: a tmpfs of a few kilobytes, which one process sees and nobody else.
//!
//! It is mounted in a namespace of the process's own, which needs no rights where the kernel gives namespaces to
//! everybody. Some machines do not, mostly containers with a strict profile.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

/// Mounts the disk `$2` of `$1` bytes and becomes the rest.
const SCRIPT: &str = r#"mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@""#;

/// Whether this machine lets us have such a disk.
pub fn is_possible() -> bool {
    let mounts = || {
        let folder = TempDir::new()?;
        let around = around(folder.path(), 1 << 16)?;
        let Some((first, others)) = around.split_first() else { return Ok(false) };
        anyhow::Ok(Command::new(first).args(others).arg("true").status()?.success())
    };
    mounts().unwrap_or(false)
}

/// A program with arguments that becomes the one that it is told, with a disk of this size at the folder.
pub(super) fn around(folder: &Path, bytes: u64) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder)?;
    let (folder, bytes) = (folder.display().to_string(), bytes.to_string());
    let words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", &bytes, &folder];
    Ok(words.map(str::to_owned).to_vec())
}
