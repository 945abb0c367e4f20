//! KServe ModelMesh's side of the server: the "model runtime" interface, by which a ModelMesh in the
//! same pod says which models are in memory.
//!
//! ModelMesh owns loading and eviction, so the catalogue is in the explicit mode and has no folder:
//! a model is what a load names. The routing headers of a gateway in front of ModelMesh count for
//! ModelMesh alone; by the time a request is here, its message names the model.

mod key;
mod service;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;

use crate::catalogue::Catalogue;
use crate::routing;
use crate::storage::Stores;

use proto::model_runtime_server::ModelRuntimeServer;
use service::ModelRuntime;

/// The messages and the service, generated from `proto/model_runtime.proto`.
#[allow(missing_docs, unreachable_pub, unused_qualifications)]
#[allow(clippy::all, clippy::needless_pass_by_value, clippy::semicolon_if_nothing_returned)]
pub mod proto {
    tonic::include_proto!("mmesh");
}

/// What ModelMesh is told of this server.
#[derive(Clone, Debug)]
pub struct ModelMeshOptions {
    /// Where models stand whose path is relative.
    pub folder: PathBuf,
    /// How long ModelMesh lets a load take.
    pub load_timeout: Duration,
    /// Bytes of a model of which nothing is known.
    pub default_model_size: u64,
    /// Where models come from whose key names a store, because no puller fetches them.
    pub stores: Option<Arc<Stores>>,
}

// === impl ModelMeshOptions ===

impl Default for ModelMeshOptions {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("/models"),
            load_timeout: Duration::from_secs(90),
            default_model_size: 1_000_000,
            stores: None,
        }
    }
}

/// The routes of the interface.
pub(crate) fn routes(catalogue: Arc<Catalogue>, options: ModelMeshOptions) -> Router {
    Router::new()
        .route_service("/mmesh.ModelRuntime/{method}", ModelRuntimeServer::new(ModelRuntime::new(catalogue, options)))
}

/// The request without the decision of a gateway, which was about what ModelMesh calls a model.
pub(crate) async fn without_routing(mut request: Request) -> Request {
    routing::remove(request.headers_mut());
    request
}
