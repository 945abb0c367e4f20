//! `modelway check` as a program: what it prints and how it ends.

#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const FINE: &str = "apiVersion: modelway/v1alpha1\nrouting:\n  models:\n  - {name: a, sticky: {by: [{header: h}, {parameter: p}]}, variants: [{name: x, weight: 90}, {name: z, weight: 10}]}\n";

fn modelway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelway")).args(arguments).output().expect("modelway runs")
}

fn written(folder: &TempDir, text: &str) -> String {
    let file = folder.path().join("mesh.yaml");
    std::fs::write(&file, text).expect("a file");
    file.display().to_string()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_mesh_file_and_manifest_of_this_repository_is_fine() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = ["tests/demo/mesh.yaml", "istio/wasm-plugin.yaml", "istio/envoy-filter.yaml"];
    let examples = std::fs::read_dir(repository.join("docs/examples")).expect("the examples").flatten();
    let files = files.iter().map(|file| repository.join(file)).chain(examples.map(|file| file.path()));
    let files: Vec<PathBuf> = files.collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
    let output = command.args(["check", "--strict"]).args(files).output().expect("modelway runs");
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

#[test]
fn what_needs_which_tier_is_told() {
    let folder = TempDir::new().expect("a folder");
    let output = modelway(&["check", &written(&folder, FINE)]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("header  routing.models[0].sticky.by[0]  key header h"), "{text}");
    assert!(text.contains("body    routing.models[0].sticky.by[1]  key parameter p"), "{text}");
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let folder = TempDir::new().expect("a folder");
    let text = FINE.replace("weight: 90", "wieght: 90").replace("name: z, weight: 10", "name: z, weight: -10");
    let output = modelway(&["check", &written(&folder, &text)]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("mesh.yaml:4:81: fault: routing.models[0].variants[0].wieght: unknown field"), "{text}");
    assert!(text.contains("fault: routing.models[0].variants[1].weight: expected a number not below 0"), "{text}");
    assert!(text.contains("refused: 2 faults, no warnings"), "{text}");
}

#[test]
fn warnings_fail_only_if_so_asked() {
    let folder = TempDir::new().expect("a folder");
    let file = written(&folder, &FINE.replace("weight: 90", "weight: 95"));
    assert_eq!(modelway(&["check", &file]).status.code(), Some(0));
    let strict = modelway(&["check", "--strict", &file]);
    assert_eq!(strict.status.code(), Some(1));
    assert!(stdout(&strict).contains("warning: routing.models[0].variants: the weights sum to 105"));
}

#[test]
fn programs_get_json() {
    let folder = TempDir::new().expect("a folder");
    let output = modelway(&["check", "--output", "json", &written(&folder, FINE), "/nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    assert_eq!(report["files"][0]["tiers"][0]["needs"][1]["tier"], "body");
    assert_eq!(report["files"][0]["faults"], serde_json::json!([]));
    let fault = report["files"][1]["faults"][0]["message"].as_str().expect("a fault");
    assert!(fault.starts_with("cannot read /nowhere.yaml"), "{fault}");
}
