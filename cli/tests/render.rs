//! `modelway render` as a program, and a real Envoy that reads what it writes.

#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A pool, a cluster and a shadow.
const DESTINATIONS: &str = "routing:
  rewrite: Headers
  models:
  - name: a
    variants: [{name: x}, {name: large, pool: gpu}, {name: next, weight: 0, cluster: far}]
    shadow: {variant: next}
deployment:
  pools: {gpu: {host: 127.0.0.1, port: 9000}}
  clusters: {far: {host: far.example.com}}
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn render(mesh: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
    command.arg("render").arg(mesh).args(arguments).output().expect("modelway runs")
}

#[test]
fn envoy_takes_what_is_written_for_it_filter_and_all() {
    let built = |variable: &str, default: &str| {
        std::env::var_os(variable).map_or_else(|| repository().join(default), PathBuf::from)
    };
    let filter = built("MODELWAY_FILTER", "target/wasm32-wasip1/wasm/modelway_filter.wasm");
    let envoy = built("MODELWAY_ENVOY", ".tools/venv/bin/envoy");
    let folder = TempDir::new().expect("a folder");
    let mesh = folder.path().join("mesh.yaml");
    let text = format!(
        "apiVersion: modelway/v1alpha1\n{DESTINATIONS}  module: {{file: {}}}\n",
        filter.canonicalize().expect("the built filter").display()
    );
    std::fs::write(&mesh, text).expect("a mesh file");

    let out = folder.path().join("envoy");
    let output = render(&mesh, &["--target", "envoy", "--out", &out.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut validation = Command::new(envoy);
    validation.args(["--mode", "validate", "--config-path"]).arg(out.join("envoy.yaml"));
    let validated = validation.output().expect("Envoy runs");
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stderr));
}

#[test]
fn one_tier_is_written_and_what_it_lacks_is_said() {
    let mesh = repository().join("tests/demo/mesh.yaml");
    let folder = TempDir::new().expect("a folder");
    let output = render(&mesh, &["--tier", "header", "--out", &folder.path().display().to_string()]);
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("key parameter user_id, needs the body tier"), "{errors}");
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).expect("the folder").flatten().map(|file| file.file_name()).collect();
    names.sort();
    assert_eq!(names, ["destination-rule.yaml", "virtual-service.yaml", "wasm-plugin.yaml"]);
}

#[test]
fn without_a_folder_the_manifests_go_to_standard_output() {
    let output = render(&repository().join("tests/demo/mesh.yaml"), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("kind: ")).collect();
    assert_eq!(kinds, ["EnvoyFilter", "EnvoyFilter", "Gateway", "VirtualService", "DestinationRule"]);
}
