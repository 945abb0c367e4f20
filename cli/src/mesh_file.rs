//! The mesh file: what the gateway gets (`routing`) and what runs it (`deployment`).

mod deployment;
#[cfg(test)]
mod tests;

use std::path::Path as FilePath;

use anyhow::{Context, anyhow};
use modelway_decision::Router;
use modelway_decision::config::Routing;
use schemars::JsonSchema;
use serde_json::Value;

pub(crate) use self::deployment::{Deployment, Gateway, Runtimes, Service, UpstreamHttp};
use crate::faults::{self, Fault};
use crate::source::{Form, Section, Source};
use crate::yaml::Path;

const API_VERSION: &str = "modelway/v1alpha1";
const SECTIONS: [&str; 3] = ["apiVersion", "routing", "deployment"];

/// A mesh that was read and checked.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// From the document to the routing.
    pub(crate) path: Path,
    /// The filter's configuration: the `routing` section, nothing added and nothing left out.
    pub(crate) routing: Value,
    pub(crate) config: Routing,
    pub(crate) router: Router,
    /// What runs the mesh.
    pub(crate) deployment: Deployment,
    /// Whether the deployment is the file's own, or the default of a file that has none.
    pub(crate) is_mesh_file: bool,
}

/// The file as it is written.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)]
pub(crate) struct MeshFile {
    /// `modelway/v1alpha1`.
    api_version: String,
    /// What the gateway's filter gets.
    #[schemars(default)]
    routing: Routing,
    /// What `modelway up` starts and `modelway render` writes down.
    #[schemars(default)]
    deployment: Deployment,
}

// === impl Mesh ===

impl Mesh {
    /// Reads a file that holds one routing and checks it; all faults are told, each with its path.
    pub(crate) fn read(file: &FilePath) -> anyhow::Result<Self> {
        let refused = || format!("{} is refused", file.display());
        let source = Source::read(file).with_context(refused)?;
        Self::parse(&source).with_context(refused)
    }

    /// The mesh of a file that was read.
    pub(crate) fn parse(source: &Source) -> anyhow::Result<Self> {
        let section = source.only_section()?;
        let folder = source.file.parent().unwrap_or(FilePath::new(""));
        Self::of(section, folder).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            anyhow!("{}", lines.concat())
        })
    }

    /// The mesh of a section, or all its faults, by their paths in the file. `folder` is the file's.
    pub(crate) fn of(section: &Section, folder: &FilePath) -> Result<Self, Vec<Fault>> {
        let mut faults = envelope_faults(section);
        let in_file = |path: &Path, fault: Fault| Fault { path: path.join(&fault.path), message: fault.message };
        let routing = faults::of_routing(&section.routing).map_err(|found| {
            faults.extend(found.into_iter().map(|fault| in_file(&section.path, fault)));
        });
        let deployment = Deployment::of(section).map_err(|found| {
            faults.extend(found.into_iter().map(|fault| in_file(&Path::default().key("deployment"), fault)));
        });
        match (routing, deployment) {
            (Ok((config, router)), Ok(deployment)) if faults.is_empty() => Ok(Self {
                path: section.path.clone(),
                routing: section.routing.clone(),
                config,
                router,
                deployment: deployment.in_folder(folder),
                is_mesh_file: section.form == Form::MeshFile,
            }),
            _ => Err(faults),
        }
    }

    /// The names that clients call, without patterns.
    pub(crate) fn models(&self) -> Vec<String> {
        let names = self.config.models.iter().map(|model| &model.name);
        names.filter(|name| !name.ends_with('*')).cloned().collect()
    }
}

/// What is wrong with the file around its two sections.
fn envelope_faults(section: &Section) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (Form::MeshFile, Some(members)) = (section.form, section.document.as_object()) else { return faults };
    let expected = format!("expected `apiVersion: {API_VERSION}`");
    match members.get("apiVersion").and_then(Value::as_str) {
        Some(API_VERSION) => {}
        Some(other) => {
            let path = Path::default().key("apiVersion");
            faults.push(Fault { path, message: format!("expected `{API_VERSION}`, got `{other}`") });
        }
        None => faults.push(Fault { path: Path::default(), message: expected }),
    }
    for name in members.keys().filter(|name| !SECTIONS.contains(&name.as_str())) {
        let known = SECTIONS.map(|section| format!("`{section}`")).join(", ");
        let message = faults::with_nearest(&format!("unknown field `{name}`, expected one of {known}"));
        faults.push(Fault { path: Path::default().key(name), message });
    }
    faults
}
