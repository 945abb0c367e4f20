//! Envoy: its configuration in a folder, its addresses once it listens, its answers once it routes.

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tokio::process::Command;

use super::probe::{self, until_deadline};
use super::programs::Programs;
use crate::mesh_file::{self, Mesh};
use crate::render::envoy::{LISTENER, Servers, configuration};

/// An Envoy with its bootstrap written.
pub(crate) struct Gateway {
    envoy: Command,
    bootstrap: PathBuf,
    /// Where Envoy writes the address of its admin interface.
    admin_address_file: PathBuf,
    concurrency: u16,
    addresses: Option<Addresses>,
}

/// Where Envoy listens.
struct Addresses {
    gateway: SocketAddr,
    admin: SocketAddr,
}

/// Refuses a port that somebody holds, before anything is started.
pub(crate) fn check_port(gateway: &mesh_file::Gateway) -> anyhow::Result<()> {
    let address = SocketAddr::new(gateway.address, gateway.port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => bail!(
            "port {port} of {} is in use; stop what listens there (`ss -ltnp 'sport = :{port}'` names it), \
             or choose another with --port or `deployment.gateway.port` in the mesh file (0: any that is free)",
            gateway.address,
            port = gateway.port,
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}, `deployment.gateway`")),
    }
}

// === impl Gateway ===

impl Gateway {
    /// Writes the bootstrap into `folder`.
    pub(crate) fn new(
        mesh: &Mesh,
        programs: &Programs,
        runtimes: &[SocketAddr],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let file = folder.join("envoy.yaml");
        let text = configuration(mesh, &Servers::runtimes(runtimes), &programs.filter);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self {
            envoy: programs.envoy(),
            bootstrap: file,
            admin_address_file: folder.join("admin-address"),
            concurrency: mesh.deployment.gateway.concurrency.get(),
            addresses: None,
        })
    }

    /// The command that starts it.
    pub(crate) fn command(&mut self, verbose: bool) -> Command {
        let mut command = std::mem::replace(&mut self.envoy, Command::new("envoy"));
        command.arg("--config-path").arg(&self.bootstrap);
        command.arg("--admin-address-path").arg(&self.admin_address_file);
        command.args(["--concurrency", &self.concurrency.to_string()]);
        // Several meshes on one machine would otherwise share memory for restarts that none of them does.
        command.arg("--disable-hot-restart");
        command.args(["--log-level", if verbose { "info" } else { "warning" }]);
        command
    }

    /// Waits until Envoy is live and tells where it listens.
    pub(crate) async fn listen(&mut self) -> anyhow::Result<()> {
        let file = self.admin_address_file.clone();
        let addresses = until_deadline("envoy starts", async || {
            let text = tokio::fs::read_to_string(&file).await.context("it has not told its admin address yet")?;
            let admin: SocketAddr = text.trim().parse().context("its admin address is half written")?;
            let ready = probe::get(admin, "/ready").await?;
            if !ready.is_ok() {
                bail!("it is not ready: {ready}");
            }
            let listeners = probe::get(admin, "/listeners?format=json").await?;
            let gateway = listener_address(&listeners.body)?;
            Ok(Addresses { gateway, admin })
        });
        self.addresses = Some(addresses.await?);
        Ok(())
    }

    /// Waits until REST and gRPC calls reach the runtimes through the filter, and every model is ready.
    pub(crate) async fn answers(&self, models: &[String]) -> anyhow::Result<()> {
        let address = self.addresses.as_ref().context("the gateway does not listen yet")?.gateway;
        until_deadline("the gateway answers", async || {
            let answer = probe::get(address, "/v2/health/ready").await?;
            if answer.is_ok() { Ok(()) } else { Err(anyhow!("{answer}")) }
        })
        .await?;
        for model in models {
            until_deadline(&format!("model {model} is ready"), async || probe::model_is_ready(address, model).await)
                .await?;
        }
        Ok(())
    }

    pub(crate) fn url(&self) -> String {
        self.addresses.as_ref().map(|addresses| format!("http://{}", addresses.gateway)).unwrap_or_default()
    }

    pub(crate) fn admin_url(&self) -> String {
        self.addresses.as_ref().map(|addresses| format!("http://{}", addresses.admin)).unwrap_or_default()
    }
}

/// Our listener's address in the answer of Envoy's `/listeners?format=json`.
fn listener_address(listeners: &[u8]) -> anyhow::Result<SocketAddr> {
    let listeners: Value = serde_json::from_slice(listeners)?;
    let statuses = listeners["listener_statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = statuses.iter().find(|status| status["name"] == LISTENER);
    let address = &ours.context("it has no listener yet")?["local_address"]["socket_address"];
    let port = address["port_value"].as_u64().and_then(|port| u16::try_from(port).ok()).context("no port")?;
    let ip = address["address"].as_str().context("no address")?.parse()?;
    Ok(SocketAddr::new(ip, port))
}
