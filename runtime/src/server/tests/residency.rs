//! Loading, refusing and commanding, over REST and gRPC.

use super::*;
use crate::formats::sklearn::SklearnFormat;
use crate::proto::model_infer_request::InferInputTensor;
use crate::proto::model_repository_parameter::ParameterChoice;
use crate::proto::{
    InferTensorContents, ModelInferRequest, ModelReadyRequest, ModelRepositoryParameter, RepositoryIndexRequest,
    RepositoryModelLoadRequest, RepositoryModelUnloadRequest,
};
use crate::{Mode, ResidencyOptions};
use std::path::Path;
use tempfile::TempDir;
use tonic::Code;

const IRIS: &str = r#"{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2]}]}"#;

fn iris() -> ModelInferRequest {
    let contents = InferTensorContents { fp32_contents: vec![5.1, 3.5, 1.4, 0.2], ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![1, 4],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    ModelInferRequest { model_name: "iris".to_owned(), inputs: vec![input], ..ModelInferRequest::default() }
}

/// Two models of scikit-learn, one of them broken.
fn models(options: ResidencyOptions) -> (TempDir, Catalogue) {
    let folder = TempDir::new().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sklearn/variants/big-endian.joblib");
    std::fs::copy(data, folder.path().join("iris.joblib")).unwrap();
    std::fs::write(folder.path().join("bad.joblib"), "rubbish").unwrap();
    let options = ResidencyOptions { poll_interval: None, ..options };
    let catalogue = Catalogue::open(folder.path(), vec![Arc::new(SklearnFormat::default())], options).unwrap();
    (folder, catalogue)
}

#[tokio::test]
async fn a_model_is_loaded_by_the_first_request_and_by_nothing_else() {
    let (_folder, catalogue) = models(ResidencyOptions { memory: 1 << 20, ..ResidencyOptions::default() });
    let server = start_with(catalogue, &Options::default()).await;
    let mut grpc = server.grpc().await;
    assert_eq!(server.get("/v2/models/iris/ready").await.json(), json!({"name": "iris", "ready": true}));
    let ready = ModelReadyRequest { name: "iris".to_owned(), ..ModelReadyRequest::default() };
    assert!(grpc.model_ready(ready).await.unwrap().into_inner().ready);
    let index = || async { server.post("/v2/repository/index", "").await.json() };
    assert_eq!(
        index().await,
        json!([{"name": "bad", "state": "UNAVAILABLE", "reason": "unloaded"},
               {"name": "iris", "state": "UNAVAILABLE", "reason": "unloaded"}])
    );
    assert_eq!(server.post("/v2/models/iris/infer", IRIS).await.status, 200);
    assert_eq!(index().await[1], json!({"name": "iris", "state": "READY"}));
    assert_eq!(server.post("/v2/models/bad/infer", IRIS).await.status, 429);
    let failed = index().await[0].clone();
    assert_eq!((&failed["name"], &failed["state"]), (&json!("bad"), &json!("UNAVAILABLE")));
    let ready = server.get("/v2/models/bad/ready").await.json();
    assert_eq!(ready["error"], json!(format!("model 'bad' failed to load: {}", failed["reason"].as_str().unwrap())));
    // For people and scripts who only look.
    let looked = server.get("/v2/repository/index").await;
    assert_eq!((looked.status, looked.json()), (200, index().await));
    let metrics = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "modelway_memory_budget_bytes 1048576",
        "modelway_resident_bytes 2293",
        "modelway_model_resident_bytes{model=\"iris\",version=\"\"} 2293",
        "modelway_model_load_seconds_count 1",
        "modelway_load_queue_length 0",
        "modelway_loads_in_progress 0",
        "modelway_models{state=\"failed\"} 1",
        "modelway_refusals_total{reason=\"no-room\"} 0",
        "modelway_refusals_total{reason=\"load-failed\"} 1",
    ] {
        assert!(metrics.lines().any(|written| written == line), "{line} is not in\n{metrics}");
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_here_is_refused_so_that_another_server_is_tried() {
    let (_folder, catalogue) = models(ResidencyOptions { memory: 100, ..ResidencyOptions::default() });
    let server = start_with(catalogue, &Options::default()).await;
    let mut grpc = server.grpc().await;
    for (model, reason) in [("bad", "load-failed"), ("iris", "too-large")] {
        let answer = server.post(&format!("/v2/models/{model}/infer"), IRIS).await;
        assert_eq!((answer.status, answer.header("x-modelway-refused")), (429, reason), "{}", answer.error());
        let request = ModelInferRequest { model_name: model.to_owned(), ..iris() };
        let status = grpc.model_infer(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get("x-modelway-refused").unwrap(), reason);
        // A stream that the gateway has sent here is refused before it begins.
        let mut stream = tonic::Request::new(futures_util::stream::iter([request]));
        stream.metadata_mut().insert("x-modelway-target", model.parse().unwrap());
        let status = grpc.model_stream_infer(stream).await.unwrap_err();
        assert_eq!(status.metadata().get("x-modelway-refused").unwrap(), reason);
    }
    let ready = server.get("/v2/models/bad/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.json()["error"].as_str().unwrap().starts_with("model 'bad' failed to load: "));
    server.stopped().await;
}

#[tokio::test]
async fn models_come_and_go_by_commands_over_both_protocols() {
    let options = ResidencyOptions { mode: Mode::Explicit, memory: 1 << 20, ..ResidencyOptions::default() };
    let (_folder, catalogue) = models(options);
    let server = start_with(catalogue, &Options::default()).await;
    let mut grpc = server.grpc().await;
    assert_eq!(server.post("/v2/models/iris/infer", IRIS).await.status, 404);
    assert_eq!(server.get("/v2/models/iris/ready").await.status, 503);
    assert_eq!(grpc.model_infer(iris()).await.unwrap_err().code(), Code::NotFound);

    let pin = r#"{"parameters": {"pin": true, "of another server": 1}}"#;
    assert_eq!(server.post("/v2/repository/models/iris/load", pin).await.status, 200);
    assert!(grpc.model_infer(iris()).await.unwrap().metadata().contains_key("x-modelway-served"));
    let ready = || RepositoryIndexRequest { ready: true, ..RepositoryIndexRequest::default() };
    let rows = grpc.repository_index(ready()).await.unwrap().into_inner().models;
    assert_eq!(rows.iter().map(|row| (row.name.as_str(), row.state.as_str())).collect::<Vec<_>>(), [("iris", "READY")]);
    let unload = |name: &str| RepositoryModelUnloadRequest { model_name: name.to_owned(), ..Default::default() };
    grpc.repository_model_unload(unload("iris")).await.unwrap();
    assert!(grpc.repository_index(ready()).await.unwrap().into_inner().models.is_empty());
    assert_eq!(grpc.repository_model_unload(unload("nope")).await.unwrap_err().code(), Code::NotFound);

    let load = |name: &str, choice| RepositoryModelLoadRequest {
        model_name: name.to_owned(),
        parameters: [("pin".to_owned(), ModelRepositoryParameter { parameter_choice: Some(choice) })].into(),
        ..Default::default()
    };
    grpc.repository_model_load(load("iris", ParameterChoice::BoolParam(false))).await.unwrap();
    assert_eq!(server.post("/v2/models/iris/infer", IRIS).await.status, 200);
    let status = grpc.repository_model_load(load("iris", ParameterChoice::Int64Param(1))).await.unwrap_err();
    assert_eq!(status.message(), "the parameter 'pin' is true or false");
    let status = grpc.repository_model_load(load("bad", ParameterChoice::BoolParam(false))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(server.post("/v2/repository/models/bad/load", "").await.status, 400);
    assert_eq!(server.post("/v2/repository/models/iris/unload", "{}").await.status, 200);
    server.stopped().await;
}
