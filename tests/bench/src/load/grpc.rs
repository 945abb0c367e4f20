//! Unary gRPC calls over HTTP/2 without TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::{Call, Workload};

pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    calls: Arc<Vec<Call>>,
    body: Bytes,
    next: usize,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(gateway: SocketAddr, workload: &Workload, first: usize) -> Result<Self> {
        let socket = TcpStream::connect(gateway).await.context("cannot connect to the gateway")?;
        socket.set_nodelay(true)?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await?;
        tokio::spawn(driver);
        Ok(Self { sender, calls: workload.calls.clone(), body: workload.body.clone(), next: first })
    }

    pub(super) async fn run(&mut self, requests: usize) -> Result<()> {
        for _ in 0..requests {
            let calls = self.calls.clone();
            let Some(call) = calls.get(self.next % calls.len()) else { return Ok(()) };
            self.next += 1;
            self.exchange(call, false).await?;
        }
        Ok(())
    }

    pub(super) async fn probe(&mut self) -> Result<()> {
        let calls = self.calls.clone();
        let Some(call) = calls.first() else { return Ok(()) };
        self.exchange(call, true).await
    }

    async fn exchange(&mut self, call: &Call, is_probe: bool) -> Result<()> {
        let mut request = http::Request::post(format!("http://models.example{}", call.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in Workload::fields(call, is_probe) {
            request = request.header(name, value);
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(self.body.clone()))?).await?;
        ensure!(answer.status() == 200, "the gateway answers {:?}", answer.headers());
        let mut status = answer.headers().get("grpc-status").cloned();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(trailers) = frame?.into_trailers() {
                status = trailers.get("grpc-status").cloned();
            }
        }
        match status {
            Some(status) if status == "0" => Ok(()),
            other => bail!("the gateway answers with grpc-status {other:?}"),
        }
    }
}
