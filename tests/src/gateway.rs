//! A gateway under test, whichever it is: the host with the built module, or a real Envoy.

mod in_envoy;
mod in_host;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use crate::answer::{ANSWER_HEADER, Answer};
use crate::headers::Headers;
pub use crate::host::Message;
pub use in_envoy::EnvoyGateway;
pub use in_host::HostGateway;

/// How long a client waits for its answer before a case counts it as never answered.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// The header by which the upstream tells apart what it receives.
pub const REQUEST_MARK: &str = "x-test-request";
/// What the gateway's route adds on the way to the upstream: which of the two routes was taken.
pub const ROUTE_MARK: &str = "x-test-route";

const SMALLEST_HTTP2_WINDOW: u32 = 65_535;

/// How a gateway is set up. Cases with equal setups may share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Tells apart gateways that must not be shared.
    pub label: &'static str,
    /// The plugin configuration, as JSON.
    pub routing: String,
    /// `allow_on_headers_stop_iteration`.
    pub stop_iteration: bool,
    /// `per_connection_buffer_limit_bytes` of the listener.
    pub buffer_limit: u32,
    /// `request_body_buffer_limit` of the route.
    pub route_body_limit: Option<u64>,
    /// A transcoder from REST to gRPC beside the filter, which only the real gateway has.
    pub transcoder: Option<Transcoder>,
    /// For Envoy alone: another filter before ours, as JSON.
    pub filter_before: Option<String>,
    /// For Envoy alone: the format of an access log that goes where Envoy's own log goes.
    pub access_log: Option<&'static str>,
    /// For Envoy alone: its worker threads, each with the filter in a virtual machine of its own.
    pub workers: u32,
}

/// Where the transcoder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transcoder {
    /// The filter sees gRPC.
    BeforeFilter,
    /// The filter sees REST.
    BehindFilter,
}

/// The protocol between client and gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS.
    Http2,
}

/// A piece of a body, and how long the client waits before it sends it.
#[derive(Clone, Debug)]
pub struct Part {
    /// The pause before it.
    pub after: Duration,
    /// The bytes, sent in one go.
    pub bytes: Vec<u8>,
}

/// What a client sends.
#[derive(Clone, Debug)]
pub struct Request {
    /// Over which protocol.
    pub protocol: Protocol,
    /// All header fields, `:method` and `:path` among them.
    pub headers: Headers,
    /// The body in the pieces that the client sends it in; none: the headers end the request.
    pub body: Vec<Part>,
    /// Trailers behind the body.
    pub trailers: Option<Headers>,
    /// How long the client waits for its answer before it goes away.
    pub patience: Duration,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What the client got; `None`: no answer within [`PATIENCE`], or the connection broke.
    pub answer: Option<Message>,
    /// Why there is no answer.
    pub failure: Option<String>,
    /// What the upstream got, if anything.
    pub upstream: Option<Message>,
    /// From the first byte sent to the end of the answer.
    pub took: Duration,
}

/// Counters and gauges by name.
pub type Stats = BTreeMap<String, u64>;

/// A running gateway with a recording upstream behind it.
pub trait Gateway {
    /// Sends all of these at the same time and waits for what comes of each.
    fn exchange(&mut self, requests: Vec<Request>) -> Result<Vec<Exchange>>;

    /// The filter's counters and gauges by their names, labels and all.
    fn stats(&mut self) -> Result<Stats>;

    /// The lines that the filter has logged.
    fn log(&mut self) -> Result<Vec<String>>;
}

// === impl Setup ===

impl Setup {
    /// A gateway with the flag set and Envoy's usual limits.
    pub fn new(routing: &serde_json::Value) -> Self {
        Self {
            label: "shared",
            routing: routing.to_string(),
            stop_iteration: true,
            buffer_limit: 1 << 20,
            route_body_limit: None,
            transcoder: None,
            filter_before: None,
            access_log: None,
            workers: 1,
        }
    }

    /// A gateway with the routing of the mesh file `docs/examples/NAME.yaml`, not to be shared with other examples.
    ///
    /// # Panics
    /// Where there is no such file, or it is no YAML.
    pub fn example(name: &str) -> Self {
        Self::new(&crate::examples::routing(name))
    }

    /// The same, not to be shared with cases of another label.
    #[must_use]
    pub fn labelled(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// The same with `allow_on_headers_stop_iteration` left out.
    #[must_use]
    pub fn without_stop_iteration(self) -> Self {
        Self { stop_iteration: false, ..self }
    }

    /// The same with another buffer limit.
    #[must_use]
    pub fn with_buffer_limit(self, buffer_limit: u32) -> Self {
        Self { buffer_limit, ..self }
    }

    /// The same with a transcoder.
    #[must_use]
    pub fn with_transcoder(self, place: Transcoder) -> Self {
        Self { transcoder: Some(place), ..self }
    }

    /// The same with so many workers.
    #[must_use]
    pub fn with_workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    /// The window of an HTTP/2 stream, which is also its buffer limit: as small as `buffer_limit` or as HTTP/2 allows.
    pub(crate) fn http2_window(&self) -> u32 {
        self.buffer_limit.max(SMALLEST_HTTP2_WINDOW)
    }
}

// === impl Request ===

impl Request {
    /// A request without a body.
    pub fn new(protocol: Protocol, method: &str, path: &str) -> Self {
        let headers = Headers::new()
            .with(":method", method)
            .with(":path", path)
            .with(":authority", "models.example")
            .with(":scheme", "http");
        Self { protocol, headers, body: Vec::new(), trailers: None, patience: PATIENCE }
    }

    /// A `GET` over HTTP/1.
    pub fn get(path: &str) -> Self {
        Self::new(Protocol::Http1, "GET", path)
    }

    /// A JSON `POST` over HTTP/1 with its length told.
    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Protocol::Http1, "POST", path).header("content-type", "application/json").whole_body(body)
    }

    /// A unary or streaming gRPC call with these frames as its body.
    pub fn grpc(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(Protocol::Http2, "POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .parts([body.into()])
    }

    /// The same over the other protocol.
    #[must_use]
    pub fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name.as_bytes(), value.as_ref());
        self
    }

    /// The same with this body in one piece and its length in `content-length`.
    #[must_use]
    pub fn whole_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        self.headers.replace(b"content-length", body.len().to_string().as_bytes());
        self.body = vec![Part { after: Duration::ZERO, bytes: body }];
        self
    }

    /// The same with this body in pieces, its length not told.
    #[must_use]
    pub fn parts(mut self, parts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.body = parts.into_iter().map(|bytes| Part { after: Duration::ZERO, bytes }).collect();
        self
    }

    /// The same with a pause before its body.
    #[must_use]
    pub fn after(mut self, pause: Duration) -> Self {
        if let Some(first) = self.body.first_mut() {
            first.after = pause;
        }
        self
    }

    /// The same, to be answered so by the upstream.
    #[must_use]
    pub fn answered_by(self, answer: &Answer) -> Self {
        self.header(ANSWER_HEADER, answer.to_text())
    }

    /// The same from a client that goes away if it has no answer by then.
    #[must_use]
    pub fn gives_up_after(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The whole body.
    pub fn body_bytes(&self) -> Vec<u8> {
        self.body.iter().flat_map(|part| part.bytes.iter().copied()).collect()
    }
}

/// Whether a message's content type is gRPC's.
pub(crate) fn is_grpc(headers: &Headers) -> bool {
    headers.get("content-type").is_some_and(|value| value.starts_with(b"application/grpc"))
}
