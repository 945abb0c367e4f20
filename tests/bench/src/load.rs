//! The clients: a few connections, each with one request under way.

mod grpc;
mod http1;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::try_join_all;

use crate::upstream::PROBE;

const CONNECTIONS: usize = 4;

/// Requests of one kind: they differ in their heads, not in their body.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    /// Paths and users; the requests take them in turn.
    pub(crate) calls: Arc<Vec<Call>>,
    pub(crate) body: Bytes,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// JSON over HTTP/1.
    Rest,
    /// A unary call over HTTP/2; the body is one frame.
    Grpc,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) user: String,
}

/// Connections to one gateway for one workload.
pub(crate) struct Load {
    connections: Vec<Connection>,
}

enum Connection {
    Rest(http1::Connection),
    Grpc(grpc::Connection),
}

// === impl Load ===

impl Load {
    pub(crate) async fn connect(gateway: SocketAddr, workload: &Workload) -> Result<Self> {
        let mut connections = Vec::new();
        for number in 0..CONNECTIONS {
            // Each connection starts elsewhere among the calls.
            let first = number * workload.calls.len() / CONNECTIONS;
            connections.push(match workload.protocol {
                Protocol::Rest => Connection::Rest(http1::Connection::open(gateway, workload, first).await?),
                Protocol::Grpc => Connection::Grpc(grpc::Connection::open(gateway, workload, first).await?),
            });
        }
        Ok(Self { connections })
    }

    /// Sends this many requests and waits for their answers. The number is rounded up to a multiple of the connections.
    pub(crate) async fn run(&mut self, requests: usize) -> Result<usize> {
        let each = requests.div_ceil(CONNECTIONS);
        try_join_all(self.connections.iter_mut().map(|connection| connection.run(each))).await?;
        Ok(each * CONNECTIONS)
    }

    /// Sends one request that the upstream keeps.
    pub(crate) async fn probe(&mut self) -> Result<()> {
        match self.connections.first_mut() {
            Some(Connection::Rest(connection)) => connection.probe().await,
            Some(Connection::Grpc(connection)) => connection.probe().await,
            None => Ok(()),
        }
    }
}

impl Connection {
    async fn run(&mut self, requests: usize) -> Result<()> {
        match self {
            Self::Rest(connection) => connection.run(requests).await,
            Self::Grpc(connection) => connection.run(requests).await,
        }
    }
}

impl Workload {
    /// The head's fields that both protocols share, as a client behind a login would send them.
    fn fields(call: &Call, is_probe: bool) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("user-agent", "modelway-bench/1".to_owned()),
            ("accept", "*/*".to_owned()),
            ("x-user-id", call.user.clone()),
            ("cookie", format!("session=8d1c0c5ab6f54f7d; mw-user={}", call.user)),
        ];
        if is_probe {
            fields.push((PROBE, "1".to_owned()));
        }
        fields
    }
}
