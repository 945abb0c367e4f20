//! What `check` tells people.

use std::fmt::Write;

use super::tiers::{Tier, Tiers};
use super::{Checked, Finding};

/// More rows than anybody reads: beyond them only what needs the body tier is listed.
const MOST_ROWS: usize = 60;

/// The report on all files.
pub(super) fn text(checked: &[Checked], is_strict: bool) -> String {
    let mut text = String::new();
    for file in checked {
        let name = file.file.display().to_string();
        file.faults.iter().for_each(|finding| push_finding(&mut text, &name, "fault", finding));
        file.warnings.iter().for_each(|finding| push_finding(&mut text, &name, "warning", finding));
        push_tiers(&mut text, &file.tiers);
        let verdict = match (file.faults.is_empty(), file.warnings.is_empty()) {
            (false, _) => "refused",
            (true, false) if is_strict => "refused (--strict)",
            _ => "fine",
        };
        let counts = [counted(file.faults.len(), "fault"), counted(file.warnings.len(), "warning")].join(", ");
        let models = if file.faults.is_empty() { counted(file.models, "model") + ", " } else { String::new() };
        push(&mut text, &format!("{name}: {verdict}: {models}{counts}"));
    }
    text
}

fn push_finding(text: &mut String, file: &str, kind: &str, finding: &Finding) {
    let place = match (finding.line, finding.column) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        _ => file.to_owned(),
    };
    let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
    push(text, &format!("{place}: {kind}: {path}{}", finding.message));
}

fn push_tiers(text: &mut String, models: &[Tiers]) {
    let rows = models.iter().flat_map(|model| model.needs.iter().map(move |need| (model, need)));
    let is_long = rows.clone().count() > MOST_ROWS;
    let width = rows.clone().map(|(_, need)| need.path.len()).max().unwrap_or_default();
    let mut told = None;
    for (model, need) in rows.filter(|(_, need)| !is_long || need.tier == Tier::Body) {
        if told != Some(&model.name) {
            push(text, &model.name);
            told = Some(&model.name);
        }
        push(text, &format!("  {:<6}  {:<width$}  {}", need.tier.word(), need.path, need.what));
    }
    if is_long {
        push(text, "every other rule and key needs the header tier only (`--output json` lists them)");
    }
}

fn push(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

/// `1 fault`, `2 faults`.
pub(super) fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
