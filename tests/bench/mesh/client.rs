//! Connections that ask one question at a time and give the label that came back.

mod grpc;
mod rest;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::question::{Question, Rows};

/// A connection of either protocol.
pub(crate) enum Client {
    Rest(rest::Connection),
    Grpc(grpc::Connection),
}

// === impl Client ===

impl Client {
    /// JSON over HTTP/1.
    pub(crate) async fn rest(address: SocketAddr, rows: &Arc<Rows>) -> Result<Self> {
        Ok(Self::Rest(rest::Connection::open(address, rows.clone()).await?))
    }

    /// Unary calls over HTTP/2, raw contents.
    pub(crate) async fn grpc(address: SocketAddr, rows: &Arc<Rows>) -> Result<Self> {
        Ok(Self::Grpc(grpc::Connection::open(address, rows.clone()).await?))
    }

    /// Asks, and fails unless the answer is the one expected.
    pub(crate) async fn ask(&mut self, question: &Question) -> Result<()> {
        let answer = match self {
            Self::Rest(connection) => connection.ask(question).await,
            Self::Grpc(connection) => connection.ask(question).await,
        };
        let answer = answer.with_context(|| format!("{} does not answer", question.model))?;
        let Question { model, row, answer: expected } = question;
        ensure!(answer == *expected, "{model} says {answer} of row {row}, expected {expected}");
        Ok(())
    }
}
