//! `text-labeller up`: two of these runtimes behind a real Envoy with the filter in it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use modelway::runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_tests::gateway::Request;
use modelway_tests::headers::Headers;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tonic::transport::Endpoint;

use crate::grpc::{raw, raw_answer};
use crate::process::text_labeller;
use crate::rest::{ask, ask_json, question};
use crate::tickets::{LABELS, LABELS_OF_V2};

const INFER: &str = "/v2/models/tickets/infer";

/// A mesh that stays until it is dropped.
struct Mesh {
    process: Child,
    gateway: SocketAddr,
}

// === impl Mesh ===

impl Mesh {
    /// The mesh file of this example, on a port that is free.
    fn up() -> Self {
        let mut command = text_labeller();
        // From the root of the repository, where it finds filter and Envoy.
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.args(["up", "--port", "0", "examples/text-labeller/mesh.yaml"]);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let (mut gateway, mut seen) = (None, String::new());
        for line in lines.by_ref() {
            let line = line.expect("text");
            let address =
                line.split_once("gateway at http://").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
            gateway = gateway.or(address);
            seen = format!("{seen}{line}\n");
            if line.contains("ready, through the filter") {
                break;
            }
        }
        // A full pipe would hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        let mesh = Self { process, gateway: gateway.unwrap_or(SocketAddr::from(([0; 4], 0))) };
        assert!(seen.contains("ready, through the filter"), "{seen}");
        mesh
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // It stops what it has started before it ends.
        let told =
            i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).map(|id| kill_process(id, Signal::TERM));
        if !matches!(told, Some(Ok(()))) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn variant(headers: &Headers) -> Option<String> {
    headers.text("x-modelway-variant")
}

#[tokio::test]
async fn the_gateway_chooses_between_two_versions_of_the_rules_over_rest_and_grpc() {
    let mesh = tokio::task::spawn_blocking(Mesh::up).await.expect("it is up");
    let mut seen = Vec::new();
    // A hundred users: the split is their names', so that the same ones always get the same version.
    for user in 0..100 {
        let request = Request::post(INFER, question()).header("x-user-id", format!("user-{user}"));
        let answer = ask(mesh.gateway, request).await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let labels = &body["outputs"][0]["data"];
        let version = variant(&answer.headers).unwrap_or_else(|| panic!("{:?} {body}", answer.headers));
        let expected = if version == "stable" { json!(LABELS) } else { json!(LABELS_OF_V2) };
        assert_eq!(*labels, expected, "user-{user}, {version}");
        seen.push(version);
    }
    let canaries = seen.iter().filter(|version| *version == "canary").count();
    assert!((1..30).contains(&canaries), "{canaries} of 100 users have the canary");

    let beta = Request::post(INFER, question()).header("x-beta", "true");
    assert_eq!(ask_json(mesh.gateway, beta).await["outputs"][0]["data"], json!(LABELS_OF_V2));

    let endpoint = Endpoint::from_shared(format!("http://{}", mesh.gateway)).expect("an address");
    let mut grpc = GrpcInferenceServiceClient::new(endpoint.connect().await.expect("it answers"));
    for (user, version) in seen.iter().enumerate() {
        let mut request = tonic::Request::new(raw("tickets"));
        request.metadata_mut().insert("x-user-id", format!("user-{user}").parse().expect("a value"));
        let response = grpc.model_infer(request).await.expect("an answer").into_inner();
        let expected = if version == "stable" { LABELS } else { LABELS_OF_V2 };
        assert_eq!(raw_answer(&response).0, expected, "user-{user} has {version} over REST");
    }
}
