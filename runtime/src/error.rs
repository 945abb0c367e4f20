//! The one error that a request can end with, and what it is on each wire.

use std::borrow::Cow;

use http::StatusCode;
use tonic::Code;
use tonic::metadata::MetadataValue;

/// Why a request failed, in the words of the wire protocols.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// The request is wrong and will be wrong again.
    InvalidArgument,
    /// The model or version does not exist here.
    NotFound,
    /// The path exists, not with this method.
    MethodNotAllowed,
    /// The body is larger than this server accepts.
    TooLarge,
    /// This server is healthy and should not take the request: try another.
    Exhausted,
    /// Known, not ready: unloading or draining.
    Unavailable,
    /// The caller's deadline passed.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// The protocol has it, this server does not.
    Unimplemented,
    /// A fault of ours.
    Internal,
}

// === impl ErrorKind ===

impl ErrorKind {
    /// The status of a REST answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Exhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code of a gRPC answer.
    pub fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::MethodNotAllowed | Self::Unimplemented => Code::Unimplemented,
            Self::TooLarge | Self::Exhausted => Code::ResourceExhausted,
            Self::Unavailable => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::Cancelled => Code::Cancelled,
            Self::Internal => Code::Internal,
        }
    }
}

/// Why a healthy server does not take a request: the value of [`REFUSED`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// The memory budget is taken by models that are pinned or were used just now.
    NoRoom,
    /// The model is larger than the memory budget.
    TooLarge,
    /// The model could not be loaded here.
    LoadFailed,
    /// The model would be loaded after the caller's deadline.
    Deadline,
    /// As many texts wait for the model as may.
    QueueFull,
}

/// The header and gRPC metadata key of a refusal; a gateway tries another server by it.
pub(crate) const REFUSED: &str = "x-modelway-refused";

/// A failed request: its kind, and a text that says what is wrong and what was expected.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    refusal: Option<Refusal>,
}

// === impl Refusal ===

impl Refusal {
    /// All reasons.
    pub(crate) const ALL: [Self; 5] = [Self::NoRoom, Self::TooLarge, Self::LoadFailed, Self::Deadline, Self::QueueFull];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoRoom => "no-room",
            Self::TooLarge => "too-large",
            Self::LoadFailed => "load-failed",
            Self::Deadline => "deadline",
            Self::QueueFull => "queue-full",
        }
    }
}

// === impl Error ===

impl Error {
    /// An error of this kind; the text is what the client reads.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), refusal: None }
    }

    /// This server is healthy and does not take the request: another one may.
    pub fn refused(refusal: Refusal, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: ErrorKind::Exhausted, message: message.into(), refusal: Some(refusal) }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// The model or version does not exist here.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// A fault of ours.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Why another server may take the request, if so.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        let mut status = tonic::Status::new(error.kind.code(), error.message.into_owned());
        if let Some(refusal) = error.refusal {
            status.metadata_mut().insert(REFUSED, MetadataValue::from_static(refusal.as_str()));
        }
        status
    }
}
