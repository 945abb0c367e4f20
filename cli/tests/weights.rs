//! `modelway set-weight`, `promote` and `rollback` as programs, on files on disk.

#![allow(clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const MESH: &str = "\
# ours
apiVersion: modelway/v1alpha1
routing:
  models:
  - name: digits
    aliases: [mnist]
    variants:
    - {name: stable, model: v1, weight: 90}   # nine of ten
    - name: canary                            # the new one
      model: v2
      weight: 10
    rules:
    - {name: beta, match: {headers: [{name: x-beta, value: \"true\"}]}, variant: canary}
    - {name: old, match: {headers: [{name: x-old, value: \"true\"}]}, variant: stable}
";

struct Mesh(TempDir);

impl Mesh {
    fn new() -> Self {
        let mesh = Self(TempDir::new().expect("a folder"));
        std::fs::write(mesh.file(), MESH).expect("a file");
        mesh
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("mesh.yaml")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("the file")
    }

    /// `modelway COMMAND mesh.yaml …`
    fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_modelway"));
        program.current_dir(self.0.path()).arg(command).arg("mesh.yaml").args(arguments);
        program.output().expect("modelway runs")
    }
}

#[track_caller]
fn assert_refused(output: &Output, part: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(part), "{errors}");
}

#[test]
fn weights_change_and_nothing_else_does() {
    let mesh = Mesh::new();
    std::fs::set_permissions(mesh.file(), std::fs::Permissions::from_mode(0o640)).expect("permissions");
    let output = mesh.run("set-weight", &["mnist", "stable=75", "canary=25"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(mesh.text(), MESH.replace("weight: 90", "weight: 75").replace("weight: 10", "weight: 25"));
    let mode = std::fs::metadata(mesh.file()).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let text = String::from_utf8_lossy(&output.stdout);
    for part in
        ["-    - {name: stable, model: v1, weight: 90}   # nine of ten", "+      weight: 25", "share 90.0 % → 75.0 %"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn a_dry_run_shows_and_writes_nothing() {
    let mesh = Mesh::new();
    let output = mesh.run("promote", &["digits", "canary", "--dry-run", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["written"], false);
    assert_eq!(report["variants"][1]["weightAfter"], 100.0);
    assert!(report["diff"].as_str().expect("a diff").contains("+      weight: 100"));
    assert_eq!(mesh.text(), MESH);
    assert_eq!(std::fs::read_dir(mesh.0.path()).expect("the folder").count(), 1);
}

#[test]
fn a_promoted_variant_gets_all_and_rules_that_lead_elsewhere_are_named() {
    let mesh = Mesh::new();
    let output = mesh.run("promote", &["digits", "canary"]);
    assert_eq!(mesh.text(), MESH.replace("weight: 90", "weight: 0").replace("weight: 10", "weight: 100"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.trim(), "note: routing.models[0].rules[1], the rule 'old', still leads elsewhere");
}

#[test]
fn rollback_goes_back_edit_by_edit() {
    let mesh = Mesh::new();
    assert!(mesh.run("set-weight", &["digits", "canary=20", "stable=80"]).status.success());
    let in_between = mesh.text();
    assert!(mesh.run("promote", &["digits", "canary"]).status.success());
    assert!(mesh.run("rollback", &["mnist"]).status.success());
    assert_eq!(mesh.text(), in_between);
    assert!(mesh.run("rollback", &["digits"]).status.success());
    assert_eq!(mesh.text(), MESH);
    assert_refused(&mesh.run("rollback", &["digits"]), "no edit of 'digits' to undo");
}

#[test]
fn rollback_does_not_undo_what_was_done_by_hand_unless_forced() {
    let mesh = Mesh::new();
    assert!(mesh.run("promote", &["digits", "canary"]).status.success());
    std::fs::write(mesh.file(), mesh.text().replace("weight: 100", "weight: 60")).expect("a file");
    assert_refused(&mesh.run("rollback", &["digits"]), "from stable=0 canary=100 to stable=0 canary=60");
    assert!(mesh.run("rollback", &["digits", "--force"]).status.success());
    assert_eq!(mesh.text(), MESH);
}

#[test]
fn what_check_would_refuse_is_not_written() {
    let mesh = Mesh::new();
    assert_refused(&mesh.run("set-weight", &["digits", "stable=0", "canary=0"]), "expected a weight above 0");
    assert_refused(&mesh.run("set-weight", &["digits", "canery=5"]), "has no variant 'canery', it has stable, canary");
    assert_refused(
        &mesh.run("set-weight", &["digit", "canary=5"]),
        "there is no model 'digit', did you mean 'digits'?",
    );
    assert_eq!(mesh.run("set-weight", &["digits", "canary=-5"]).status.code(), Some(2));
    assert_eq!(mesh.text(), MESH);
    std::fs::write(mesh.file(), MESH.replace("weight: 10", "wieght: 10")).expect("a file");
    assert_refused(&mesh.run("set-weight", &["digits", "canary=5"]), "mesh.yaml is refused as it is");
}

#[test]
fn weights_that_no_longer_sum_to_100_are_remarked_upon() {
    let mesh = Mesh::new();
    let output = mesh.run("set-weight", &["digits", "canary=20"]);
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.starts_with("warning: routing.models[0].variants: the weights sum to 110"), "{errors}");
}
