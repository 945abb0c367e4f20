//! Unary gRPC calls over HTTP/2 without TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

use modelway_tests::inference::messages;

use crate::question::{Question, Rows};

const METHOD: &str = "http://models.example/inference.GRPCInferenceService/ModelInfer";

pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    rows: Arc<Rows>,
}

/// `ModelInferResponse`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    raw_output_contents: Vec<Bytes>,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(address: SocketAddr, rows: Arc<Rows>) -> Result<Self> {
        let socket = TcpStream::connect(address).await.context("cannot connect to the runtime")?;
        socket.set_nodelay(true)?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
        tokio::spawn(driver);
        Ok(Self { sender, rows })
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<i64> {
        let request = http::Request::post(METHOD)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "modelway-bench/1")
            .body(Full::new(self.rows.frame(&question.model, question.row)))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let mut status = answer.headers().get("grpc-status").cloned();
        let mut text = answer.headers().get("grpc-message").cloned();
        let (mut body, mut received) = (answer.into_body(), BytesMut::new());
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => received.extend_from_slice(&data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        status = trailers.get("grpc-status").cloned();
                        text = trailers.get("grpc-message").cloned();
                    }
                }
            }
        }
        ensure!(status.as_ref().is_some_and(|status| status == "0"), "grpc-status {status:?}, {text:?}");
        let message = messages(&received).and_then(|messages| messages.first().copied()).context("no message")?;
        let response = Response::decode(message)?;
        ensure!(response.model_name == question.model, "'{}' answers", response.model_name);
        let raw = response.raw_output_contents.first().context("an answer without a value")?;
        let label = raw.as_ref().try_into().with_context(|| format!("{} bytes of values, expected 8", raw.len()))?;
        Ok(i64::from_le_bytes(label))
    }
}
