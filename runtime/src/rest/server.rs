//! The server itself: health, metadata, metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;

use crate::error::Error;
use crate::rest::{Rest, failure, json};

/// The server's name in metadata.
pub(crate) const NAME: &str = "modelway";

/// The server's version in metadata.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The protocol extensions that this server really has, whole.
pub(crate) const EXTENSIONS: [&str; 3] = ["binary_tensor_data", "model_repository", "parameters"];

#[derive(Serialize)]
struct Metadata {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 3],
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready<'a> {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) async fn metadata() -> Response {
    json(&Metadata { name: NAME, version: VERSION, extensions: EXTENSIONS })
}

pub(super) async fn live() -> Response {
    json(&Live { live: true })
}

pub(super) async fn ready(State(rest): State<Arc<Rest>>) -> Response {
    match rest.serving.check_ready() {
        Ok(()) => json(&Ready { ready: true, error: None }),
        Err(error) => {
            let mut response = json(&Ready { ready: false, error: Some(error.message()) });
            *response.status_mut() = error.kind().status();
            response
        }
    }
}

pub(super) async fn metrics(State(rest): State<Arc<Rest>>) -> Response {
    // With many models it takes milliseconds.
    let text = tokio::task::spawn_blocking(move || rest.serving.metrics().text(rest.serving.catalogue()));
    let text = text.await.unwrap_or_else(|fault| Err(Error::internal(format!("writing the metrics stopped: {fault}"))));
    match text {
        Ok(text) => {
            let mut response = Response::new(axum::body::Body::from(text));
            let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        Err(error) => failure(&error),
    }
}
