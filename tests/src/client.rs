//! A client without manners: any bytes in headers, bodies in pieces with pauses between, trailers, either protocol.

pub mod raw;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Sleep};

use crate::gateway::{Part, Protocol, Request};
use crate::headers::Headers;
use crate::host::Message;
use crate::upstream::from_http;

/// A body in pieces. It knows its last piece, so that over HTTP/2 the end of the stream is told with that piece.
struct Pieces {
    frames: VecDeque<(Duration, Frame<Bytes>)>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// A connection over HTTP/1 that stays open: one request at a time.
pub struct Http1Connection {
    sender: http1::SendRequest<Pieces>,
    _driver: Driver,
}

/// A connection over HTTP/2 that stays open; its clones share it.
#[derive(Clone)]
pub struct Http2Connection {
    sender: http2::SendRequest<Pieces>,
    _driver: Arc<Driver>,
}

/// The task that moves a connection's bytes; it ends with the connection.
struct Driver(AbortHandle);

/// Sends a request over a connection of its own and collects the answer.
pub async fn send(address: SocketAddr, request: Request) -> Result<Message> {
    match request.protocol {
        Protocol::Http1 => Http1Connection::open(address).await?.send(request).await,
        Protocol::Http2 => Http2Connection::open(address).await?.send(request).await,
    }
}

async fn connect(address: SocketAddr) -> Result<TokioIo<TcpStream>> {
    let connection = TcpStream::connect(address).await.context("cannot connect to the gateway")?;
    connection.set_nodelay(true)?;
    Ok(TokioIo::new(connection))
}

// === impl Http1Connection ===

impl Http1Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let (sender, driver) = http1::handshake(connect(address).await?).await?;
        Ok(Self { sender, _driver: Driver(tokio::spawn(driver).abort_handle()) })
    }

    /// Sends a request and collects the answer.
    pub async fn send(&mut self, request: Request) -> Result<Message> {
        self.sender.ready().await?;
        collect(self.sender.send_request(http_request(request)?).await?).await
    }
}

// === impl Http2Connection ===

impl Http2Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), connect(address).await?).await?;
        Ok(Self { sender, _driver: Arc::new(Driver(tokio::spawn(driver).abort_handle())) })
    }

    /// Sends a request and collects the answer.
    pub async fn send(&mut self, request: Request) -> Result<Message> {
        self.sender.ready().await?;
        collect(self.sender.send_request(http_request(request)?).await?).await
    }
}

// === impl Driver ===

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn collect(response: http::Response<Incoming>) -> Result<Message> {
    let (parts, mut body) = response.into_parts();
    let mut headers = Headers::new().with(":status", parts.status.as_str());
    for (name, value) in from_http(&parts.headers).iter() {
        headers.add(name, value);
    }
    let mut message = Message { headers, ..Message::default() };
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => message.body.extend_from_slice(&data),
            Err(frame) => message.trailers = frame.into_trailers().ok().map(|trailers| from_http(&trailers)),
        }
    }
    message.complete = true;
    Ok(message)
}

fn http_request(request: Request) -> Result<http::Request<Pieces>> {
    let pseudo = |name: &str| request.headers.text(name).ok_or_else(|| anyhow!("the request has no {name}"));
    let authority = pseudo(":authority")?;
    let path = pseudo(":path")?;
    let uri = match request.protocol {
        Protocol::Http1 => path,
        Protocol::Http2 => format!("http://{authority}{path}"),
    };
    let mut built = http::Request::builder().method(pseudo(":method")?.as_str()).uri(uri);
    if request.protocol == Protocol::Http1 {
        built = built.header(http::header::HOST, authority);
    }
    for (name, value) in request.headers.iter().filter(|(name, _)| !name.starts_with(b":")) {
        built = built.header(http::HeaderName::from_bytes(name)?, http::HeaderValue::from_bytes(value)?);
    }
    Ok(built.body(Pieces::new(request.body, request.trailers)?)?)
}

// === impl Pieces ===

impl Pieces {
    fn new(parts: Vec<Part>, trailers: Option<Headers>) -> Result<Self> {
        let mut frames: VecDeque<(Duration, Frame<Bytes>)> =
            parts.into_iter().map(|part| (part.after, Frame::data(Bytes::from(part.bytes)))).collect();
        if let Some(trailers) = trailers {
            let mut map = http::HeaderMap::new();
            for (name, value) in trailers.iter() {
                map.append(http::HeaderName::from_bytes(name)?, http::HeaderValue::from_bytes(value)?);
            }
            frames.push_back((Duration::ZERO, Frame::trailers(map)));
        }
        Ok(Self { frames, pause: None })
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        } else if let Some((pause, _)) = self.frames.front()
            && !pause.is_zero()
        {
            let mut pause = Box::pin(tokio::time::sleep(*pause));
            if pause.as_mut().poll(context).is_pending() {
                self.pause = Some(pause);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.frames.pop_front().map(|(_, frame)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
    }
}
