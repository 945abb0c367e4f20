//! ModelMesh's own side: the interface `mmesh.ModelRuntime`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use modelway_runtime::modelmesh_proto::model_runtime_client::ModelRuntimeClient;
use modelway_runtime::modelmesh_proto::runtime_status_response::Status as State;
use modelway_runtime::modelmesh_proto::{
    LoadModelRequest, ModelSizeRequest, PredictModelSizeRequest, RuntimeStatusRequest, RuntimeStatusResponse,
    UnloadModelRequest,
};
use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::{ModelInferResponse, ModelReadyRequest, RepositoryModelUnloadRequest};
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::digits::{ID, code, digits, expected, found, infer, infer_request};
use crate::process::{LARGEST_MESSAGE, PATIENCE, Process, data, over_socket};
use crate::slow_file::{self, Writer};

/// The runtime's process, and what ModelMesh has of it.
struct Runtime {
    process: Process,
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
        let process = Process::start(command, 1);
        let data = process.data(0).await;
        Self { process, spi: ModelRuntimeClient::new(over_socket(&socket).await), data, folder }
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
        infer(&self.data, id, rows).await
    }

    async fn metric(&self, name: &str) -> f64 {
        self.process.metric(name).await
    }
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
    assert_eq!(found(&response), expected(100));
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
    let path = runtime.folder.path().join("slow.joblib");
    slow_file::make(&path);
    let load = tokio::time::timeout(Duration::from_millis(300), runtime.load(ID, &path));
    load.await.expect_err("it should still be loading");
    // ModelMesh waits a while and unloads.
    let writer = Writer::start(path, &digits("linear.joblib"));
    runtime.unload(ID).await.expect("it was there");
    runtime.process.until_metric_is("modelway_loads_in_progress", 0.0).await;
    writer.stop();
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
    let id = MetadataValue::from_bytes(ID.as_bytes());
    request.metadata_mut().insert_bin("mm-model-id-bin", id);
    let response = runtime.data.clone().model_infer(request).await.expect("an answer");
    assert_eq!(response.into_inner().model_name, ID);
}

#[tokio::test]
async fn an_id_may_be_any_text() {
    let runtime = Runtime::start(&[]).await;
    for id in ["größe__isvc-0a1b2c3d4e", "模型/7 b%", "a\u{0301}\u{1f980}__ksp-5c5315c302"] {
        runtime.load(id, &digits("linear.joblib")).await.expect("it loads");
        // ModelMesh sends it beside the message, too, in a form that can carry it.
        let mut request = Request::new(infer_request(id, 1));
        request.metadata_mut().insert_bin("mm-model-id-bin", MetadataValue::from_bytes(id.as_bytes()));
        let response = runtime.data.clone().model_infer(request).await.expect("an answer");
        assert!(response.metadata().contains_key("x-modelway-served"), "ModelMesh hands on what comes first");
        assert_eq!(response.into_inner().model_name, id);
        runtime.unload(id).await.expect("it unloads");
        assert_eq!(code(runtime.infer(id, 1).await), Code::NotFound);
    }
}

#[tokio::test]
async fn a_model_that_somebody_else_unloads_is_not_found_and_can_be_loaded_again() {
    let runtime = Runtime::start(&[]).await;
    let path = digits("rbf.joblib");
    runtime.load(ID, &path).await.expect("it loads");
    let unload = RepositoryModelUnloadRequest { model_name: ID.to_owned(), ..RepositoryModelUnloadRequest::default() };
    runtime.data.clone().repository_model_unload(unload).await.expect("it unloads");
    // From this ModelMesh learns it, and loads it again here or elsewhere.
    assert_eq!(code(runtime.infer(ID, 1).await), Code::NotFound);
    assert_eq!(code(runtime.size(ID).await), Code::NotFound);
    runtime.load(ID, &path).await.expect("it loads again");
    assert_eq!(found(&runtime.infer(ID, 3).await.expect("an answer")), expected(3));
    runtime.unload(ID).await.expect("it unloads");
    assert_eq!(runtime.metric("modelway_resident_bytes").await, 0.0);
}

#[tokio::test]
async fn a_request_that_is_wrong_does_not_look_like_a_model_that_is_gone() {
    let runtime = Runtime::start(&[]).await;
    runtime.load(ID, &digits("linear.joblib")).await.expect("it loads");
    let mut of_a_version = infer_request(ID, 1);
    of_a_version.model_version = "7".to_owned();
    let mut of_other_features = infer_request(ID, 1);
    of_other_features.inputs.first_mut().expect("an input").shape = vec![1, 8];
    let mut without_inputs = infer_request(ID, 1);
    without_inputs.inputs.clear();
    without_inputs.raw_input_contents.clear();
    for request in [of_a_version, of_other_features, without_inputs] {
        let refused = runtime.data.clone().model_infer(request).await.expect_err("it is wrong");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        // What MLServer says of a model that is not loaded, by which ModelMesh would load it again.
        let looks_gone = refused.message().starts_with("Model ") && refused.message().ends_with(" not found");
        assert!(!looks_gone, "{refused}");
    }
    runtime.infer(ID, 1).await.expect("it is still there");
}

#[tokio::test]
async fn management_and_requests_may_have_a_port_each() {
    let folder = TempDir::new().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
    command.args(["serve", "--modelmesh", "--port=0", "--port=0", "--models"]).arg(folder.path());
    let process = Process::start(command, 2);
    let mut management = ModelRuntimeClient::new(process.channel(0).await);
    let ready = management.runtime_status(RuntimeStatusRequest {}).await.expect("a status").into_inner();
    assert_eq!(ready.status(), State::Ready);
    management.load_model(load_request(ID, &digits("rbf.joblib"))).await.expect("it loads");
    assert_eq!(found(&infer(&process.data(1).await, ID, 5).await.expect("an answer")), expected(5));
}

#[tokio::test]
async fn one_socket_may_be_for_both() {
    let runtime = Runtime::start(&[]).await;
    runtime.load(ID, &digits("rbf.joblib")).await.expect("it loads");
    let data = data(over_socket(&runtime.folder.path().join("modelmesh.sock")).await);
    assert_eq!(found(&infer(&data, ID, 5).await.expect("an answer")), expected(5));
}

#[tokio::test]
async fn a_modelmesh_that_starts_again_ends_what_the_one_before_was_loading() {
    let runtime = Runtime::start(&[]).await;
    runtime.load(ID, &digits("linear.joblib")).await.expect("it loads");
    let path = runtime.folder.path().join("slow.joblib");
    slow_file::make(&path);
    let (mut spi, request) = (runtime.spi.clone(), load_request("slow", &path));
    let load = tokio::spawn(async move { spi.load_model(request).await });
    runtime.process.until_metric_is("modelway_loads_in_progress", 1.0).await;
    assert_eq!(runtime.status().await.status(), State::Starting);
    let refused = load.await.expect("no panic").expect_err("it is given up");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let writer = Writer::start(path, &digits("linear.joblib"));
    runtime.until_ready().await;
    writer.stop();
    runtime.process.until_metric_is("modelway_resident_bytes", 0.0).await;
    for id in [ID, "slow"] {
        assert_eq!(code(runtime.size(id).await), Code::NotFound);
    }
}

#[tokio::test]
async fn no_more_loads_run_at_once_than_modelmesh_was_told() {
    let runtime = Runtime::start(&["--loads-at-once", "2"]).await;
    let paths: Vec<PathBuf> = (0..4).map(|number| runtime.folder.path().join(format!("{number}.joblib"))).collect();
    for path in &paths {
        slow_file::make(path);
    }
    let loads = paths.iter().map(|path| {
        let (mut spi, request) = (runtime.spi.clone(), load_request(&path.display().to_string(), path));
        tokio::spawn(async move { spi.load_model(request).await })
    });
    let loads: Vec<_> = loads.collect();
    runtime.process.until_metric_is("modelway_load_queue_length", 2.0).await;
    assert_eq!(runtime.metric("modelway_loads_in_progress").await, 2.0);
    let writers: Vec<_> = paths.into_iter().map(|path| Writer::start(path, &digits("linear.joblib"))).collect();
    for load in loads {
        load.await.expect("no panic").expect("it loads");
    }
    writers.into_iter().for_each(Writer::stop);
}
