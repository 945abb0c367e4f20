//! ModelMesh's adapters for MLServer and Triton, call by call: what they write into the models folder, and what
//! they ask of the server beside them.
//!
//! Source: kserve/modelmesh-runtime-adapter, `model-mesh-mlserver-adapter/server` and `model-mesh-triton-adapter/server`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::{
    RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerMetadataRequest,
    ServerReadyRequest,
};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Which server the adapter takes us for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    MlServer,
    Triton,
}

/// An adapter, with the puller in it.
pub(crate) struct Adapter {
    kind: Kind,
    /// `/models` in the pod.
    models: PathBuf,
    data: GrpcInferenceServiceClient<Channel>,
}

/// What ModelMesh asks it to load: the files as the puller has brought them.
pub(crate) struct Model<'a> {
    pub(crate) id: &'a str,
    /// The model format of the InferenceService.
    pub(crate) format: &'a str,
    /// A file or folder.
    pub(crate) path: &'a Path,
    pub(crate) schema: Option<&'a Value>,
}

// === impl Kind ===

impl Kind {
    /// Below `/models`.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::MlServer => "_mlserver_models",
            Self::Triton => "_triton_models",
        }
    }
}

// === impl Adapter ===

impl Adapter {
    /// Like the real one it connects when it first calls.
    pub(crate) fn new(kind: Kind, models: &Path, data: GrpcInferenceServiceClient<Channel>) -> Self {
        Self { kind, models: models.to_owned(), data }
    }

    fn root(&self) -> PathBuf {
        self.models.join(self.kind.folder())
    }

    /// `Ok` with the server's version is READY, anything else STARTING.
    pub(crate) async fn runtime_status(&self) -> Result<String, Status> {
        let mut data = self.data.clone();
        if !data.server_ready(ServerReadyRequest {}).await?.into_inner().ready {
            return Err(Status::unavailable("not ready"));
        }
        for name in self.index().await? {
            self.unload_from_server(&name).await?;
        }
        for entry in fs::read_dir(&self.models).expect("the models").flatten() {
            // The puller clears what is not an adapter's, the adapter what is in its own.
            if !entry.file_name().to_string_lossy().starts_with('_') {
                remove(&entry.path());
            }
        }
        for entry in fs::read_dir(self.root()).into_iter().flatten().flatten() {
            remove(&entry.path());
        }
        // Triton's does not survive an error here.
        let metadata = data.server_metadata(ServerMetadataRequest {}).await.expect("metadata").into_inner();
        Ok(metadata.version)
    }

    /// The names of what is in memory.
    pub(crate) async fn index(&self) -> Result<Vec<String>, Status> {
        let request = RepositoryIndexRequest { repository_name: String::new(), ready: true };
        let index = self.data.clone().repository_index(request).await?.into_inner();
        Ok(index.models.into_iter().map(|model| model.name).collect())
    }

    pub(crate) async fn load_model(&self, model: &Model<'_>) -> Result<(), Status> {
        let pulled = self.pull(model);
        match self.kind {
            Kind::MlServer => self.lay_out_for_mlserver(model, &pulled),
            Kind::Triton => self.lay_out_for_triton(model, &pulled),
        }
        let request = RepositoryModelLoadRequest {
            repository_name: String::new(),
            model_name: model.id.to_owned(),
            parameters: BTreeMap::default().into_iter().collect(),
        };
        self.data.clone().repository_model_load(request).await.map(drop)
    }

    pub(crate) async fn unload_model(&self, id: &str) -> Result<(), Status> {
        let ignored = |code| match self.kind {
            Kind::MlServer => matches!(code, Code::InvalidArgument | Code::NotFound),
            Kind::Triton => code == Code::NotFound,
        };
        match self.unload_from_server(id).await {
            Err(status) if !ignored(status.code()) => return Err(status),
            _ => {}
        }
        remove(&self.root().join(id));
        remove(&self.models.join(id));
        Ok(())
    }

    async fn unload_from_server(&self, id: &str) -> Result<(), Status> {
        let request =
            RepositoryModelUnloadRequest { model_name: id.to_owned(), ..RepositoryModelUnloadRequest::default() };
        self.data.clone().repository_model_unload(request).await.map(drop)
    }

    /// As from a mounted claim: a link in `/models/<id>` that leads out of it.
    fn pull(&self, model: &Model<'_>) -> PathBuf {
        let folder = self.models.join(model.id);
        remove(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let pulled = folder.join(model.path.file_name().expect("a name"));
        symlink(model.path, &pulled).expect("a link");
        pulled
    }

    /// An empty folder for the model.
    fn model_folder(&self, id: &str) -> PathBuf {
        let folder = self.root().join(id);
        remove(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
        folder
    }

    fn lay_out_for_mlserver(&self, model: &Model<'_>, pulled: &Path) {
        let folder = self.model_folder(model.id);
        let mut settings = match fs::read(pulled.join("model-settings.json")) {
            Ok(native) => {
                for entry in fs::read_dir(pulled).expect("a folder").flatten() {
                    if entry.file_name() != "model-settings.json" {
                        symlink(pulled.join(entry.file_name()), folder.join(entry.file_name())).expect("a link");
                    }
                }
                let mut settings: Value = serde_json::from_slice(&native).expect("JSON");
                if let Some(uri) = settings.pointer_mut("/parameters/uri") {
                    *uri = json!(folder.join(uri.as_str().expect("a path")).display().to_string());
                }
                settings
            }
            Err(_) => {
                let link = folder.join(pulled.file_name().expect("a name"));
                symlink(pulled, &link).expect("a link");
                json!({ "parameters": { "uri": link.display().to_string() } })
            }
        };
        settings["name"] = json!(model.id);
        let implementation = match model.format {
            "lightgbm" => Some("mlserver_lightgbm.LightGBMModel"),
            "sklearn" => Some("mlserver_sklearn.SKLearnModel"),
            "xgboost" => Some("mlserver_xgboost.XGBoostModel"),
            "mllib" => Some("mlserver-mllib.MLlibModel"),
            _ => None,
        };
        if let (Some(implementation), None) = (implementation, settings.get("implementation")) {
            settings["implementation"] = json!(implementation);
        }
        for side in ["inputs", "outputs"] {
            if let Some(tensors) = model.schema.and_then(|schema| schema.get(side)) {
                settings[side] = tensors.clone();
            }
        }
        write(&folder.join("model-settings.json"), &format!("{settings:#}"));
    }

    fn lay_out_for_triton(&self, model: &Model<'_>, pulled: &Path) {
        let folder = self.model_folder(model.id);
        if let Ok(native) = fs::read_to_string(pulled.join("config.pbtxt")) {
            for entry in fs::read_dir(pulled).expect("a folder").flatten() {
                if entry.file_name() != "config.pbtxt" {
                    symlink(pulled.join(entry.file_name()), folder.join(entry.file_name())).expect("a link");
                }
            }
            let without_name = native.lines().filter(|line| !line.trim_start().starts_with("name:"));
            write(&folder.join("config.pbtxt"), &without_name.collect::<Vec<_>>().join("\n"));
            return;
        }
        let versions = fs::read_dir(pulled).into_iter().flatten().flatten();
        let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
        let (pulled, version) = match versions.max() {
            Some(version) => (pulled.join(version.to_string()), version),
            None => (pulled.to_owned(), 1),
        };
        let name = match (model.format, pulled.is_dir()) {
            ("tensorflow", false) => Some("model.graphdef".to_owned()),
            ("tensorflow", true) => Some("model.savedmodel".to_owned()),
            ("onnx", _) => Some("model.onnx".to_owned()),
            ("pytorch", false) => Some("model.pt".to_owned()),
            (_, false) => Some(pulled.file_name().expect("a name").to_string_lossy().into_owned()),
            // The folder is the version.
            (_, true) => None,
        };
        let mut link = folder.join(version.to_string());
        if let Some(name) = name {
            fs::create_dir_all(&link).expect("a folder");
            link.push(name);
        }
        symlink(pulled, link).expect("a link");
        if let Some(schema) = model.schema {
            write(&folder.join("config.pbtxt"), &config(model.format, schema));
        }
    }
}

/// As the adapter writes it for a model that has none.
fn config(format: &str, schema: &Value) -> String {
    let mut text = String::new();
    if format == "onnx" {
        text.push_str("backend: \"onnxruntime\"\n");
    }
    for (side, field) in [("inputs", "input"), ("outputs", "output")] {
        for tensor in schema.get(side).and_then(Value::as_array).into_iter().flatten() {
            let name = tensor["name"].as_str().expect("a name");
            let datatype = tensor["datatype"].as_str().expect("a datatype");
            text.push_str(&format!("{field}: {{\n  name: \"{name}\"\n  data_type: TYPE_{datatype}\n"));
            for dimension in tensor["shape"].as_array().expect("a shape") {
                text.push_str(&format!("  dims: {dimension}\n"));
            }
            text.push_str("}\n");
        }
    }
    text
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o664)).expect("permissions");
}

/// Links are removed, not what they lead to.
fn remove(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}
