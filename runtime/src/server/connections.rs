//! Accepting connections, and letting go of them.

use std::convert::Infallible;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::error::Error;
use crate::server::authority::AnyAuthority;
use crate::server::listener::Listener;
use crate::server::watch::Watcher;
use crate::{grpc, rest};

/// Bytes of one HTTP/2 stream that may be under way to us: a large tensor must not wait for
/// window updates.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for a connection, on which a gateway sends many requests at once.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Bytes of one HTTP/2 frame: fewer, larger frames for large tensors.
const FRAME: u32 = 1 << 20;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 1024;

/// A peer that vanished without a word is noticed after the interval and this much more.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no file descriptor or memory for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the end of a stream has to reach its client before the connection is cut off.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The connections of all listeners.
pub(super) struct Connections {
    accepting: JoinSet<()>,
    open: TaskTracker,
    phase: Phase,
}

/// Tells every connection how far the end is.
#[derive(Clone, Default)]
struct Phase {
    /// Finish what is in flight and close.
    closing: CancellationToken,
    /// Close now.
    cut_off: CancellationToken,
}

// === impl Connections ===

impl Connections {
    /// Accepts from now on, in tasks of its own.
    pub(super) fn accept(
        listeners: impl IntoIterator<Item = Listener>,
        router: &Router,
        watcher: &Arc<Watcher>,
    ) -> Self {
        let (mut accepting, open, phase) = (JoinSet::new(), TaskTracker::new(), Phase::default());
        for listener in listeners {
            let (router, watcher) = (router.clone(), watcher.clone());
            accepting.spawn(accept_from(listener, router, watcher, open.clone(), phase.clone()));
        }
        Self { accepting, open, phase }
    }

    /// Connections that are open.
    pub(super) fn count(&self) -> usize {
        self.open.len()
    }

    /// Accepts no more, and returns when every connection has finished or was cut off, a moment after `farewell` was
    /// cancelled.
    pub(super) async fn finish(mut self, timeout: Duration, farewell: &CancellationToken) {
        self.accepting.shutdown().await;
        self.open.close();
        self.phase.closing.cancel();
        if tokio::time::timeout(timeout, self.open.wait()).await.is_err() {
            let seconds = timeout.as_secs_f64();
            tracing::warn!(seconds, connections = self.open.len(), "requests were still in flight, cut off");
            farewell.cancel();
            let _ = tokio::time::timeout(LAST_WORDS, self.open.wait()).await;
            self.phase.cut_off.cancel();
            self.open.wait().await;
        }
    }
}

async fn accept_from(listener: Listener, router: Router, watcher: Arc<Watcher>, open: TaskTracker, phase: Phase) {
    let builder = Arc::new(connection_builder());
    loop {
        let (router, watcher) = (router.clone(), watcher.clone());
        let (builder, phase) = (builder.clone(), phase.clone());
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                // Without it small answers wait for acknowledgements; a connection where it fails works slower.
                let _ = stream.set_nodelay(true);
                open.spawn(serve_connection(stream, router, watcher, builder, phase));
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                open.spawn(serve_connection(AnyAuthority::new(stream), router, watcher, builder, phase));
            }),
        };
        match accepted {
            Ok(()) => {}
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections, trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The peer gave up before it was accepted; the next one may not have.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Arc<Watcher>,
    builder: Arc<Builder<TokioExecutor>>,
    phase: Phase,
) {
    let service = service_fn(move |request| answer(router.clone(), watcher.clone(), request));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        result = connection.as_mut() => return log_end(result),
        () = phase.closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        result = connection => log_end(result),
        () = phase.cut_off.cancelled() => {}
    }
}

/// A connection that breaks off is its peer's affair.
fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Whatever happens, there is an answer, in the words of the protocol that was spoken.
async fn answer(mut router: Router, watcher: Arc<Watcher>, request: Request<Incoming>) -> Result<Response, Infallible> {
    let is_grpc = grpc::is_grpc(&request);
    let watch = watcher.begin(&request, is_grpc);
    let request = request.map(Body::new);
    let request = match &watch {
        Some(watch) => watch.request(request),
        None => request,
    };
    let response = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind().await;
    let response = response.unwrap_or_else(|_| {
        let error = Error::internal("the server failed on this request, see its log");
        Ok(if is_grpc { grpc::failure(error) } else { rest::failure(&error) })
    });
    Ok(match (watch, response) {
        (Some(watch), Ok(response)) => watch.answer(watcher, response),
        (None, Ok(response)) => response,
        (_, Err(never)) => match never {},
    })
}
