//! The mesh file: what the gateway gets (`routing`) and what runs it (`deployment`).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use modelway_decision::Router;
use modelway_decision::config::{ByteSize, ConfigError, Routing};
use schemars::JsonSchema;
use serde::Deserialize;

const API_VERSION: &str = "modelway/v1alpha1";

/// A mesh file that was read and checked.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// The filter's configuration: the `routing` section as JSON, nothing added and nothing left out.
    pub(crate) routing_json: String,
    /// The names that clients call, without patterns.
    pub(crate) models: Vec<String>,
    /// What runs the mesh.
    pub(crate) deployment: Deployment,
}

/// The file as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MeshFile {
    /// `modelway/v1alpha1`.
    api_version: String,
    /// What the gateway's filter gets.
    #[serde(default)]
    #[schemars(with = "Routing")]
    routing: BTreeMap<String, serde_json::Value>,
    /// What `modelway up` starts.
    #[serde(default)]
    deployment: Deployment,
}

/// What `up` starts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Deployment {
    /// The Envoy that clients call.
    pub(crate) gateway: Gateway,
    /// The model servers behind it.
    pub(crate) runtimes: Runtimes,
    /// Folder whose entries are the models, relative to the mesh file. Default `models`.
    pub(crate) models: PathBuf,
    /// Commands to show once the mesh is up; `$MODELWAY_GATEWAY` stands for the gateway's URL.
    pub(crate) examples: Vec<String>,
}

/// The Envoy that clients call.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Gateway {
    /// Where it listens. Default 127.0.0.1.
    pub(crate) address: IpAddr,
    /// Default 8008; 0 takes one that is free.
    pub(crate) port: u16,
    /// Envoy's worker threads. Default 1.
    pub(crate) concurrency: NonZeroU16,
    /// How much of a connection Envoy may buffer. Default 32 KiB, as Istio's gateways have.
    pub(crate) buffer_limit: ByteSize,
    /// The largest request that can be sent again to another runtime. Default 64 MiB.
    pub(crate) request_buffer_limit: ByteSize,
}

/// The model servers behind it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Runtimes {
    /// How many. Default 2.
    pub(crate) count: NonZeroU16,
}

// === impl Mesh ===

impl Mesh {
    /// Reads a mesh file and checks both sections; a fault is told with its path or its line.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).with_context(|| format!("{} is refused", file.display()))
    }

    fn parse(text: &str, folder: &Path) -> anyhow::Result<Self> {
        let file: MeshFile = serde_saphyr::from_str(text)?;
        if file.api_version != API_VERSION {
            bail!("apiVersion: expected `{API_VERSION}`, got `{}`", file.api_version);
        }
        let routing_json = serde_json::to_string(&file.routing)?;
        let routing = Routing::from_json(routing_json.as_bytes()).map_err(|error| in_routing(&error))?;
        Router::new(&routing).map_err(|error| in_routing(&error))?;
        let names = routing.models.into_iter().map(|model| model.name);
        let mut deployment = file.deployment;
        deployment.models = folder.join(deployment.models);
        Ok(Self { routing_json, models: names.filter(|name| !name.ends_with('*')).collect(), deployment })
    }
}

/// The router speaks of paths within its section; the reader of a file needs the path within the file.
fn in_routing(error: &ConfigError) -> anyhow::Error {
    let faults = error.faults().iter().map(|fault| match fault.path.as_str() {
        "" => format!("routing: {}", fault.message),
        path => format!("routing.{path}: {}", fault.message),
    });
    anyhow::Error::msg(faults.collect::<Vec<_>>().join("; "))
}

// === impl Deployment ===

impl Default for Deployment {
    fn default() -> Self {
        Self {
            gateway: Gateway::default(),
            runtimes: Runtimes::default(),
            models: PathBuf::from("models"),
            examples: Vec::new(),
        }
    }
}

// === impl Gateway ===

impl Default for Gateway {
    fn default() -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8008,
            concurrency: NonZeroU16::MIN,
            buffer_limit: ByteSize(32 * 1024),
            request_buffer_limit: ByteSize(64 * 1024 * 1024),
        }
    }
}

// === impl Runtimes ===

impl Default for Runtimes {
    fn default() -> Self {
        Self { count: NonZeroU16::MIN.saturating_add(1) }
    }
}
