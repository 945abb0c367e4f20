//! In the place of Triton, behind ModelMesh's adapter for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::{ModelMetadataRequest, ModelMetadataResponse};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Channel;

use crate::adapter::{Adapter, Kind, Model};
use crate::digits::{ID, code, digits, expected, found, infer};
use crate::process::Process;

/// A pod: the models' volume, the runtime and the adapter.
struct Pod {
    process: Process,
    adapter: Adapter,
    data: GrpcInferenceServiceClient<Channel>,
    volume: TempDir,
}

// === impl Pod ===

impl Pod {
    /// The runtime as KServe's ServingRuntime for Triton starts it, but for the ports: by Triton's name, with its
    /// arguments.
    async fn start() -> Self {
        let volume = TempDir::new().expect("a folder");
        let models = volume.path().join("models");
        fs::create_dir(&models).expect("a folder");
        let program = volume.path().join("tritonserver");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_modelway"), &program).expect("a link");
        let mut command = Command::new(program);
        command.arg(format!("--model-repository={}", models.join(Kind::Triton.folder()).display()));
        command.args(["--model-control-mode=explicit", "--strict-model-config=false", "--strict-readiness=false"]);
        command.args(["--allow-http=true", "--allow-sagemaker=false"]);
        command.args(["--http-port=0", "--grpc-port=0", "--metrics-port=0", "--http-address=127.0.0.1"]);
        let process = Process::start(command, 3);
        let data = process.data(1).await;
        Self { adapter: Adapter::new(Kind::Triton, &models, data.clone()), process, data, volume }
    }

    /// A folder of the bucket or claim.
    fn stored(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let folder = self.volume.path().join("claim").join(name);
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("written");
        }
        folder
    }

    async fn metadata(&self, id: &str) -> ModelMetadataResponse {
        let request = ModelMetadataRequest { name: id.to_owned(), version: String::new() };
        self.data.clone().model_metadata(request).await.expect("metadata").into_inner()
    }
}

fn model<'a>(path: &'a Path) -> Model<'a> {
    Model { id: ID, format: "sklearn", path, schema: None }
}

#[tokio::test]
async fn a_model_is_loaded_asked_and_unloaded_through_the_adapter() {
    let pod = Pod::start().await;
    assert_eq!(pod.adapter.runtime_status().await.expect("ready"), env!("CARGO_PKG_VERSION"));
    pod.adapter.load_model(&model(&digits("rbf.joblib"))).await.expect("it loads");
    let response = infer(&pod.data, ID, 50).await.expect("an answer");
    assert_eq!((response.model_name.as_str(), found(&response)), (ID, expected(50)));
    // Nobody has configured inputs or outputs.
    let metadata = pod.metadata(ID).await;
    assert_eq!((metadata.name.as_str(), metadata.versions), (ID, vec!["1".to_owned()]));
    assert_eq!(metadata.inputs.first().expect("an input").shape, [-1, 64]);
    assert_eq!(metadata.outputs.first().expect("an output").datatype, "INT64");

    pod.adapter.unload_model(ID).await.expect("it unloads");
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
    assert_eq!(code(infer(&pod.data, ID, 1).await), Code::NotFound);
    pod.adapter.unload_model(ID).await.expect("it is not there");
    pod.adapter.load_model(&model(&digits("rbf.joblib"))).await.expect("it loads again");
    // As after a restart of the adapter.
    pod.adapter.runtime_status().await.expect("ready");
    assert_eq!(pod.adapter.index().await.expect("an index"), [""; 0]);
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
}

#[tokio::test]
async fn every_layout_that_the_adapter_writes_is_read() {
    let pod = Pod::start().await;
    let content = fs::read(digits("rbf.joblib")).expect("the model");
    let config = b"name: \"its-own\"\nplatform: \"sklearn\"\nmax_batch_size: 16\nversion_policy: { latest { num_versions: 1 } }\n";
    let schema = json!({
        "inputs": [{ "name": "predict", "datatype": "FP32", "shape": [-1, 64] }],
        "outputs": [{ "name": "predict", "datatype": "INT64", "shape": [-1, 1] }],
    });
    let native =
        pod.stored("native", &[("config.pbtxt", config), ("1/old.joblib", b"rubbish"), ("3/model.joblib", &content)]);
    let versions = pod.stored("versions", &[("2/model.joblib", &content), ("7/model.joblib", &content)]);
    let folder = pod.stored("folder", &[("model.joblib", &content)]);
    for (path, version, schema) in [
        (&native, "3", None),
        (&versions, "7", None),
        (&folder, "1", None),
        (&folder, "1", Some(&schema)),
        (&digits("rbf.joblib"), "1", Some(&schema)),
    ] {
        pod.adapter.load_model(&Model { schema, ..model(path) }).await.expect("it loads");
        let response = infer(&pod.data, ID, 10).await.expect("an answer");
        assert_eq!((response.model_version.as_str(), found(&response)), (version, expected(10)), "{}", path.display());
        assert_eq!(pod.adapter.index().await.expect("an index"), [ID]);
        pod.adapter.unload_model(ID).await.expect("it unloads");
    }
    assert_eq!(pod.process.metric("modelway_resident_bytes").await, 0.0);
}

#[tokio::test]
async fn a_model_of_a_kind_that_is_not_served_is_named() {
    let pod = Pod::start().await;
    let path = pod.stored("onnx", &[("network.onnx", b"\x08\x07")]).join("network.onnx");
    let schema = json!({ "inputs": [], "outputs": [] });
    for schema in [None, Some(&schema)] {
        let refused = pod.adapter.load_model(&Model { format: "onnx", schema, ..model(&path) }).await;
        let refused = refused.expect_err("this build does not serve it");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("it has model.onnx"), "{refused}");
        assert_eq!(code(infer(&pod.data, ID, 1).await), Code::ResourceExhausted);
        pod.adapter.unload_model(ID).await.expect("ModelMesh always does that");
    }
}
