//! Questions to a runtime and to the gateway, over REST and gRPC, until the answer is the right one.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use modelway_runtime::proto::{ModelReadyRequest, ModelReadyResponse};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long a part of the mesh may take to become ready.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// The response header by which the filter proves that it has seen a request.
const MODEL_HEADER: &str = "x-modelway-model";

/// An answer, whole.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// Empty over HTTP/1.
    trailers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Asks until it succeeds; past the deadline the last failure is the error.
pub(crate) async fn until_deadline<T>(what: &str, ask: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("waited {} s until {what}", DEADLINE.as_secs())));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Waits until a runtime says that it is ready.
pub(crate) async fn runtime_is_ready(address: SocketAddr) -> anyhow::Result<()> {
    until_deadline(&format!("the runtime at {address} is ready"), async || {
        let answer = get(address, "/v2/health/ready").await?;
        if answer.is_ok() { Ok(()) } else { bail!("{answer}") }
    })
    .await
}

/// Whether a model is ready, asked over gRPC and over REST through the filter.
pub(crate) async fn model_is_ready(gateway: SocketAddr, model: &str) -> anyhow::Result<()> {
    let over_grpc = grpc_model_ready(gateway, model).await.context("over gRPC")?;
    over_grpc.expect_filter().context("over gRPC")?;
    // Asked before the gRPC answer is looked at: REST says why a model is not ready.
    let over_rest = get(gateway, &format!("/v2/models/{model}/ready")).await.context("over REST")?;
    over_rest.expect_filter().context("over REST")?;
    if !over_rest.is_ok() {
        bail!("over REST: {over_rest}");
    }
    let message = over_grpc.grpc_message().context("over gRPC")?;
    if !ModelReadyResponse::decode(message).context("over gRPC")?.ready {
        bail!("over gRPC: it is not ready");
    }
    Ok(())
}

/// One GET request over HTTP/1.1, on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path).header(http::header::HOST, address.to_string());
        let request = request.body(Empty::<Bytes>::new())?;
        let driver = tokio::spawn(connection);
        let answer = Answer::collect(sender.send_request(request).await?).await;
        driver.abort();
        answer
    };
    timeout(PATIENCE, exchange).await.with_context(|| format!("no answer to GET {path} in {PATIENCE:?}"))?
}

/// One `ModelReady` call, on a connection of its own.
async fn grpc_model_ready(address: SocketAddr, model: &str) -> anyhow::Result<Answer> {
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let request = Request::post(format!("http://{address}/inference.GRPCInferenceService/ModelReady"))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(Full::new(grpc_frame(&ModelReadyRequest { name: model.to_owned(), version: String::new() })?))?;
        let driver = tokio::spawn(connection);
        let answer = Answer::collect(sender.send_request(request).await?).await;
        driver.abort();
        answer
    };
    timeout(PATIENCE, exchange).await.with_context(|| format!("no answer to ModelReady in {PATIENCE:?}"))?
}

/// A message as gRPC sends it: not compressed, its length, its bytes.
fn grpc_frame(message: &impl Message) -> anyhow::Result<Bytes> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length)?);
    message.encode(&mut frame)?;
    Ok(frame.freeze())
}

// === impl Answer ===

impl Answer {
    async fn collect(response: http::Response<hyper::body::Incoming>) -> anyhow::Result<Self> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status: parts.status, headers: parts.headers, trailers, body: body.to_bytes() })
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == StatusCode::OK
    }

    fn expect_filter(&self) -> anyhow::Result<()> {
        if self.headers.contains_key(MODEL_HEADER) {
            return Ok(());
        }
        bail!("no {MODEL_HEADER} in the answer, so the filter has not seen the request: {self}")
    }

    /// The message of a unary gRPC answer, or its status as an error.
    fn grpc_message(&self) -> anyhow::Result<&[u8]> {
        let field = |name| self.trailers.get(name).or_else(|| self.headers.get(name));
        let text = |name| field(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        match text("grpc-status").as_deref() {
            Some("0") => {}
            Some(status) => bail!("grpc-status {status}: {}", text("grpc-message").unwrap_or_default()),
            None => bail!("no grpc-status: {self}"),
        }
        self.body.get(5..).context("the answer is shorter than a gRPC frame")
    }
}

/// Status and the beginning of the body, for errors.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(self.body.get(..300).unwrap_or(&self.body));
        write!(f, "{} {}", self.status, body.trim_end())
    }
}
