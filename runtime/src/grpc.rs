//! The gRPC front end: the Open Inference Protocol's service and the standard health service.

pub(crate) mod codec;

mod convert;
mod decoupled;
mod frames;
mod service;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use crate::error::{Error, ErrorKind};
use crate::protocol::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use crate::rest;
use crate::serving::Serving;

use frames::RequestFrames;
use service::Inferences;

/// Without the protocol's word for it, a client would read an empty reason.
const METHODS: [&str; 10] = [
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "ModelStreamInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
];

/// The names that the health service knows: the server as a whole, and the inference service.
const HEALTH_NAMES: [&str; 2] = ["", "inference.GRPCInferenceService"];

#[derive(Clone)]
struct Grpc {
    server: GrpcInferenceServiceServer<Inferences>,
    message_limit: usize,
}

/// Tells the health service what the server is.
#[derive(Clone)]
pub(crate) struct Health(HealthReporter);

/// The routes, and what tells the health service of the server's state. Messages may have
/// `message_limit` bytes, also after decompression.
pub(crate) fn routes(serving: Arc<Serving>, message_limit: usize) -> (Router, Health) {
    let server = GrpcInferenceServiceServer::new(Inferences::new(serving))
        .max_decoding_message_size(message_limit)
        .max_encoding_message_size(usize::MAX)
        .accept_compressed(CompressionEncoding::Gzip);
    let (reporter, health) = tonic_health::server::health_reporter();
    let router = Router::new()
        .route("/inference.GRPCInferenceService/{method}", any(call))
        .with_state(Grpc { server, message_limit })
        .route_service("/grpc.health.v1.Health/{method}", health);
    (router, Health(reporter))
}

/// Whether a request speaks gRPC, and so must be answered in it.
pub(crate) fn is_grpc<B>(request: &http::Request<B>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to a gRPC request that ended with this error before it reached a method.
pub(crate) fn failure(error: Error) -> Response {
    Status::from(error).into_http()
}

async fn call(State(mut grpc): State<Grpc>, request: Request) -> Response {
    if !is_grpc(&request) {
        let error = Error::invalid("this is a gRPC path, expected content-type application/grpc; REST begins with /v2");
        return rest::failure(&error);
    }
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    if !METHODS.contains(&method) {
        let text = format!("method '{method}' is not served, there are: {}", METHODS.join(", "));
        return failure(Error::new(ErrorKind::Unimplemented, text));
    }
    let needs_message = method != "ModelStreamInfer";
    let request = request.map(|body| RequestFrames::new(body, grpc.message_limit, needs_message));
    let response: Result<http::Response<tonic::body::Body>, Infallible> = grpc.server.call(request).await;
    match response {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

// === impl Health ===

impl Health {
    /// Sets what the health service answers.
    pub(crate) async fn set_serving(&self, is_serving: bool) {
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in HEALTH_NAMES {
            self.0.set_service_status(name, status).await;
        }
    }

    /// Ends the streams of those who watch it, which would otherwise be open as long as their connections.
    pub(crate) async fn end(&self) {
        for name in HEALTH_NAMES {
            self.0.clone().clear_service_status(name).await;
        }
    }
}
