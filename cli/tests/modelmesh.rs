//! ModelMesh as `modelway serve --modelmesh` meets it: the calls that it makes, in its order and with its mistakes.
//! ModelMesh itself is Java and wants etcd and Kubernetes, so it is simulated; the runtime is the real process.

// Clippy knows only `#[test]` functions as tests, not what they call.
#![allow(clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use modelway_runtime::modelmesh_proto::model_runtime_client::ModelRuntimeClient;
use modelway_runtime::modelmesh_proto::runtime_status_response::Status as State;
use modelway_runtime::modelmesh_proto::{
    LoadModelRequest, ModelSizeRequest, PredictModelSizeRequest, RuntimeStatusRequest, RuntimeStatusResponse,
    UnloadModelRequest,
};
use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::model_infer_request::InferInputTensor;
use modelway_runtime::proto::{ModelInferRequest, ModelInferResponse, ModelReadyRequest};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const DIGITS: &str = "../tests/data/sklearn/digits";
/// As ModelMesh names a model.
const ID: &str = "digits__isvc-5c5315c302";
/// ModelMesh's limit by default.
const LARGEST_MESSAGE: usize = 16 << 20;

/// The runtime's process, and what ModelMesh has of it.
struct Runtime {
    process: Child,
    address: SocketAddr,
    spi: ModelRuntimeClient<Channel>,
    data: GrpcInferenceServiceClient<Channel>,
    folder: TempDir,
}

// === impl Runtime ===

impl Runtime {
    /// The interface over the socket, requests over the port.
    async fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let socket = folder.path().join("modelmesh.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
        command.args(["serve", "--modelmesh", "--port", "0", "--models"]).arg(folder.path());
        command.arg("--socket").arg(&socket).args(arguments);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("modelway runs");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.split(' ').nth(2).and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let data = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await;
        let data = GrpcInferenceServiceClient::new(data.expect("the port answers"));
        Self {
            process,
            address,
            spi: ModelRuntimeClient::new(over_socket(&socket).await),
            data: data.max_encoding_message_size(LARGEST_MESSAGE).max_decoding_message_size(LARGEST_MESSAGE),
            folder,
        }
    }

    async fn status(&self) -> RuntimeStatusResponse {
        self.spi.clone().runtime_status(RuntimeStatusRequest {}).await.expect("a status").into_inner()
    }

    /// Polls as ModelMesh does, but faster; how often it was starting, and what it said when it was ready.
    async fn until_ready(&self) -> (usize, RuntimeStatusResponse) {
        let deadline = Instant::now() + PATIENCE;
        let mut starting = 0;
        loop {
            let status = self.status().await;
            if status.status() == State::Ready {
                return (starting, status);
            }
            assert_eq!(status.status(), State::Starting);
            assert!(Instant::now() < deadline, "it never became ready");
            starting += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn load(&self, id: &str, path: &Path) -> Result<u64, Status> {
        self.spi.clone().load_model(load_request(id, path)).await.map(|response| response.into_inner().size_in_bytes)
    }

    async fn unload(&self, id: &str) -> Result<(), Status> {
        self.spi.clone().unload_model(UnloadModelRequest { model_id: id.to_owned() }).await.map(drop)
    }

    async fn size(&self, id: &str) -> Result<u64, Status> {
        let response = self.spi.clone().model_size(ModelSizeRequest { model_id: id.to_owned() }).await;
        response.map(|response| response.into_inner().size_in_bytes)
    }

    async fn infer(&self, id: &str, rows: usize) -> Result<ModelInferResponse, Status> {
        self.data.clone().infer(Request::new(infer_request(id, rows))).await
    }

    /// A number of the metrics page.
    async fn metric(&self, name: &str) -> f64 {
        let address = self.address;
        let name = format!("{name} ");
        let page = tokio::task::spawn_blocking(move || {
            let mut stream = std::net::TcpStream::connect(address).expect("the port answers");
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").expect("it reads");
            std::io::read_to_string(stream).expect("a page")
        });
        let page = page.await.expect("a page");
        let line = page.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).trim().parse().expect("a number")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the generated client says, in one word.
trait Infer {
    async fn infer(&mut self, request: Request<ModelInferRequest>) -> Result<ModelInferResponse, Status>;
}

impl Infer for GrpcInferenceServiceClient<Channel> {
    async fn infer(&mut self, request: Request<ModelInferRequest>) -> Result<ModelInferResponse, Status> {
        self.model_infer(request).await.map(tonic::Response::into_inner)
    }
}

async fn over_socket(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let deadline = Instant::now() + PATIENCE;
    loop {
        match endpoint.connect_with_connector(connect.clone()).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "the socket does not answer: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn digits(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(DIGITS).join(name).canonicalize().expect("a fixture")
}

/// As it comes from ModelMesh's puller.
fn load_request(id: &str, path: &Path) -> LoadModelRequest {
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    LoadModelRequest {
        model_id: id.to_owned(),
        model_type: "mt:sklearn:0".to_owned(),
        model_path: path.display().to_string(),
        model_key: format!(r#"{{"model_type":{{"name":"sklearn","version":"0"}},"disk_size_bytes":{size}}}"#),
    }
}

/// Rows of digits, from the first.
fn infer_request(id: &str, rows: usize) -> ModelInferRequest {
    let pictures = std::fs::read(digits("pictures.u8")).expect("the pictures");
    let values = pictures.iter().cycle().take(rows * 64);
    let input = InferInputTensor {
        name: "predict".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![i64::try_from(rows).expect("few rows"), 64],
        ..InferInputTensor::default()
    };
    let raw: Vec<u8> = values.flat_map(|value| f32::from(*value).to_le_bytes()).collect();
    ModelInferRequest {
        model_name: id.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    }
}

/// The digits that were found.
fn found(response: &ModelInferResponse) -> Vec<i64> {
    let raw = response.raw_output_contents.first().expect("an output");
    raw.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
}

/// Fails where nobody reads.
fn write_to_pipe(path: &Path, mut bytes: &[u8]) -> std::io::Result<()> {
    /// Linux's `O_NONBLOCK`.
    const NONBLOCK: i32 = 0o4000;
    let mut pipe = std::fs::File::options().write(true).custom_flags(NONBLOCK).open(path)?;
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn code<T: std::fmt::Debug>(result: Result<T, Status>) -> Code {
    result.expect_err("it should fail").code()
}

#[tokio::test]
async fn polling_ends_with_what_modelmesh_checks() {
    let runtime = Runtime::start(&["--memory", "600MB", "--loads-at-once", "3", "--load-timeout", "45s"]).await;
    let (_, ready) = runtime.until_ready().await;
    assert_eq!(ready.capacity_in_bytes, 600_000_000);
    assert_eq!((ready.max_loading_concurrency, ready.model_loading_timeout_ms), (3, 45_000));
    // Otherwise ModelMesh does not start.
    let least = (2 * ready.default_model_size_in_bytes).max(10 * ready.default_model_size_in_bytes);
    assert!(ready.capacity_in_bytes >= least && ready.default_model_size_in_bytes >= 8192);
    assert!(!ready.runtime_version.is_empty());
    assert!(!ready.allow_any_method && !ready.limit_model_concurrency);
    for method in ["ModelInfer", "ModelMetadata", "ModelReady"] {
        let info = ready.method_infos.get(&format!("inference.GRPCInferenceService/{method}"));
        assert_eq!(info.expect(method).id_injection_path, [1]);
    }
}

#[tokio::test]
async fn a_model_is_loaded_asked_by_its_id_and_unloaded() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    assert_eq!(code(runtime.infer(ID, 1).await), Code::NotFound);
    assert_eq!(code(runtime.size(ID).await), Code::NotFound);

    let path = digits("rbf.joblib");
    let size = runtime.load(ID, &path).await.expect("it loads");
    assert!(size > 100_000, "{size} bytes");
    assert_eq!(runtime.size(ID).await.expect("a size"), size);
    let response = runtime.infer(ID, 100).await.expect("an answer");
    assert_eq!(response.model_name, ID, "the id that was injected is echoed");
    let expected = std::fs::read(digits("rbf.predict.u8")).expect("the predictions");
    let expected: Vec<i64> = expected.iter().take(100).map(|digit| i64::from(*digit)).collect();
    assert_eq!(found(&response), expected);
    let asked = ModelReadyRequest { name: ID.to_owned(), version: String::new() };
    let ready = runtime.data.clone().model_ready(asked).await.expect("an answer");
    assert!(ready.into_inner().ready);

    runtime.unload(ID).await.expect("it unloads");
    assert_eq!(runtime.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(code(runtime.infer(ID, 1).await), Code::NotFound);
    // ModelMesh takes that for success.
    assert_eq!(code(runtime.unload(ID).await), Code::NotFound);
}

#[tokio::test]
async fn a_modelmesh_that_starts_again_finds_nothing_loaded() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    for number in 0..5 {
        runtime.load(&format!("{ID}-{number}"), &digits("linear.joblib")).await.expect("it loads");
    }
    let (starting, _) = runtime.until_ready().await;
    assert!(starting > 0, "it was ready with models in memory");
    for number in 0..5 {
        assert_eq!(code(runtime.size(&format!("{ID}-{number}")).await), Code::NotFound);
    }
    assert_eq!(runtime.metric("modelway_resident_bytes").await, 0.0);
}

#[tokio::test]
async fn a_load_that_is_cancelled_and_unloaded_leaves_nothing() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    // Reading it waits until somebody writes.
    let path = runtime.folder.path().join("slow.joblib");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    let load = tokio::time::timeout(Duration::from_millis(300), runtime.load(ID, &path));
    load.await.expect_err("it should still be loading");
    // ModelMesh waits a while and unloads.
    let (ended, until) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let model = std::fs::read(digits("linear.joblib")).expect("a model");
        // For whoever opens it, as often as that is done.
        while until.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
            let _ = write_to_pipe(&path, &model);
        }
    });
    runtime.unload(ID).await.expect("it was there");
    let deadline = Instant::now() + PATIENCE;
    while runtime.metric("modelway_loads_in_progress").await > 0.0 {
        assert!(Instant::now() < deadline, "the load never ended");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ended.send(()).expect("the writer waits for it");
    writer.join().expect("it wrote");
    assert_eq!(code(runtime.size(ID).await), Code::NotFound);
    assert_eq!(runtime.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(runtime.status().await.status(), State::Ready, "nothing is left to be purged");
    runtime.load(ID, &digits("linear.joblib")).await.expect("the id can be loaded again");
}

#[tokio::test]
async fn loads_of_one_id_at_once_are_one_load() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    let path = digits("poly.joblib");
    let loads = (0..8).map(|_| runtime.load(ID, &path));
    let sizes = futures_util::future::join_all(loads).await;
    let sizes: Vec<u64> = sizes.into_iter().map(|size| size.expect("it loads")).collect();
    assert!(sizes.windows(2).all(|pair| matches!(pair, [one, other] if one == other)), "{sizes:?}");
    assert_eq!(runtime.metric("modelway_resident_bytes").await, sizes[0] as f64);
}

#[tokio::test]
async fn loads_and_unloads_of_one_id_may_race() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    let path = digits("linear.joblib");
    for _ in 0..30 {
        let (load, unload) = tokio::join!(runtime.load(ID, &path), runtime.unload(ID));
        assert!(load.is_ok() || code(load) == Code::Unavailable);
        assert!(unload.is_ok() || code(unload) == Code::NotFound);
        match runtime.infer(ID, 1).await {
            Ok(response) => assert_eq!(found(&response), [0]),
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status}"),
        }
    }
    let _ = runtime.unload(ID).await;
    assert_eq!(runtime.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(runtime.status().await.status(), State::Ready);
}

#[tokio::test]
async fn without_room_a_load_fails_and_what_is_loaded_stays() {
    let path = digits("rbf.joblib");
    let size = {
        let runtime = Runtime::start(&[]).await;
        runtime.load("probe", &path).await.expect("it loads")
    };
    let runtime = Runtime::start(&["--memory", &(size * 5 / 2).to_string()]).await;
    runtime.load("a", &path).await.expect("the first");
    runtime.load("b", &path).await.expect("the second");
    let refused = runtime.load("c", &path).await.expect_err("there is no room for a third");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(code(runtime.infer("c", 1).await), Code::NotFound);
    for id in ["a", "b"] {
        runtime.infer(id, 1).await.expect("what was loaded stays");
    }
    runtime.unload("a").await.expect("it unloads");
    runtime.load("c", &path).await.expect("there is room now");
}

#[tokio::test]
async fn what_cannot_be_loaded_says_why_and_is_no_model() {
    let runtime = Runtime::start(&[]).await;
    runtime.until_ready().await;
    let broken = runtime.folder.path().join("broken.joblib");
    std::fs::write(&broken, b"\x80\x04no pickle").expect("a file");
    for (path, part) in [(broken, "broken.joblib"), (PathBuf::from("gone/model.joblib"), "gone/model.joblib")] {
        let refused = runtime.load(ID, &path).await.expect_err("it cannot be loaded");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(part) || refused.message().contains("pickle"), "{refused}");
        assert_eq!(code(runtime.infer(ID, 1).await), Code::NotFound);
        assert_eq!(code(runtime.unload(ID).await), Code::NotFound);
    }
    let mut of_another_type = load_request(ID, &digits("linear.joblib"));
    of_another_type.model_key = r#"{"model_type":"tensorflow"}"#.to_owned();
    let refused = runtime.spi.clone().load_model(of_another_type).await.expect_err("no such format");
    assert!(refused.message().contains("'tensorflow'") && refused.message().contains("sklearn"), "{refused}");
}

#[tokio::test]
async fn sizes_are_guessed_at_once() {
    let runtime = Runtime::start(&[]).await;
    let path = digits("linear.joblib");
    let on_disk = std::fs::metadata(&path).expect("the file").len();
    let request = |model_path: &Path, model_key: &str| PredictModelSizeRequest {
        model_id: ID.to_owned(),
        model_path: model_path.display().to_string(),
        model_key: model_key.to_owned(),
        ..PredictModelSizeRequest::default()
    };
    let nowhere = Path::new("nowhere");
    for (request, expected) in [
        (request(&path, ""), on_disk * 5 / 4),
        (request(nowhere, r#"{"disk_size_bytes":4000}"#), 5000),
        (request(nowhere, "{}"), 1_000_000),
    ] {
        // ModelMesh waits half a second.
        let mut spi = runtime.spi.clone();
        let predicted = tokio::time::timeout(Duration::from_millis(500), spi.predict_model_size(request)).await;
        assert_eq!(predicted.expect("in time").expect("a guess").into_inner().size_in_bytes, expected);
    }
}

#[tokio::test]
async fn messages_may_be_as_large_as_modelmeshs() {
    let runtime = Runtime::start(&[]).await;
    runtime.load(ID, &digits("linear.joblib")).await.expect("it loads");
    let rows = (LARGEST_MESSAGE - 1000) / 256;
    let response = runtime.infer(ID, rows).await.expect("an answer");
    assert_eq!(found(&response).len(), rows);
}

#[tokio::test]
async fn the_message_names_the_model_whatever_a_gateway_has_decided() {
    let runtime = Runtime::start(&[]).await;
    runtime.load(ID, &digits("linear.joblib")).await.expect("it loads");
    let mut request = Request::new(infer_request(ID, 1));
    for (name, value) in
        [("x-modelway-target", "digits"), ("x-modelway-version", "7"), ("mm-vmodel-id", "digits"), ("mm-model-id", ID)]
    {
        request.metadata_mut().insert(name, value.parse().expect("a value"));
    }
    let id = tonic::metadata::MetadataValue::from_bytes(ID.as_bytes());
    request.metadata_mut().insert_bin("mm-model-id-bin", id);
    let response = runtime.data.clone().infer(request).await.expect("an answer");
    assert_eq!(response.model_name, ID);
}
