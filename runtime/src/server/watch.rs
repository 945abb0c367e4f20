//! An answer watched from outside: the load report that it is to carry, and the trace that ends with it.
//!
//! Few requests are watched. All others pay for one look into their headers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Code;

use crate::orca::{Format, Reporter};
use crate::serving::Serving;
use crate::traces::{Trace, Traces};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Looks at requests and answers.
pub(super) struct Watcher {
    reporter: Reporter,
    traces: Traces,
}

/// A request that is watched.
pub(super) struct Watch {
    format: Option<Format>,
    /// Until there is an answer, which ends it.
    trace: Option<Trace>,
    request_bytes: Arc<AtomicU64>,
    is_grpc: bool,
}

/// Counts a request's bytes.
struct Counted {
    body: Body,
    bytes: Arc<AtomicU64>,
}

/// The body of an answer, to its end.
struct Watched {
    body: Body,
    watcher: Arc<Watcher>,
    /// A report for the trailers.
    format: Option<Format>,
    trace: Trace,
    status: Option<u16>,
    is_fault: bool,
    request_bytes: Arc<AtomicU64>,
    response_bytes: u64,
}

// === impl Watcher ===

impl Watcher {
    pub(super) fn new(serving: Arc<Serving>, traces: Traces) -> Arc<Self> {
        Arc::new(Self { reporter: Reporter::new(serving), traces })
    }

    /// Watches the request, if there is something to see.
    pub(super) fn begin<B>(&self, request: &Request<B>, is_grpc: bool) -> Option<Watch> {
        let format = Format::asked(request.headers());
        let trace = self.traces.begin(request);
        if format.is_none() && !trace.is_recording() {
            return None;
        }
        Some(Watch { format, trace: Some(trace), request_bytes: Arc::default(), is_grpc })
    }
}

// === impl Watch ===

impl Watch {
    /// The request, with its trace beside it.
    pub(super) fn request(&self, mut request: Request<Body>) -> Request<Body> {
        let Some(trace) = self.trace.as_ref().filter(|trace| trace.is_recording()) else { return request };
        request.extensions_mut().insert(trace.clone());
        let bytes = self.request_bytes.clone();
        request.map(|body| Body::new(Counted { body, bytes }))
    }

    /// The answer, watched to its end.
    pub(super) fn answer(mut self, watcher: Arc<Watcher>, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        // A call that failed before its first message has its trailers in front.
        let is_whole = parts.headers.contains_key(GRPC_STATUS);
        let has_trailers = self.is_grpc && !is_whole;
        if let Some(format) = self.format.filter(|_| !has_trailers) {
            let (name, value) = watcher.reporter.header(format);
            parts.headers.insert(name, value);
        }
        let format = self.format.filter(|_| has_trailers);
        let trace = self.trace.take().unwrap_or_default();
        if format.is_none() && !trace.is_recording() {
            return Response::from_parts(parts, body);
        }
        let (status, is_fault) = if self.is_grpc {
            grpc_status(&parts.headers)
        } else {
            (Some(parts.status.as_u16()), is_fault(parts.status))
        };
        let request_bytes = self.request_bytes.clone();
        let body = Watched { body, watcher, format, trace, status, is_fault, request_bytes, response_bytes: 0 };
        Response::from_parts(parts, Body::new(body))
    }
}

impl Drop for Watch {
    /// Given up before there was an answer.
    fn drop(&mut self) {
        if let Some(trace) = self.trace.take() {
            trace.ended(None, false, self.request_bytes.load(Ordering::Relaxed), 0);
        }
    }
}

fn is_fault(status: StatusCode) -> bool {
    status.is_server_error()
}

/// The status, and whether it is the server's fault as OpenTelemetry tells it.
fn grpc_status(headers: &HeaderMap) -> (Option<u16>, bool) {
    let Some(value) = headers.get(GRPC_STATUS) else { return (None, false) };
    let code = Code::from_bytes(value.as_bytes());
    let is_fault = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    (u16::try_from(i32::from(code)).ok(), is_fault)
}

// === impl Counted ===

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref) {
            self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Watched ===

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        let Some(Ok(mut frame)) = frame else { return Poll::Ready(frame) };
        if let Some(data) = frame.data_ref() {
            this.response_bytes += data.len() as u64;
        }
        if let Some(trailers) = frame.trailers_mut() {
            if let Some(format) = this.format.take() {
                let (name, value) = this.watcher.reporter.header(format);
                trailers.insert(name, value);
            }
            (this.status, this.is_fault) = grpc_status(trailers);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.trace.ended(self.status, self.is_fault, self.request_bytes.load(Ordering::Relaxed), self.response_bytes);
    }
}
