//! What has changed, for people and for programs.

use std::path::{Path, PathBuf};

use serde::Serialize;
use similar::TextDiff;

/// One edit of one model.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) file: PathBuf,
    pub(super) model: String,
    pub(super) variants: Vec<Change>,
    /// Unified; empty where nothing changes.
    pub(super) diff: String,
    /// Whether a rollback leads back to what it was.
    #[serde(skip)]
    pub(super) goes_back: bool,
    /// Whether the file was changed.
    pub(super) written: bool,
}

/// A variant's weight, and its part of the split, from 0 to 1.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    variant: String,
    weight_before: f64,
    weight_after: f64,
    share_before: f64,
    share_after: f64,
}

// === impl Report ===

impl Report {
    pub(super) fn text(&self, is_dry_run: bool) -> String {
        let mut text = format!("{}\n", self.model);
        let width = self.variants.iter().map(|change| change.variant.chars().count()).max().unwrap_or_default();
        for change in &self.variants {
            let Change { variant, weight_before, weight_after, share_before, share_after } = change;
            let weights = format!("{weight_before} → {weight_after}");
            let (before, after) = (share_before * 100.0, share_after * 100.0);
            text.push_str(&format!("  {variant:<width$}  weight {weights:<12}  share {before:.1} % → {after:.1} %\n"));
        }
        let verdict = match (self.diff.is_empty(), is_dry_run) {
            (true, _) => format!("{}: nothing to change", self.file.display()),
            (false, true) => format!("{}: not written (--dry-run)", self.file.display()),
            (false, false) if !self.goes_back => format!("{}: written", self.file.display()),
            (false, false) => {
                let file = self.file.display();
                format!("{file}: written; `modelway rollback {file} {}` goes back", self.model)
            }
        };
        format!("{text}{}{verdict}\n", self.diff)
    }
}

// === impl Change ===

impl Change {
    pub(super) fn between(before: &[(String, f64)], after: &[(String, f64)]) -> Vec<Self> {
        let total = |weights: &[(String, f64)]| weights.iter().map(|(_, weight)| weight).sum::<f64>();
        let (total_before, total_after) = (total(before), total(after));
        let share = |weight: f64, total: f64| if total > 0.0 { weight / total } else { 0.0 };
        let both = before.iter().zip(after);
        both.map(|((variant, before), (_, after))| Self {
            variant: variant.clone(),
            weight_before: *before,
            weight_after: *after,
            share_before: share(*before, total_before),
            share_after: share(*after, total_after),
        })
        .collect()
    }
}

/// The lines that change, as `diff -u` shows them.
pub(super) fn diff(file: &Path, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let name = file.display().to_string();
    TextDiff::from_lines(before, after).unified_diff().context_radius(2).header(&name, &name).to_string()
}
