//! The upstream of every gateway: reads each request to its end and gives a small answer, over HTTP/1 and HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

use crate::threads;

/// A request with this header is kept for [`Upstream::last_probe`].
pub(crate) const PROBE: &str = "x-bench-probe";

const REST_ANSWER: &[u8] =
    br#"{"model_name":"iris","outputs":[{"name":"predict","shape":[1],"datatype":"INT64","data":[8]}]}"#;
/// A frame with an empty message.
const GRPC_ANSWER: &[u8] = b"\0\0\0\0\0";

/// What of a request the upstream has got.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Probe = Arc<Mutex<Option<Received>>>;

/// A running upstream, on a thread of its own.
pub(crate) struct Upstream {
    address: SocketAddr,
    probe: Probe,
}

// === impl Upstream ===

impl Upstream {
    pub(crate) fn start() -> Result<Self> {
        let probe = Probe::default();
        let kept = probe.clone();
        let (address, _) = threads::serve("upstream", move |listener| accept(listener, kept))?;
        Ok(Self { address, probe })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The last request that was marked as a probe.
    pub(crate) fn last_probe(&self) -> Result<Received> {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        probe.take().ok_or_else(|| anyhow!("the probe has not reached the upstream"))
    }
}

async fn accept(listener: TcpListener, probe: Probe) {
    loop {
        // A connection that broke before it was accepted is its client's matter.
        let Ok((connection, _)) = listener.accept().await else { continue };
        // Without it answers would wait for a full segment.
        let _ = connection.set_nodelay(true);
        let probe = probe.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, probe.clone()));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20);
            // A client that goes away ends the connection with an error; nobody waits for it.
            let _ = server.serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

type Frames = stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

async fn answer(request: Request<Incoming>, probe: Probe) -> Result<Response<StreamBody<Frames>>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let is_grpc =
        head.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    if head.headers.contains_key(PROBE) {
        let received = Received {
            path: head.uri.path().to_owned(),
            headers: head.headers,
            body: body.collect().await?.to_bytes(),
        };
        *probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(received);
    } else {
        while let Some(frame) = body.frame().await {
            frame?;
        }
    }
    let (content_type, frames) = if is_grpc {
        let trailers =
            HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
        ("application/grpc", vec![Ok(Frame::data(Bytes::from_static(GRPC_ANSWER))), Ok(Frame::trailers(trailers))])
    } else {
        ("application/json", vec![Ok(Frame::data(Bytes::from_static(REST_ANSWER)))])
    };
    let mut response = Response::new(StreamBody::new(stream::iter(frames)));
    response.headers_mut().insert("content-type", HeaderValue::from_static(content_type));
    if !is_grpc {
        response.headers_mut().insert("content-length", HeaderValue::from(REST_ANSWER.len()));
    }
    Ok(response)
}
