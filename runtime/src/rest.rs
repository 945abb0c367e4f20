//! The REST front end: the Open Inference Protocol over HTTP, and OpenAI's under `/v1` and `/openai/v1`.
//!
//! Every failure on every path is `{"error": "…"}` with a fitting status, under OpenAI's paths its error object, so that
//! a client has one thing to parse.

mod body;
mod failure;
mod generate;
mod infer;
mod json;
mod models;
mod offload;
mod openai;
mod repository;
pub(crate) mod server;
mod sse;
mod texts;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::{HeaderValue, Method, Uri, header};

use crate::error::{Error, ErrorKind};
use crate::residency::Loaded;
use crate::routing::SERVED;
use crate::serving::Serving;

pub(crate) use failure::failure;

/// What the handlers share.
pub(crate) struct Rest {
    serving: Arc<Serving>,
    /// Bytes that a body may have, also after decompression.
    body_limit: usize,
    /// Seconds since 1970: when the server began.
    since: u64,
}

/// What the protocol has and this server does not.
const UNIMPLEMENTED: [&str; 9] = [
    "/v2/logging",
    "/v2/models/stats",
    "/v2/models/{model}/config",
    "/v2/models/{model}/stats",
    "/v2/models/{model}/trace/setting",
    "/v2/models/{model}/versions/{version}/config",
    "/v2/models/{model}/versions/{version}/stats",
    "/v2/models/{model}/versions/{version}/trace/setting",
    "/v2/trace/setting",
];

// === impl Rest ===

impl Rest {
    pub(crate) fn new(serving: Arc<Serving>, body_limit: usize) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { serving, body_limit, since }
    }

    /// The routes. Paths without one fall to the caller's fallback.
    pub(crate) fn routes(self) -> Router {
        let mut routes = Router::new()
            .route("/v2", get(server::metadata))
            .route("/v2/", get(server::metadata))
            .route("/v2/health/live", get(server::live))
            .route("/v2/health/ready", get(server::ready))
            .route("/v2/models", get(models::list))
            .route("/v2/models/{model}", get(models::metadata))
            .route("/v2/models/{model}/ready", get(models::ready))
            .route("/v2/models/{model}/infer", post(infer::infer))
            .route("/v2/models/{model}/generate", post(generate::generate))
            .route("/v2/models/{model}/generate_stream", post(generate::generate_stream))
            .route("/v2/models/{model}/versions/{version}", get(models::metadata))
            .route("/v2/models/{model}/versions/{version}/ready", get(models::ready))
            .route("/v2/models/{model}/versions/{version}/infer", post(infer::infer))
            .route("/v2/models/{model}/versions/{version}/generate", post(generate::generate))
            .route("/v2/models/{model}/versions/{version}/generate_stream", post(generate::generate_stream))
            .route("/v2/repository/index", get(repository::index).post(repository::index))
            .route("/v2/repository/models/{model}/load", post(repository::load))
            .route("/v2/repository/models/{model}/unload", post(repository::unload))
            .route("/metrics", get(server::metrics));
        for path in UNIMPLEMENTED {
            routes = routes.route(path, any(unimplemented));
        }
        let routes = routes.method_not_allowed_fallback(method_not_allowed);
        // OpenAI's tell their errors in another way.
        routes.merge(openai::routes()).with_state(Arc::new(self))
    }
}

/// The model and version that a path names, percent-decoded.
struct Named {
    model: String,
    version: Option<String>,
}

// === impl Named ===

impl Named {
    fn from_path(parameters: Result<RawPathParams, RawPathParamsRejection>) -> Result<Self, Error> {
        let parameters = parameters.map_err(|_| Error::invalid("the path is not percent-encoded UTF-8"))?;
        let of_name =
            |wanted: &str| parameters.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        let model = of_name("model").ok_or_else(|| Error::invalid("the path names no model"))?;
        Ok(Self { model, version: of_name("version") })
    }
}

/// For a path that is no route of ours.
pub(crate) fn unknown_path(uri: &Uri) -> Response {
    failure(&Error::not_found(format!(
        "unknown path '{}', the protocols' begin with /v2, /v1 and /openai/v1",
        uri.path()
    )))
}

// The router adds `allow`.
async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let text = format!("method {method} is not for '{}', see the header allow", uri.path());
    failure(&Error::new(ErrorKind::MethodNotAllowed, text))
}

async fn unimplemented(uri: Uri) -> Response {
    failure(&Error::new(ErrorKind::Unimplemented, format!("'{}' is not served by this server", uri.path())))
}

/// The answer with what it was served by, if a model was found.
fn labelled(mut response: Response, served: Option<&Loaded>) -> Response {
    if let Some(loaded) = served {
        response.headers_mut().insert(SERVED, loaded.served().clone());
    }
    response
}

/// An answer with a JSON body that is already written.
fn json_response(body: Vec<u8>) -> Response {
    let mut response = Response::new(axum::body::Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer with this value as its JSON body.
fn json<T: serde::Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_response(body),
        Err(error) => failure(&Error::internal(format!("cannot write the answer: {error}"))),
    }
}
