//! The methods of the interface.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::{Request, Response, Status};

use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::modelmesh::ModelMeshOptions;
use crate::modelmesh::key::ModelKey;
use crate::modelmesh::proto::runtime_status_response::{MethodInfo, Status as State};
use crate::modelmesh::proto::{
    LoadModelRequest, LoadModelResponse, ModelSizeRequest, ModelSizeResponse, PredictModelSizeRequest,
    PredictModelSizeResponse, RuntimeStatusRequest, RuntimeStatusResponse, UnloadModelRequest, UnloadModelResponse,
    model_runtime_server,
};

/// Clients may call these, and each has the model's name in field 1.
const METHODS: [&str; 3] = ["ModelInfer", "ModelMetadata", "ModelReady"];

/// A model in memory against its files: what is compressed or shared on disk takes more.
const GROWTH: f64 = 1.25;

/// The service.
#[derive(Clone)]
pub(super) struct ModelRuntime {
    catalogue: Arc<Catalogue>,
    options: Arc<ModelMeshOptions>,
    is_purging: Arc<AtomicBool>,
}

// === impl ModelRuntime ===

impl ModelRuntime {
    pub(super) fn new(catalogue: Arc<Catalogue>, options: ModelMeshOptions) -> Self {
        Self { catalogue, options: Arc::new(options), is_purging: Arc::default() }
    }

    /// Unloads everything, unless that is under way.
    fn purge(&self) {
        if self.is_purging.swap(true, Ordering::Relaxed) {
            return;
        }
        let (catalogue, is_purging) = (self.catalogue.clone(), self.is_purging.clone());
        tokio::spawn(async move {
            for name in catalogue.names() {
                // Gone meanwhile is as good.
                let _ = catalogue.take_away(&name).await;
            }
            is_purging.store(false, Ordering::Relaxed);
        });
    }

    fn path(&self, path: &str) -> PathBuf {
        self.options.folder.join(path)
    }

    fn ready(&self) -> RuntimeStatusResponse {
        let method = |name| {
            let info = MethodInfo { id_injection_path: vec![1] };
            (format!("inference.GRPCInferenceService/{name}"), info)
        };
        let residency = self.catalogue.options();
        RuntimeStatusResponse {
            status: State::Ready.into(),
            capacity_in_bytes: residency.memory,
            max_loading_concurrency: u32::try_from(residency.loads_at_once).unwrap_or(u32::MAX),
            model_loading_timeout_ms: u32::try_from(self.options.load_timeout.as_millis()).unwrap_or(u32::MAX),
            default_model_size_in_bytes: self.options.default_model_size,
            runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
            method_infos: METHODS.map(method).into_iter().collect::<BTreeMap<_, _>>(),
            ..RuntimeStatusResponse::default()
        }
    }
}

#[tonic::async_trait]
impl model_runtime_server::ModelRuntime for ModelRuntime {
    async fn load_model(&self, request: Request<LoadModelRequest>) -> Result<Response<LoadModelResponse>, Status> {
        let LoadModelRequest { model_id, model_path, model_key, .. } = request.into_inner();
        check_id(&model_id)?;
        if model_path.is_empty() {
            return Err(
                Error::invalid(format!("model '{model_id}' has no modelPath, expected its file or folder")).into()
            );
        }
        let key = ModelKey::read(&model_key);
        let size = match (key.address(&model_path), &self.options.stores) {
            (Some(address), Some(stores)) => {
                let (stores, label) = (stores.clone(), address.label());
                // It reads the secret and the certificates, the first one what the cache has.
                let opened = tokio::task::spawn_blocking(move || stores.open_address(&address)).await;
                let source = opened.map_err(|fault| Error::internal(fault.to_string()))?.map_err(|error| {
                    Error::invalid(format!("model '{model_id}' at {label} cannot be loaded: {error}"))
                })?;
                self.catalogue.place_from(&source, &model_id, key.format()).await?
            }
            _ => self.catalogue.place(&model_id, &self.path(&model_path), key.format()).await?,
        };
        // 0 would make ModelMesh ask for the size.
        Ok(Response::new(LoadModelResponse { size_in_bytes: size.max(1), max_concurrency: 0 }))
    }

    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let UnloadModelRequest { model_id } = request.into_inner();
        check_id(&model_id)?;
        self.catalogue.take_away(&model_id).await?;
        Ok(Response::new(UnloadModelResponse {}))
    }

    async fn predict_model_size(
        &self,
        request: Request<PredictModelSizeRequest>,
    ) -> Result<Response<PredictModelSizeResponse>, Status> {
        let PredictModelSizeRequest { model_path, model_key, .. } = request.into_inner();
        let key = ModelKey::read(&model_key);
        let on_disk = match key.disk_size() {
            Some(bytes) => bytes,
            None if model_path.is_empty() => 0,
            // A store is not asked: there is half a second for the answer.
            None if self.options.stores.is_some() && key.address(&model_path).is_some() => 0,
            None => self.catalogue.bytes_on_disk(&self.path(&model_path)).await,
        };
        let size_in_bytes = match on_disk {
            0 => self.options.default_model_size,
            bytes => (bytes as f64 * GROWTH) as u64,
        };
        Ok(Response::new(PredictModelSizeResponse { size_in_bytes }))
    }

    async fn model_size(&self, request: Request<ModelSizeRequest>) -> Result<Response<ModelSizeResponse>, Status> {
        let ModelSizeRequest { model_id } = request.into_inner();
        let Some(size) = self.catalogue.placed_bytes(&model_id) else {
            return Err(Error::not_found(format!("model '{model_id}' is not loaded")).into());
        };
        Ok(Response::new(ModelSizeResponse { size_in_bytes: size.max(1) }))
    }

    /// A ModelMesh that asks has just started: what an earlier one has loaded is unloaded first.
    async fn runtime_status(
        &self,
        _: Request<RuntimeStatusRequest>,
    ) -> Result<Response<RuntimeStatusResponse>, Status> {
        if self.catalogue.is_empty() && !self.is_purging.load(Ordering::Relaxed) {
            return Ok(Response::new(self.ready()));
        }
        self.purge();
        Ok(Response::new(RuntimeStatusResponse { status: State::Starting.into(), ..RuntimeStatusResponse::default() }))
    }
}

fn check_id(model_id: &str) -> Result<(), Status> {
    if model_id.is_empty() {
        return Err(Error::invalid("the request names no model, expected modelId").into());
    }
    Ok(())
}
