//! The program, running.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use modelway::runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use tempfile::NamedTempFile;
use tonic::transport::{Channel, Endpoint};

/// `text-labeller serve`, killed when dropped.
pub(crate) struct Process {
    process: Child,
    pub(crate) address: SocketAddr,
}

/// The program, without what the one who runs the tests has set for `serve`.
pub(crate) fn text_labeller() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_text-labeller"));
    let is_for_serve = |name: &OsString| {
        let name = name.to_string_lossy();
        (name.starts_with("MODELWAY_") && name != "MODELWAY_FILTER" && name != "MODELWAY_ENVOY")
            || name.starts_with("MLSERVER_")
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_for_serve(name)) {
        command.env_remove(name);
    }
    command
}

// === impl Process ===

impl Process {
    /// Serves these models on a port of its own choice.
    pub(crate) fn serve(models: &Path, arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().expect("a file");
        let mut command = text_labeller();
        command.args(["serve", "--port", "0", "--models"]).arg(models).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.reopen().expect("a file"));
        let mut process = command.spawn().expect("it runs");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let Some(address) = address else {
            let _ = process.kill();
            let _ = process.wait();
            panic!("it said '{line}': {}", std::fs::read_to_string(log.path()).unwrap_or_default());
        };
        Self { process, address }
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        endpoint.connect().await.expect("it answers")
    }

    pub(crate) async fn grpc(&self) -> GrpcInferenceServiceClient<Channel> {
        GrpcInferenceServiceClient::new(self.channel().await)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
