//! The server: every port answers REST and gRPC, over HTTP/1 and over HTTP/2 without TLS.

mod authority;
mod connections;
mod listener;
mod watch;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;

use crate::catalogue::Catalogue;
use crate::error::{Error, ErrorKind};
use crate::grpc::{self, Health};
use crate::metrics::MetricsOptions;
use crate::modelmesh::{self, ModelMeshOptions};
use crate::rest::{self, Rest};
use crate::serving::Serving;
use crate::traces::Traces;

use connections::Connections;
pub use listener::Listener;
use watch::Watcher;

/// What can be set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of a request's body or message, also after decompression.
    pub body_limit: usize,
    /// How long requests in flight have when the server stops.
    pub drain_timeout: Duration,
    /// How many models have series of their own in the metrics; the rest share those of `other`.
    pub model_series: usize,
    /// Makes spans of inferences, by the OpenTelemetry tracer and propagator that are set globally in this process.
    pub traces: bool,
    /// Answers KServe ModelMesh, too, which says what is in memory.
    pub modelmesh: Option<ModelMeshOptions>,
}

/// A server that is not listening yet.
pub struct Server {
    serving: Arc<Serving>,
    catalogue: Arc<Catalogue>,
    router: Router,
    watcher: Arc<Watcher>,
    health: Health,
    drain_timeout: Duration,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            body_limit: 64 << 20,
            drain_timeout: Duration::from_secs(30),
            model_series: 200,
            traces: false,
            modelmesh: None,
        }
    }
}

// === impl Server ===

impl Server {
    /// A server for these models, which need not be loaded yet.
    ///
    /// # Errors
    /// The metrics could not be set up.
    pub fn new(catalogue: Arc<Catalogue>, options: &Options) -> Result<Self, Error> {
        let cannot_count = |error| Error::internal(format!("cannot set up the metrics: {error}"));
        let metrics = MetricsOptions {
            models: options.model_series,
            // ModelMesh in the same pod tells these numbers itself.
            has_modelmesh_names: options.modelmesh.is_none(),
        };
        let serving = Arc::new(Serving::new(catalogue.clone(), &metrics).map_err(cannot_count)?);
        let watcher = Watcher::new(serving.clone(), Traces::new(options.traces));
        let (grpc_routes, health) = grpc::routes(serving.clone(), options.body_limit);
        let mut router =
            Rest::new(serving.clone(), options.body_limit).routes().merge(grpc_routes).fallback(unknown_path);
        if let Some(options) = &options.modelmesh {
            router = router.merge(modelmesh::routes(catalogue.clone(), options.clone()));
            router = router.layer(axum::middleware::map_request(modelmesh::without_routing));
        }
        Ok(Self { serving, catalogue, router, watcher, health, drain_timeout: options.drain_timeout })
    }

    /// Loads what is to be loaded at the start, looks after changes in storage, and answers on the listeners until
    /// `stop` ends.
    ///
    /// It ends with the time that gateways need to notice: so long the server says that it is not ready and goes on as
    /// before, on new connections, too. Who sends it a request meanwhile has not noticed yet, and would see it fail.
    /// Then it accepts nothing more, tells its peers to send nothing more (`GOAWAY`), finishes what is in flight, and
    /// after the drain timeout ends streams with an error and cuts off the rest.
    ///
    /// # Errors
    /// A listener has no address, which is a fault of the system.
    pub async fn serve(
        self,
        listeners: impl IntoIterator<Item = impl Into<Listener>>,
        stop: impl Future<Output = Duration>,
    ) -> io::Result<()> {
        self.health.set_serving(false).await;
        let loading = tokio::spawn({
            let (catalogue, health) = (self.catalogue.clone(), self.health.clone());
            async move {
                catalogue.load_at_start().await;
                health.set_serving(true).await;
                let listings = catalogue.listings();
                let in_memory = listings.iter().filter(|listing| listing.is_ready()).count();
                tracing::info!(models = listings.len(), in_memory, "ready");
            }
        });
        let watching = tokio::spawn(self.catalogue.clone().watch());
        let connections = Connections::accept(listeners.into_iter().map(Into::into), &self.router, &self.watcher);
        let grace = stop.await;
        // A server that was not ready yet must not become so.
        loading.abort();
        let _ = loading.await;
        self.serving.drain();
        self.health.set_serving(false).await;
        tracing::info!(seconds = grace.as_secs_f64(), "not ready any more, going on until gateways have noticed");
        tokio::time::sleep(grace).await;
        tracing::info!(connections = connections.count(), "shutting down, finishing what is in flight");
        watching.abort();
        self.health.end().await;
        connections.finish(self.drain_timeout, self.serving.farewell()).await;
        Ok(())
    }
}

async fn unknown_path(request: Request) -> Response {
    if grpc::is_grpc(&request) {
        let text = format!("'{}' is no method of this server", request.uri().path());
        return grpc::failure(Error::new(ErrorKind::Unimplemented, text));
    }
    rest::unknown_path(request.uri())
}
