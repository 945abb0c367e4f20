//! What `modelway render --target envoy` writes, with runtimes that are discovered.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Setup;
use super::runtime::program;
use crate::host::filter_path;

/// Writes the configuration, and gives its path.
pub(super) fn bootstrap(setup: &Setup, folder: &Path, endpoints: &Path) -> Result<PathBuf> {
    let mut gateway = json!({ "port": 0, "adminPort": 0 });
    if let (Some(gateway), Some(further)) = (gateway.as_object_mut(), setup.gateway.as_object()) {
        gateway.extend(further.clone());
    }
    let mesh = json!({
        "apiVersion": "modelway/v1alpha1",
        "routing": setup.routing,
        "deployment": {
            "gateway": gateway,
            "module": { "file": filter_path().canonicalize().context("no filter, build it with `make wasm`")? },
        },
    });
    let file = folder.join("mesh.yaml");
    std::fs::write(&file, mesh.to_string())?;
    let mut command = Command::new(program());
    let output = command.arg("render").arg(&file).args(["--target", "envoy", "--out"]).arg(folder).output();
    let output = output.with_context(|| format!("cannot run {}", program().display()))?;
    ensure!(output.status.success(), "modelway render: {}", String::from_utf8_lossy(&output.stderr));
    let rendered = std::fs::read_to_string(folder.join("envoy.yaml"))?;
    let mut configuration: Value = serde_saphyr::from_str(&rendered)?;

    // What is discovered needs a node.
    configuration["node"] = json!({ "id": "gateway", "cluster": "gateway" });
    let cluster = configuration.pointer_mut("/static_resources/clusters/0").context("no cluster")?;
    let cluster = cluster.as_object_mut().context("the cluster is no object")?;
    cluster.remove("load_assignment");
    cluster.insert("type".to_owned(), json!("EDS"));
    let watched = json!({ "path_config_source": { "path": endpoints }, "resource_api_version": "V3" });
    cluster.insert("eds_cluster_config".to_owned(), json!({ "eds_config": watched }));
    for (pointer, value) in &setup.changes {
        *configuration.pointer_mut(pointer).with_context(|| format!("{pointer} is not rendered"))? = value.clone();
    }
    let path = folder.join("bootstrap.json");
    std::fs::write(&path, configuration.to_string())?;
    Ok(path)
}
