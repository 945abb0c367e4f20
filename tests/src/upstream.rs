//! A recording upstream: HTTP/1 and HTTP/2 on one port, keeps what it receives, and answers every request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::answer::Answer;
use crate::gateway::{REQUEST_MARK, is_grpc};
use crate::headers::Headers;
use crate::host::Message;

/// The header in which an upstream says what really served.
pub const SERVED: &str = "iris/7@sha256:0123";
/// What an upstream puts into the headers that only the filter may set.
pub const FORGED: &str = "forged-by-upstream";

type Records = Arc<Mutex<BTreeMap<String, Message>>>;
type AnswerBody = StreamBody<frames::Frames>;

/// A running upstream; it stops with the runtime that it was started on.
pub struct Upstream {
    address: SocketAddr,
    records: Records,
}

/// The body of every answer that is not gRPC.
pub const ANSWER: &[u8] = b"{\"ok\":true}";
/// An empty gRPC message, the answer to each message received.
pub const GRPC_ANSWER: &[u8] = b"\0\0\0\0\0";

// === impl Upstream ===

impl Upstream {
    /// Listens on a free port of the loopback interface.
    pub fn start(runtime: &Handle) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let records = Records::default();
        runtime.spawn(accept(listener, records.clone()));
        Ok(Self { address, records })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has received under this mark, which is forgotten then.
    pub fn take(&self, mark: &str) -> Option<Message> {
        lock(&self.records).remove(mark)
    }

    /// Whether all of what was sent under this mark has come.
    pub fn has_all(&self, mark: &str) -> bool {
        lock(&self.records).get(mark).is_some_and(|message| message.complete)
    }
}

fn lock(records: &Records) -> std::sync::MutexGuard<'_, BTreeMap<String, Message>> {
    records.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, records: Records) {
    while let Ok((connection, _)) = listener.accept().await {
        let records = records.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, records.clone()));
            // A client that goes away in the middle is part of some cases.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(request: http::Request<Incoming>, records: Records) -> Result<http::Response<AnswerBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let headers = request_headers(&parts);
    let grpc = is_grpc(&headers);
    let asked = Answer::asked_by(&headers);
    let answer_head = asked.head(&headers);
    let pieces = asked.pieces(&headers);
    let mark = headers.text(REQUEST_MARK).unwrap_or_default();
    lock(&records).insert(mark.clone(), Message { headers, ..Message::default() });

    let (frames, answer_body) = mpsc::unbounded_channel();
    match pieces {
        Some(pieces) if grpc => {
            tokio::spawn(record_grpc(body, records, mark, frames, (asked, pieces)));
        }
        pieces => {
            record(body, &records, &mark, |_| {}).await;
            if asked.never {
                std::future::pending::<()>().await;
            }
            for piece in pieces.into_iter().flatten() {
                let _ = frames.send(Frame::data(piece.into()));
            }
        }
    }

    let mut response = http::Response::new(StreamBody::new(frames::Frames(answer_body)));
    for (name, value) in answer_head.iter() {
        if name == b":status" {
            *response.status_mut() = http::StatusCode::from_bytes(value).unwrap_or_default();
        } else if let (Ok(name), Ok(value)) = (http::HeaderName::from_bytes(name), http::HeaderValue::from_bytes(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    Ok(response)
}

/// Answers each message as it comes, so that a client may wait for an answer in the middle of its stream.
/// Another answer than the usual one comes when the request has ended.
async fn record_grpc(
    body: Incoming,
    records: Records,
    mark: String,
    frames: mpsc::UnboundedSender<Frame<Bytes>>,
    (asked, pieces): (Answer, Vec<Vec<u8>>),
) {
    let mut answered = 0;
    record(body, &records, &mark, |received| {
        let complete = if asked.body.is_none() { complete_grpc_messages(received) } else { 0 };
        while answered < complete {
            let _ = frames.send(Frame::data(Bytes::from_static(GRPC_ANSWER)));
            answered += 1;
        }
    })
    .await;
    if asked.never {
        std::future::pending::<()>().await;
    }
    for piece in pieces.into_iter().filter(|_| asked.body.is_some()) {
        let _ = frames.send(Frame::data(piece.into()));
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from(asked.grpc_status));
    let _ = frames.send(Frame::trailers(trailers));
}

fn complete_grpc_messages(body: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = body;
    while let Some(length) = rest.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) {
        let Some(behind) = rest.get(5 + length as usize..) else { break };
        rest = behind;
        count += 1;
    }
    count
}

async fn record(mut body: Incoming, records: &Records, mark: &str, mut seen: impl FnMut(&[u8])) {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        let mut held = lock(records);
        let Some(message) = held.get_mut(mark) else { return };
        match frame.into_data() {
            Ok(data) => message.body.extend_from_slice(&data),
            Err(frame) => message.trailers = frame.into_trailers().ok().map(|trailers| from_http(&trailers)),
        }
        seen(&message.body);
    }
    if let Some(message) = lock(records).get_mut(mark) {
        message.complete = true;
    }
}

fn request_headers(parts: &http::request::Parts) -> Headers {
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let mut headers = Headers::new().with(":method", parts.method.as_str()).with(":path", path);
    if let Some(authority) = parts.uri.authority() {
        headers.add(b":authority", authority.as_str().as_bytes());
    }
    for (name, value) in from_http(&parts.headers).iter() {
        headers.add(name, value);
    }
    headers
}

/// The fields of a map of the `http` crate.
pub(crate) fn from_http(map: &http::HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// A channel of body frames as a stream.
mod frames {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use futures_util::Stream;
    use hyper::body::Frame;
    use tokio::sync::mpsc::UnboundedReceiver;

    pub(super) struct Frames(pub(super) UnboundedReceiver<Frame<Bytes>>);

    impl Stream for Frames {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.poll_recv(context).map(|frame| frame.map(Ok))
        }
    }
}
