//! What `rollback` goes back to: a file of lines beside the mesh file, one for each edit.

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use modelway_decision::config::Timestamp;
use serde::{Deserialize, Serialize};

const NAME: &str = ".modelway-history.jsonl";

/// The edits of one mesh file.
pub(super) struct History {
    file: PathBuf,
    /// The mesh file's name.
    of: String,
}

/// One edit.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    time: String,
    /// The mesh file's name, without its folder.
    file: String,
    model: String,
    command: Command,
    /// Every variant with its weight, in the file's order.
    pub(super) before: Vec<(String, f64)>,
    pub(super) after: Vec<(String, f64)>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Command {
    SetWeight,
    Promote,
    Rollback,
}

// === impl History ===

impl History {
    /// The history beside a mesh file; there need not be any yet.
    pub(super) fn beside(mesh: &Path) -> anyhow::Result<Self> {
        let mesh = mesh.canonicalize().with_context(|| format!("cannot find {}", mesh.display()))?;
        Ok(Self { file: mesh.with_file_name(NAME), of: file_name(&mesh) })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The last edit of this model that was not rolled back.
    pub(super) fn last_edit(&self, model: &str) -> anyhow::Result<Option<Entry>> {
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.file.display())),
        };
        let mut edits = Vec::new();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place =
                || format!("{}:{}: this is no entry of the history; remove the line", self.file.display(), number + 1);
            let entry: Entry = serde_json::from_str(line).with_context(place)?;
            if entry.file != self.of || entry.model != model {
                continue;
            }
            if entry.command == Command::Rollback {
                edits.pop();
            } else {
                edits.push(entry);
            }
        }
        Ok(edits.pop())
    }

    pub(super) fn append(&self, entry: &Entry) -> anyhow::Result<()> {
        let cannot = || format!("the mesh file is written, but not {}: `rollback` will not know", self.file.display());
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        let mut file = OpenOptions::new().create(true).append(true).open(&self.file).with_context(cannot)?;
        file.write_all(line.as_bytes()).with_context(cannot)
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn now(
        mesh: &Path,
        model: String,
        command: Command,
        before: Vec<(String, f64)>,
        after: Vec<(String, f64)>,
    ) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Whole seconds: this is for people.
        let time = Timestamp { nanoseconds: since_1970.as_secs() * 1_000_000_000 }.to_string();
        Self {
            time,
            file: file_name(&mesh.canonicalize().unwrap_or_else(|_| mesh.to_owned())),
            model,
            command,
            before,
            after,
        }
    }
}

fn file_name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
