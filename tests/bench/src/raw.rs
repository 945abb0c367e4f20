//! The raw samples, in the form that `report.py` judges. No ratio is made here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What `report.py` reads.
#[derive(Debug, Serialize)]
pub struct Raw {
    /// On what it was measured.
    pub machine: BTreeMap<&'static str, String>,
    /// The lines of the table.
    pub rows: Vec<Row>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Begins with `filter`, `mesh`, `runtime` or `llm`.
    pub name: String,
    /// What the samples count.
    pub unit: &'static str,
    /// What the ratio is; absent without a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Of>,
    /// For the ratio, without a peer for ours; absent: only reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<&'static str>,
    /// What we have made.
    pub ours: Side,
    /// What it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Side>,
    /// What both have in common and is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Side>,
}

/// What was measured, and the numbers: the n-th of each side are of one round.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// In words.
    pub what: String,
    /// The numbers.
    pub samples: Vec<f64>,
}

/// Which way round a ratio is.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Of {
    /// Ours over theirs.
    #[serde(rename = "ours/peer")]
    OursToPeer,
    /// Theirs over ours.
    #[serde(rename = "peer/ours")]
    PeerToOurs,
}

// === impl Raw ===

impl Raw {
    /// Of so many rounds.
    pub fn new(rows: Vec<Row>, rounds: u32) -> Self {
        let mut machine = machine();
        machine.insert("rounds", rounds.to_string());
        Self { machine, rows }
    }

    /// Leaves them for `report.py`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec(self)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

// === impl Row ===

impl Row {
    /// Something that stands for itself.
    pub fn alone(name: &str, unit: &'static str, ours: Side) -> Self {
        Self { name: name.to_owned(), unit, of: None, goal: None, ours, peer: None, base: None }
    }

    /// Ours against a peer.
    pub fn against(name: &str, unit: &'static str, of: Of, ours: Side, peer: Side) -> Self {
        Self { of: Some(of), peer: Some(peer), ..Self::alone(name, unit, ours) }
    }

    /// The same with what both sides have in common taken off.
    pub fn above(self, base: Side) -> Self {
        Self { base: Some(base), ..self }
    }

    /// The same with a goal: for the ratio, without a peer for ours.
    pub fn goal(self, goal: &'static str) -> Self {
        Self { goal: Some(goal), ..self }
    }
}

// === impl Side ===

impl Side {
    /// Samples, and what they are of.
    pub fn new(what: impl Into<String>, samples: Vec<f64>) -> Self {
        Self { what: what.into(), samples }
    }

    /// One sample.
    pub fn one(what: impl Into<String>, number: f64) -> Self {
        Self::new(what, vec![number])
    }
}

fn machine() -> BTreeMap<&'static str, String> {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    BTreeMap::from([
        ("load average at the end", load.split(' ').next().unwrap_or_default().to_owned()),
        ("processor", model.trim_start_matches(['\t', ' ', ':']).to_owned()),
        ("cores", cpus.to_string()),
        ("kernel", kernel.trim().to_owned()),
    ])
}
