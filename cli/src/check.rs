//! `modelway check`: every fault of a mesh file, what each rule and key needs, and what looks wrong.

mod report;
#[cfg(test)]
mod tests;
mod tiers;
mod warnings;

use std::path::{Path as FilePath, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use self::tiers::{Tier, Tiers};
use crate::faults::Fault;
use crate::mesh_file::Mesh;
use crate::output::Output;
use crate::source::{Section, Source};

/// Arguments of `modelway check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mesh files, bare routings (YAML or JSON), or manifests with one (WasmPlugin, EnvoyFilter);
    /// `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Fail on warnings, too.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: Output,
}

/// What was found in one file.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checked {
    file: PathBuf,
    pub(crate) faults: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    /// How many it lists.
    models: usize,
    tiers: Vec<Tiers>,
}

/// A fault or a warning, and where it stands.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    /// In the file; empty for the whole.
    pub(crate) path: String,
    /// From 1; absent where the file could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    pub(crate) message: String,
}

/// Checks the files; 1 if any is at fault.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let checked: Vec<Checked> = args.files.iter().map(|file| check_file(file)).collect();
    let is_refused = |file: &Checked| !file.faults.is_empty() || (args.strict && !file.warnings.is_empty());
    let refused = checked.iter().any(is_refused);
    args.output.show(&serde_json::json!({"ok": !refused, "files": checked}), || report::text(&checked, args.strict))?;
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The rules and keys that need the body tier, by path and name.
pub(crate) fn body_tier_needs(mesh: &Mesh) -> Vec<String> {
    let models = tiers::of(mesh);
    let needs = models.iter().flat_map(|model| &model.needs).filter(|need| need.tier == Tier::Body);
    needs.map(|need| format!("{}, the {},", need.path, need.what)).collect()
}

fn check_file(file: &FilePath) -> Checked {
    match Source::read(file) {
        Ok(source) => check_source(&source),
        Err(error) => {
            let message = format!("{error:#}");
            let fault = Finding { path: String::new(), line: None, column: None, message };
            Checked { file: file.to_owned(), faults: vec![fault], ..Checked::default() }
        }
    }
}

/// Everything there is to say about a file that could be read.
pub(crate) fn check_source(source: &Source) -> Checked {
    let mut checked = Checked { file: source.file.clone(), ..Checked::default() };
    if source.sections.is_empty() {
        let message =
            "no routing here: expected a mesh file, a routing, a WasmPlugin or an EnvoyFilter with the filter";
        checked.faults.push(Finding {
            path: String::new(),
            line: Some(1),
            column: Some(1),
            message: message.to_owned(),
        });
    }
    for section in &source.sections {
        match Mesh::of(section, FilePath::new("")) {
            Ok(mesh) => {
                let warnings = warnings::of(&mesh);
                checked.warnings.extend(warnings.into_iter().map(|warning| Finding::in_routing(section, warning)));
                checked.models += mesh.config.models.len();
                checked.tiers.extend(tiers::of(&mesh));
            }
            Err(faults) => checked.faults.extend(faults.into_iter().map(|fault| Finding::of(section, fault))),
        }
        checked.warnings.extend(ambiguous_versions(source, section));
    }
    checked
}

// === impl Finding ===

impl Finding {
    /// `fault` by its path in the file.
    fn of(section: &Section, fault: Fault) -> Self {
        let path = fault.path.within(&section.document);
        let (line, column) = section.place(&path);
        Self { path: fault.path.to_string(), line: Some(line), column: Some(column), message: fault.message }
    }

    fn in_routing(section: &Section, fault: Fault) -> Self {
        let path = section.path_in_file(&fault.path);
        Self::of(section, Fault { path, message: fault.message })
    }
}

/// A version such as `2.10`, which YAML reads as the number 2.1.
fn ambiguous_versions(source: &Source, section: &Section) -> Vec<Finding> {
    let models = section.routing.get("models").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    for (index, model) in models.iter().enumerate() {
        let variants = model.get("variants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for (position, variant) in variants.iter().enumerate() {
            let is_float = variant.get("version").is_some_and(Value::is_f64);
            let path = crate::yaml::Path::parse(&format!("models[{index}].variants[{position}].version"));
            let Some(node) = section.tree.find(&section.path_in_file(&path)).filter(|_| is_float) else { continue };
            let written = source.text.get(node.bytes.clone()).unwrap_or_default().trim();
            let read = variant.get("version").map(Value::to_string).unwrap_or_default();
            if written != read {
                let message =
                    format!("YAML reads {written} as the number {read}; write \"{written}\" if that is the version");
                found.push(Finding::in_routing(section, Fault { path, message }));
            }
        }
    }
    found
}
