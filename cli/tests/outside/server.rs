//! The runtime's process, with a model.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::model_infer_request::InferInputTensor;
use modelway_runtime::proto::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use modelway_tests::client;
use modelway_tests::gateway::{Message, Request};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tonic::Status;
use tonic::transport::Endpoint;

use super::until;

const MODEL: &str = "../tests/data/sklearn/digits/linear.joblib";
/// A digit's pixels.
const PIXELS: usize = 64;

/// A server with the model `digits` and the broken one `bad`.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

// === impl Server ===

impl Server {
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let models = folder.path().join("models");
        std::fs::create_dir(&models).expect("a folder");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join(MODEL);
        std::fs::copy(model, models.join("digits.joblib")).expect("a model");
        std::fs::write(models.join("bad.joblib"), "rubbish").expect("a broken model");
        let log = std::fs::File::create(folder.path().join("log")).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
        command.args(["serve", "--port", "0", "--models"]).arg(&models).args(arguments);
        // Whatever whoever runs this test has set up.
        for name in std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().expect("modelway runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.split(' ').nth(2).and_then(|it| it.parse().ok());
        let server = Self { process, address: address.unwrap_or_else(|| panic!("{line}")), folder };
        until("a ready server", async || server.log().lines().any(|line| line.ends_with("in_memory=0")).then_some(()))
            .await;
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// An inference by REST.
    pub(crate) async fn rest(&self, model: &str, headers: &[(&str, &str)]) -> Message {
        client::send(self.address, rest(model, headers)).await.expect("an answer")
    }

    /// An inference by gRPC.
    pub(crate) async fn grpc(
        &self,
        model: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<ModelInferResponse, Status> {
        grpc(self.address, model, headers).await.map(tonic::Response::into_inner)
    }

    /// Asks it to stop, and returns its whole log.
    pub(crate) async fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
        until("the end", async || self.process.try_wait().expect("a state")).await;
        self.log()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn rest(model: &str, headers: &[(&str, &str)]) -> Request {
    let input = json!({"name": "x", "shape": [1, PIXELS], "datatype": "FP32", "data": vec![0.0; PIXELS]});
    let body = json!({"inputs": [input]}).to_string();
    let request = Request::post(&format!("/v2/models/{model}/infer"), body);
    headers.iter().fold(request, |request, (name, value)| request.header(name, value))
}

pub(crate) async fn grpc(
    address: SocketAddr,
    model: &str,
    headers: &[(&'static str, &str)],
) -> Result<tonic::Response<ModelInferResponse>, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    let mut client = GrpcInferenceServiceClient::new(endpoint.connect().await.expect("it answers"));
    let contents = InferTensorContents { fp32_contents: vec![0.0; PIXELS], ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 64],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    let message =
        ModelInferRequest { model_name: model.to_owned(), inputs: vec![input], ..ModelInferRequest::default() };
    let mut request = tonic::Request::new(message);
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().expect("ASCII"));
    }
    client.model_infer(request).await
}
