//! The runtimes as Envoy discovers them: a file that it watches.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use serde_json::{Value, json};

/// The file.
pub(super) struct Endpoints {
    file: PathBuf,
    version: AtomicU64,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(folder: &Path) -> Self {
        Self { file: folder.join("endpoints.json"), version: AtomicU64::new(0) }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// By renaming, so that Envoy never reads half a file.
    pub(super) fn publish(&self, runtimes: &[SocketAddr]) -> Result<()> {
        let version = self.version.fetch_add(1, Ordering::Relaxed);
        let endpoint = |address: &SocketAddr| {
            json!({ "endpoint": { "address": { "socket_address": {
                "address": address.ip(), "port_value": address.port(),
            } } } })
        };
        let endpoints: Vec<Value> = runtimes.iter().map(endpoint).collect();
        let response = json!({ "version_info": version.to_string(), "resources": [{
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "runtimes",
            "endpoints": [{ "lb_endpoints": endpoints }],
        }] });
        let written = self.file.with_extension("new");
        std::fs::write(&written, response.to_string())?;
        std::fs::rename(&written, &self.file)?;
        Ok(())
    }
}
