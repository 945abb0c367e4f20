//! In the place of MLServer, behind ModelMesh's adapter for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use modelway_runtime::Bytes;
use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::model_infer_request::InferInputTensor;
use modelway_runtime::proto::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelMetadataResponse, ServerMetadataRequest,
};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Channel;

use crate::adapter::{Adapter, Kind, Model};
use crate::digits::{ID, code, digits, expected, found, infer};
use crate::process::Process;
use crate::slow_file::{self, Writer};

/// A pod: the models' volume, the runtime and the adapter.
struct Pod {
    process: Process,
    adapter: Adapter,
    data: GrpcInferenceServiceClient<Channel>,
    volume: TempDir,
}

// === impl Pod ===

impl Pod {
    /// The runtime as KServe's ServingRuntime for MLServer starts it, but for the ports; the adapter makes the models
    /// folder later. `more` is set beside it.
    async fn start(more: &[(&str, &str)]) -> Self {
        let volume = TempDir::new().expect("a folder");
        let models = volume.path().join("models");
        fs::create_dir(&models).expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelway"));
        command.arg("serve").env("MLSERVER_MODELS_DIR", format!("{}/", models.join(Kind::MlServer.folder()).display()));
        for (name, value) in [
            ("MLSERVER_GRPC_PORT", "0"),
            ("MLSERVER_HTTP_PORT", "0"),
            ("MLSERVER_LOAD_MODELS_AT_STARTUP", "false"),
            ("MLSERVER_MODEL_NAME", "dummy-model-fixme"),
            ("MLSERVER_HOST", "127.0.0.1"),
            ("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", "-1"),
        ] {
            command.env(name, value);
        }
        command.envs(more.iter().copied());
        let process = Process::start(command, 2);
        let data = process.data(0).await;
        Self { adapter: Adapter::new(Kind::MlServer, &models, data.clone()), process, data, volume }
    }

    /// A folder of the bucket or claim.
    fn stored(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.volume.path().join("claim").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("written");
        }
        folder
    }

    async fn metadata(&self, id: &str) -> ModelMetadataResponse {
        let request = ModelMetadataRequest { name: id.to_owned(), version: String::new() };
        self.data.clone().model_metadata(request).await.expect("metadata").into_inner()
    }
}

fn digits_model<'a>(id: &'a str, path: &'a PathBuf) -> Model<'a> {
    Model { id, format: "sklearn", path, schema: None }
}

#[tokio::test]
async fn a_model_is_loaded_asked_and_unloaded_through_the_adapter() {
    let pod = Pod::start(&[]).await;
    assert_eq!(pod.adapter.runtime_status().await.expect("ready"), env!("CARGO_PKG_VERSION"));
    let path = digits("rbf.joblib");
    pod.adapter.load_model(&digits_model(ID, &path)).await.expect("it loads");
    assert_eq!(pod.adapter.index().await.expect("an index"), [ID]);
    let response = infer(&pod.data, ID, 50).await.expect("an answer");
    assert_eq!((response.model_name.as_str(), found(&response)), (ID, expected(50)));
    let metadata = pod.metadata(ID).await;
    assert_eq!((metadata.name.as_str(), metadata.platform.as_str()), (ID, "sklearn_joblib"));
    assert_eq!(metadata.inputs.first().expect("an input").shape, [-1, 64]);
    // The port that is MLServer's for REST.
    let other_port = pod.process.data(1).await;
    assert_eq!(found(&infer(&other_port, ID, 3).await.expect("an answer")), expected(3));

    pod.adapter.unload_model(ID).await.expect("it unloads");
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(code(infer(&pod.data, ID, 1).await), Code::NotFound);
    // Its folder is gone; that is no failure.
    pod.adapter.unload_model(ID).await.expect("it is not there");
    pod.adapter.load_model(&digits_model(ID, &path)).await.expect("it loads again");
    assert_eq!(found(&infer(&pod.data, ID, 3).await.expect("an answer")), expected(3));
}

#[tokio::test]
async fn an_adapter_that_starts_again_empties_the_runtime() {
    let pod = Pod::start(&[]).await;
    let path = digits("linear.joblib");
    for number in 0..4 {
        pod.adapter.load_model(&digits_model(&format!("{ID}-{number}"), &path)).await.expect("it loads");
    }
    assert_eq!(pod.adapter.index().await.expect("an index").len(), 4);
    pod.adapter.runtime_status().await.expect("ready");
    assert_eq!(pod.adapter.index().await.expect("an index"), [""; 0]);
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(code(infer(&pod.data, &format!("{ID}-0"), 1).await), Code::NotFound);
}

#[tokio::test]
async fn nothing_is_loaded_or_evicted_without_the_adapter() {
    let path = digits("rbf.joblib");
    let size = {
        let pod = Pod::start(&[]).await;
        pod.adapter.load_model(&digits_model("probe", &path)).await.expect("it loads");
        // What stands in the folder is not loaded by being asked for.
        pod.adapter.unload_model("probe").await.expect("it unloads");
        pod.adapter.load_model(&digits_model("probe", &path)).await.expect("it loads");
        pod.process.metric("modelway_resident_bytes").await
    };
    let pod = Pod::start(&[("MODELWAY_MEMORY", &format!("{:.0}", size * 2.5)), ("MODELWAY_GUARD_AGE", "0s")]).await;
    for id in ["a", "b"] {
        pod.adapter.load_model(&digits_model(id, &path)).await.expect("there is room");
    }
    let refused = pod.adapter.load_model(&digits_model("c", &path)).await.expect_err("no room");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    // Its folder stands there, and a request does not load it.
    assert_eq!(code(infer(&pod.data, "c", 1).await), Code::NotFound);
    for id in ["a", "b"] {
        infer(&pod.data, id, 1).await.expect("what was loaded stays");
    }
    pod.adapter.unload_model("c").await.expect("nothing is wrong");
    pod.adapter.unload_model("a").await.expect("it unloads");
    pod.adapter.load_model(&digits_model("c", &path)).await.expect("there is room now");
}

#[tokio::test]
async fn a_folder_with_settings_of_its_own_is_served_by_them() {
    let pod = Pod::start(&[]).await;
    let settings = json!({
        "name": "another-name", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": { "uri": "./weights.bin" },
    });
    let model = fs::read(digits("rbf.joblib")).expect("the model");
    let files = [("model-settings.json", settings.to_string().into_bytes()), ("weights.bin", model)];
    let files = files.each_ref().map(|(name, content)| (*name, content.as_slice()));
    let path = pod.stored("native", &files);
    pod.adapter.load_model(&digits_model(ID, &path)).await.expect("it loads");
    assert_eq!(found(&infer(&pod.data, ID, 10).await.expect("an answer")), expected(10));
    assert_eq!(code(infer(&pod.data, "another-name", 1).await), Code::NotFound);
}

#[tokio::test]
async fn a_folder_with_the_model_in_it_is_that_model() {
    let pod = Pod::start(&[]).await;
    let model = fs::read(digits("rbf.joblib")).expect("the model");
    let path = pod.stored("folder", &[("model.joblib", &model), ("README.md", b"text")]);
    pod.adapter.load_model(&digits_model(ID, &path)).await.expect("it loads");
    let response = infer(&pod.data, ID, 10).await.expect("an answer");
    // The folder is the model's, and no version of it.
    assert_eq!((response.model_version.as_str(), found(&response)), ("", expected(10)));
    pod.adapter.unload_model(ID).await.expect("it unloads");
    let of_another_kind = Model { format: "lightgbm", ..digits_model(ID, &path) };
    assert_eq!(code(pod.adapter.load_model(&of_another_kind).await), Code::InvalidArgument);
}

#[tokio::test]
async fn a_schema_is_what_metadata_shows() {
    let pod = Pod::start(&[]).await;
    let schema = json!({
        "inputs": [{ "name": "pixels", "datatype": "FP64", "shape": [-1, 64] }],
        "outputs": [{ "name": "predict", "datatype": "INT64", "shape": [-1, 1] }],
    });
    let path = digits("rbf.joblib");
    let model = Model { schema: Some(&schema), ..digits_model(ID, &path) };
    pod.adapter.load_model(&model).await.expect("it loads");
    let metadata = pod.metadata(ID).await;
    let input = metadata.inputs.first().expect("an input");
    assert_eq!((input.name.as_str(), input.datatype.as_str()), ("pixels", "FP64"));
    assert_eq!(found(&infer(&pod.data, ID, 3).await.expect("an answer")), expected(3));
}

#[tokio::test]
async fn an_implementation_that_is_not_served_is_named() {
    let pod = Pod::start(&[("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_mlflow.MLflowRuntime")]).await;
    let path = digits("rbf.joblib");
    for (format, part) in [
        ("lightgbm", "implementation 'mlserver_lightgbm.LightGBMModel' needs the format 'lightgbm'"),
        // The adapter names no implementation, so it is what MLServer was told.
        ("peft", "implementation 'mlserver_mlflow.MLflowRuntime' needs the format 'mlflow'"),
    ] {
        let refused = pod.adapter.load_model(&Model { format, ..digits_model(ID, &path) }).await;
        let refused = refused.expect_err("it is not served");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains(part) && refused.message().contains("'sklearn'"), "{refused}");
        pod.adapter.unload_model(ID).await.expect("ModelMesh always does that");
    }
    let pod = Pod::start(&[("MLSERVER_MODEL_IMPLEMENTATION", "mlserver_sklearn.SKLearnModel")]).await;
    pod.adapter.load_model(&Model { format: "peft", ..digits_model(ID, &path) }).await.expect("it loads");
}

/// The InferenceService of ModelMesh's language model example names a scikit-learn file: which model it is stands in the
/// environment of the ServingRuntime.
#[tokio::test]
async fn the_example_of_a_language_model_is_that_model_whatever_file_it_names() {
    let language = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/language");
    let (base, adapter) = (language.join("base"), language.join("prompt-tuning"));
    let pod = Pod::start(&[
        ("PRETRAINED_MODEL_PATH", base.to_str().expect("a path")),
        ("PEFT_MODEL_ID", adapter.to_str().expect("a path")),
        ("DATASET_TEXT_COLUMN_NAME", "Tweet text"),
    ])
    .await;
    let path = digits("rbf.joblib");
    pod.adapter.load_model(&Model { format: "peft", ..digits_model("peft-demo", &path) }).await.expect("it loads");
    let example = fs::read(language.join("example.json")).expect("the example");
    let example: serde_json::Value = serde_json::from_slice(&example).expect("JSON");
    let text = |name: &str| Bytes::from(example[name].as_str().expect("a text").to_owned());
    let contents = InferTensorContents { bytes_contents: vec![text("text")], ..InferTensorContents::default() };
    let input = InferInputTensor {
        name: "content".to_owned(),
        datatype: "BYTES".to_owned(),
        shape: vec![1],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    let request =
        ModelInferRequest { model_name: "peft-demo".to_owned(), inputs: vec![input], ..ModelInferRequest::default() };
    let response = pod.data.clone().model_infer(request).await.expect("an answer").into_inner();
    let output = response.outputs.first().expect("an output");
    assert_eq!((output.name.as_str(), output.shape.as_slice()), ("output-0", [1, 1].as_slice()));
    assert_eq!(output.contents.as_ref().expect("contents").bytes_contents, [text("answer")]);
}

#[tokio::test]
async fn a_load_that_is_cancelled_and_unloaded_leaves_nothing() {
    let pod = Pod::start(&[]).await;
    pod.adapter.runtime_status().await.expect("ready");
    let path = pod.stored("slow", &[]).join("slow.joblib");
    slow_file::make(&path);
    let model = digits_model(ID, &path);
    let load = tokio::time::timeout(Duration::from_millis(300), pod.adapter.load_model(&model));
    load.await.expect_err("it should still be loading");
    let writer = Writer::start(path.clone(), &digits("linear.joblib"));
    pod.adapter.unload_model(ID).await.expect("it unloads");
    pod.process.until_metric_is("modelway_loads_in_progress", 0.0).await;
    writer.stop();
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(code(infer(&pod.data, ID, 1).await), Code::NotFound);
    let path = digits("linear.joblib");
    pod.adapter.load_model(&digits_model(ID, &path)).await.expect("the id can be loaded again");
}

#[tokio::test]
async fn it_also_starts_as_mlserver_is_started() {
    let folder = TempDir::new().expect("a folder");
    let program = folder.path().join("mlserver");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_modelway"), &program).expect("a link");
    fs::copy(digits("rbf.joblib"), folder.path().join("weights.joblib")).expect("a copy");
    let settings = json!({ "name": "digits", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": { "uri": "./weights.joblib" } });
    fs::write(folder.path().join("model-settings.json"), settings.to_string()).expect("written");
    let settings = json!({ "debug": "false", "host": "127.0.0.1", "http_port": 0, "grpc_port": 0, "metrics_port": 0 });
    fs::write(folder.path().join("settings.json"), settings.to_string()).expect("written");
    let mut command = Command::new(program);
    command.args(["start", "."]).current_dir(folder.path());
    let process = Process::start(command, 3);
    let mut data = process.data(0).await;
    let metadata = data.server_metadata(ServerMetadataRequest {}).await.expect("metadata").into_inner();
    assert!(!metadata.version.is_empty());
    // It is loaded at the start, as MLServer does, and nothing else has asked for it.
    process.until_metric_is("modelway_model_load_seconds_count", 1.0).await;
    assert_eq!(found(&infer(&data, "digits", 5).await.expect("an answer")), expected(5));
}
