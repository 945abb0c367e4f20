//! `{"error": "…"}`.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;

use crate::error::{Error, ErrorKind, REFUSED};

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

/// The answer to a request that ended with this error.
pub(crate) fn failure(error: &Error) -> Response {
    with_body(error, event(error))
}

/// The same where it is told as an event of a stream.
pub(super) fn event(error: &Error) -> String {
    // A struct with one text always serializes.
    serde_json::to_string(&Failure { error: error.message() }).unwrap_or_default()
}

/// The answer to a request that ended with this error, told by a body of JSON.
pub(super) fn with_body(error: &Error, body: String) -> Response {
    log(error);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = error.kind().status();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(refusal) = error.refusal() {
        response.headers_mut().insert(REFUSED, HeaderValue::from_static(refusal.as_str()));
    }
    response
}

/// Leaves it in the server's log.
pub(super) fn log(error: &Error) {
    if error.kind() == ErrorKind::Internal {
        tracing::error!(error = error.message(), "request failed");
    } else {
        tracing::debug!(error = error.message(), kind = ?error.kind(), "request refused");
    }
}
