//! OpenAI's error object.

use std::borrow::Cow;

use axum::response::Response;
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::rest::failure;

/// A failure, and the member of the request that is at fault, if one is.
#[derive(Debug)]
pub(super) struct Problem {
    error: Error,
    param: Option<Cow<'static, str>>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Object<'a>,
}

/// The four members that clients read.
#[derive(Serialize)]
struct Object<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

// === impl Problem ===

impl Problem {
    /// With this member of the request.
    pub(super) fn of(param: impl Into<Cow<'static, str>>, error: Error) -> Self {
        Self { error, param: Some(param.into()), code: None }
    }

    /// This member says what it must not.
    pub(super) fn invalid(param: impl Into<Cow<'static, str>>, expected: &str) -> Self {
        let param = param.into();
        let error = Error::invalid(format!("'{param}': {expected}"));
        Self::of(param, error)
    }

    /// The path, not a model, does not exist.
    pub(super) fn unknown_path(error: Error) -> Self {
        Self { error, param: None, code: Some("unknown_url") }
    }

    pub(super) fn response(&self) -> Response {
        failure::with_body(&self.error, self.json())
    }

    /// The same where it is told as an event of a stream.
    pub(super) fn event(&self) -> String {
        failure::log(&self.error);
        self.json()
    }

    fn json(&self) -> String {
        let kind = match self.error.kind() {
            ErrorKind::Exhausted => "rate_limit_error",
            ErrorKind::Unavailable
            | ErrorKind::DeadlineExceeded
            | ErrorKind::Cancelled
            | ErrorKind::Unimplemented
            | ErrorKind::Internal => "server_error",
            ErrorKind::InvalidArgument | ErrorKind::NotFound | ErrorKind::MethodNotAllowed | ErrorKind::TooLarge => {
                "invalid_request_error"
            }
        };
        let (message, param) = (self.error.message(), self.param.as_deref());
        let envelope = Envelope { error: Object { message, kind, param, code: self.code } };
        // Texts always serialize.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (param, code) = match error.kind() {
            ErrorKind::NotFound => (Some("model".into()), Some("model_not_found")),
            ErrorKind::Exhausted => (None, Some("rate_limit_exceeded")),
            _ => (None, None),
        };
        Self { error, param, code }
    }
}
