//! Load at a steady rate: requests are sent when they are due, however long the earlier ones take, so that a gateway
//! that stalls is seen to stall.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;

use crate::client::{Http1Connection, Http2Connection};
use crate::gateway::{Message, Protocol, Request};

/// Connections over HTTP/2, among which the requests are dealt out.
const HTTP2_CONNECTIONS: usize = 4;

/// What came of one request.
#[derive(Debug)]
pub struct Sample {
    /// Its number, from 0.
    pub number: u64,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was complete, or it had failed.
    pub answered: Instant,
    /// The answer, or why there is none.
    pub answer: Result<Message, String>,
}

/// The clients: connections stay open, as those of a mesh's clients do.
pub struct Clients {
    address: SocketAddr,
    idle: Mutex<Vec<Http1Connection>>,
    shared: Vec<Http2Connection>,
}

/// Sends `count` requests, `rate` a second, and gives what came of each in their order. `request` makes the request of
/// a number.
pub async fn run(address: SocketAddr, rate: u32, count: u64, request: impl Fn(u64) -> Request) -> Result<Vec<Sample>> {
    let clients = Arc::new(Clients::open(address).await?);
    let interval = Duration::from_secs(1) / rate;
    let started = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..count {
        let due = started + interval.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        tokio::time::sleep_until(due.into()).await;
        let (clients, request) = (clients.clone(), request(number));
        running.spawn(async move { clients.ask(number, request).await });
    }
    let mut samples = running.join_all().await;
    samples.sort_unstable_by_key(|sample| sample.number);
    Ok(samples)
}

// === impl Clients ===

impl Clients {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let mut shared = Vec::new();
        for _ in 0..HTTP2_CONNECTIONS {
            shared.push(Http2Connection::open(address).await?);
        }
        Ok(Self { address, idle: Mutex::default(), shared })
    }

    /// Sends a request and waits for its answer as long as its client does.
    pub async fn ask(&self, number: u64, request: Request) -> Sample {
        let (sent, patience) = (Instant::now(), request.patience);
        let answer = tokio::time::timeout(patience, self.send(number, request)).await;
        let answer = answer.context("no answer in time").and_then(|answer| answer);
        Sample { number, sent, answered: Instant::now(), answer: answer.map_err(|error| format!("{error:#}")) }
    }

    async fn send(&self, number: u64, request: Request) -> Result<Message> {
        match request.protocol {
            Protocol::Http1 => {
                let idle = self.idle().pop();
                let mut connection = match idle {
                    Some(connection) => connection,
                    None => Http1Connection::open(self.address).await?,
                };
                let answer = connection.send(request).await?;
                self.idle().push(connection);
                Ok(answer)
            }
            Protocol::Http2 => {
                let connection = self.shared.iter().cycle().nth(number as usize % HTTP2_CONNECTIONS);
                connection.context("no connection")?.clone().send(request).await
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Http1Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
