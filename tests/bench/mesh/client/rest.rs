//! HTTP/1.1 with keep-alive, by hand: the client must not take the processor that the runtime needs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, BytesMut};
use modelway_bench::http1::{content_length, head_end};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::question::{Question, Rows};

const MOST_HEAD: usize = 16 * 1024;

pub(crate) struct Connection {
    socket: TcpStream,
    rows: Arc<Rows>,
    sent: BytesMut,
    received: BytesMut,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    model_name: &'a str,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    data: Vec<i64>,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(address: SocketAddr, rows: Arc<Rows>) -> Result<Self> {
        let socket = TcpStream::connect(address).await.context("cannot connect to the runtime")?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, rows, sent: BytesMut::new(), received: BytesMut::with_capacity(MOST_HEAD) })
    }

    pub(super) async fn ask(&mut self, question: &Question) -> Result<i64> {
        let body = self.rows.json(question.row);
        let (model, length) = (&question.model, body.len());
        let head = format!(
            "POST /v2/models/{model}/infer HTTP/1.1\r\nhost: models.example\r\nuser-agent: modelway-bench/1\r\n\
             accept: */*\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.sent.clear();
        self.sent.put_slice(head.as_bytes());
        self.sent.put_slice(&body);
        self.socket.write_all(&self.sent).await.context("the runtime hangs up")?;
        let end = loop {
            if let Some(end) = head_end(&self.received) {
                break end;
            }
            ensure!(self.received.len() < MOST_HEAD, "the answer's head does not end");
            self.read().await?;
        };
        let head = self.received.split_to(end);
        let length = content_length(&head).context("an answer without a content-length")?;
        while self.received.len() < length {
            self.read().await?;
        }
        let body = self.received.get(..length).unwrap_or_default();
        if !head.starts_with(b"HTTP/1.1 200") {
            bail!("{}{}", String::from_utf8_lossy(&head), String::from_utf8_lossy(body));
        }
        let answer: Answer<'_> = serde_json::from_slice(body)?;
        ensure!(answer.model_name == question.model, "'{}' answers", answer.model_name);
        let label = answer.outputs.first().and_then(|output| output.data.first()).copied();
        self.received.advance(length);
        label.context("an answer without a value")
    }

    async fn read(&mut self) -> Result<()> {
        let length = self.socket.read_buf(&mut self.received).await.context("the runtime hangs up")?;
        ensure!(length > 0, "the answer ends too early: {:?}", String::from_utf8_lossy(&self.received));
        Ok(())
    }
}
