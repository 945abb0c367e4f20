//! What `modelway render` writes for clusters, pools and shadows, run by a real Envoy with the built filter.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use modelway_tests::answer::BROKEN_VARIANT;
use modelway_tests::client;
use modelway_tests::envoy::Envoy;
use modelway_tests::examples;
use modelway_tests::gateway::{Message, REQUEST_MARK, Request};
use modelway_tests::host::filter_path;
use modelway_tests::inference::{frame, infer};
use modelway_tests::upstream::Upstream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// An Envoy on what is rendered, with an upstream each for the runtimes, the pool and the cluster.
struct Gateway {
    envoy: Envoy,
    runtimes: Upstream,
    pool: Upstream,
    far: Upstream,
    tokio: Runtime,
    _folder: TempDir,
}

// === impl Gateway ===

impl Gateway {
    fn render(routing: &Value) -> Self {
        let tokio = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let [runtimes, pool, far] = std::array::from_fn(|_| Upstream::start(tokio.handle()).expect("an upstream"));
        let service = |upstream: &Upstream| json!({"host": "127.0.0.1", "port": upstream.address().port()});
        let mesh = json!({
            "apiVersion": "modelway/v1alpha1",
            "routing": routing,
            "deployment": {
                "gateway": {"port": 0, "adminPort": 0},
                "module": {"file": filter_path().canonicalize().expect("the built filter")},
                "service": service(&runtimes),
                "pools": {"gpu": service(&pool)},
                // Which HTTP its server speaks is up to who asks.
                "clusters": {"far": {"host": "127.0.0.1", "port": far.address().port(), "http": "AsClient"}},
            },
        });
        let folder = TempDir::new().expect("a folder");
        let bootstrap = render(folder.path(), &mesh);
        let envoy = Envoy::start_with(tokio.handle(), &bootstrap).expect("Envoy takes what is rendered");
        Self { envoy, runtimes, pool, far, tokio, _folder: folder }
    }

    fn send(&self, request: Request, mark: &str) -> Message {
        let request = request.header(REQUEST_MARK, mark);
        self.tokio.block_on(client::send(self.envoy.address(), request)).expect("an answer")
    }

    /// What an upstream has got whole under this mark; a copy may come after the answer.
    fn wait(&self, upstream: &Upstream, mark: &str) -> Option<Message> {
        let deadline = Instant::now() + Duration::from_secs(2);
        while !upstream.has_all(mark) && Instant::now() < deadline {
            self.tokio.block_on(async { tokio::time::sleep(Duration::from_millis(2)).await });
        }
        upstream.take(mark)
    }
}

fn render(folder: &Path, mesh: &Value) -> std::path::PathBuf {
    let file = folder.join("mesh.yaml");
    std::fs::write(&file, mesh.to_string()).expect("a mesh file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
    let output = command.arg("render").arg(&file).args(["--target", "envoy", "--out"]).arg(folder).output();
    let output = output.expect("modelway runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("envoy.yaml")
}

/// The same call over REST and over gRPC.
fn calls() -> [Request; 2] {
    [Request::post("/v2/models/mnist/infer", r#"{"inputs":[]}"#), Request::grpc(INFER, frame(&infer("mnist", 40)))]
}

fn told(message: &Message, header: &str) -> String {
    message.headers.text(header).unwrap_or_default()
}

fn succeeded(answer: &Message) -> bool {
    let status = answer.trailers.as_ref().and_then(|trailers| trailers.text("grpc-status"));
    answer.headers.get(":status") == Some(b"200") && status.is_none_or(|status| status == "0")
}

#[test]
fn a_shadow_gets_copies_that_name_its_model_and_its_failures_reach_nobody() {
    let mut routing = examples::routing("shadow");
    // A place of its own, so that a copy and its original are told apart.
    routing["models"][0]["variants"][1]["cluster"] = json!("far");
    let gateway = Gateway::render(&routing);
    let mut copies = 0;
    for number in 0..200 {
        let call = calls().into_iter().nth(number % 2).expect("two calls");
        let mark = number.to_string();
        let answer = gateway.send(call.clone().header(BROKEN_VARIANT, "next"), &mark);
        assert!(succeeded(&answer), "the shadow's failure reached the client: {answer:?}");
        assert_eq!(told(&answer, "x-modelway-variant"), "stable");

        let original = gateway.runtimes.take(&mark).expect("the original");
        assert_eq!(told(&original, "x-modelway-target"), "sklearn-mnist-v1");
        // Who is to get a copy is told to the original, too.
        if told(&original, "x-modelway-shadow-variant").is_empty() {
            continue;
        }
        copies += 1;
        let copy = gateway.wait(&gateway.far, &mark).expect("the copy");
        assert_eq!(told(&copy, "x-modelway-target"), "sklearn-mnist-v2");
        assert_eq!(told(&copy, "x-modelway-variant"), "next");
        assert_eq!(told(&copy, ":path"), told(&original, ":path"));
        assert_eq!(copy.body, call.body_bytes(), "the copy has another body");
        let left = copy.headers.iter().filter(|(name, _)| name.starts_with(b"x-modelway-shadow"));
        assert_eq!(left.count(), 0, "{:?}", copy.headers);
    }
    // 25 % of 200; beyond these bounds once in a million runs.
    assert!((22..=84).contains(&copies), "{copies} of 200 were copied");
    let strays = (0..200).filter(|number: &i32| gateway.far.take(&number.to_string()).is_some());
    assert_eq!(strays.count(), 0, "copies of requests that were not to be copied");
}

#[test]
fn a_variant_goes_to_the_cluster_or_the_pool_that_it_names_by_one_generic_route() {
    let mut routing = examples::routing("destinations");
    let variant = &mut routing["models"][0]["variants"][1];
    variant["cluster"] = json!("far");
    let gateway = Gateway::render(&routing);
    for (number, call) in calls().into_iter().enumerate() {
        let mark = format!("stable-{number}");
        assert!(succeeded(&gateway.send(call.clone(), &mark)));
        assert!(gateway.runtimes.take(&mark).is_some(), "{mark} did not reach the runtimes");

        let mark = format!("gpu-{number}");
        assert!(succeeded(&gateway.send(call.header("x-device", "gpu"), &mark)));
        let received = gateway.far.take(&mark).expect("the cluster that the variant names");
        let host = if number == 0 { "host" } else { ":authority" };
        assert_eq!(told(&received, host), "gpu.models.internal");
        assert_eq!(told(&received, "x-gateway-model-name"), "sklearn-mnist-v2");
        assert!(gateway.runtimes.take(&mark).is_none() && gateway.pool.take(&mark).is_none());
    }

    routing["models"][0]["variants"][1].as_object_mut().expect("a variant").remove("cluster");
    let gateway = Gateway::render(&routing);
    for (number, call) in calls().into_iter().enumerate() {
        let mark = format!("pool-{number}");
        assert!(succeeded(&gateway.send(call.header("x-device", "gpu"), &mark)));
        assert!(gateway.pool.take(&mark).is_some(), "{mark} did not reach the pool");
    }
}
