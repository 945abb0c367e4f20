//! The raw samples, in the form that `report.py` judges. No ratio is made here.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What `report.py` reads.
#[derive(Debug, Serialize)]
pub(crate) struct Raw {
    pub(crate) machine: BTreeMap<&'static str, String>,
    pub(crate) rows: Vec<Row>,
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<Of>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<&'static str>,
    pub(crate) ours: Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Side>,
}

/// What was measured, and the numbers: the n-th of each side are of one round.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Side {
    pub(crate) what: String,
    pub(crate) samples: Vec<f64>,
}

/// Which way round a ratio is.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum Of {
    #[serde(rename = "ours/peer")]
    OursToPeer,
    #[serde(rename = "peer/ours")]
    PeerToOurs,
}

// === impl Raw ===

impl Raw {
    /// Of so many rounds.
    pub(crate) fn new(rows: Vec<Row>, rounds: u32) -> Self {
        let mut machine = machine();
        machine.insert("rounds", rounds.to_string());
        Self { machine, rows }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec(self)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

// === impl Row ===

impl Row {
    /// Something that stands for itself.
    pub(crate) fn alone(name: &str, unit: &'static str, ours: Side) -> Self {
        Self { name: name.to_owned(), unit, of: None, goal: None, ours, peer: None, base: None }
    }

    /// Ours against a peer.
    pub(crate) fn against(name: &str, unit: &'static str, of: Of, ours: Side, peer: Side) -> Self {
        Self { of: Some(of), peer: Some(peer), ..Self::alone(name, unit, ours) }
    }

    /// The same with what both sides have in common taken off.
    pub(crate) fn above(self, base: Side) -> Self {
        Self { base: Some(base), ..self }
    }

    /// The same with a goal: for the ratio, without a peer for ours.
    pub(crate) fn goal(self, goal: &'static str) -> Self {
        Self { goal: Some(goal), ..self }
    }
}

// === impl Side ===

impl Side {
    pub(crate) fn new(what: impl Into<String>, samples: Vec<f64>) -> Self {
        Self { what: what.into(), samples }
    }

    pub(crate) fn one(what: impl Into<String>, number: f64) -> Self {
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
