//! HTTP/1.1 with keep-alive, written out beforehand: the client must not take the processor that the gateway needs.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes, BytesMut};
use modelway_bench::http1::{content_length, head_end};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Call, Workload};

const MOST_HEAD: usize = 16 * 1024;

pub(super) struct Connection {
    socket: TcpStream,
    heads: Vec<Bytes>,
    probe: Bytes,
    body: Bytes,
    next: usize,
    received: BytesMut,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn open(gateway: SocketAddr, workload: &Workload, first: usize) -> Result<Self> {
        let socket = TcpStream::connect(gateway).await.context("cannot connect to the gateway")?;
        socket.set_nodelay(true)?;
        let body = workload.body.clone();
        let heads = workload.calls.iter().map(|call| head(call, body.len(), false)).collect();
        let probe = workload.calls.first().map(|call| head(call, body.len(), true)).unwrap_or_default();
        Ok(Self { socket, heads, probe, body, next: first, received: BytesMut::with_capacity(MOST_HEAD) })
    }

    pub(super) async fn run(&mut self, requests: usize) -> Result<()> {
        for _ in 0..requests {
            let Some(head) = self.heads.get(self.next % self.heads.len()).cloned() else { return Ok(()) };
            self.next += 1;
            self.exchange(head).await?;
        }
        Ok(())
    }

    pub(super) async fn probe(&mut self) -> Result<()> {
        self.exchange(self.probe.clone()).await
    }

    async fn exchange(&mut self, head: Bytes) -> Result<()> {
        self.socket.write_all_buf(&mut head.chain(self.body.clone())).await.context("the gateway hangs up")?;
        let end = loop {
            if let Some(end) = head_end(&self.received) {
                break end;
            }
            if self.received.len() > MOST_HEAD || self.socket.read_buf(&mut self.received).await? == 0 {
                bail!("the gateway's answer ends in its head: {:?}", String::from_utf8_lossy(&self.received));
            }
        };
        let answer = self.received.split_to(end);
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!("the gateway answers {:?}", String::from_utf8_lossy(&answer));
        }
        let length = content_length(&answer).context("an answer without a content-length")?;
        while self.received.len() < length {
            if self.socket.read_buf(&mut self.received).await? == 0 {
                bail!("the gateway's answer ends in its body");
            }
        }
        self.received.advance(length);
        Ok(())
    }
}

fn head(call: &Call, length: usize, is_probe: bool) -> Bytes {
    let mut head = format!("POST {} HTTP/1.1\r\nhost: models.example\r\n", call.path);
    for (name, value) in Workload::fields(call, is_probe) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n"));
    head.into()
}
