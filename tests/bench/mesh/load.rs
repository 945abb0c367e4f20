//! Load on one runtime: connections of both protocols that take questions from one trace.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use modelway_tests::random::Random;
use modelway_tests::zipf::Zipf;

use crate::client::Client;
use crate::question::{Question, Rows};

/// Connections, each with one request under way. The share of a connection is that of its protocol.
pub(crate) struct Load {
    clients: Vec<Client>,
    source: Arc<Mutex<Source>>,
}

/// Makes a question to a model of the trace, of a number drawn.
pub(crate) type Ask = dyn Fn(usize, usize) -> Option<Question> + Send;

/// What is asked next, by whoever asks.
struct Source {
    trace: Zipf,
    ask: Box<Ask>,
    random: Random,
    /// The models asked so far, in order.
    asked: Vec<usize>,
    /// When the next question is due, where there is a pace.
    due: Instant,
    pace: Option<Duration>,
    end: End,
}

/// When nothing more is asked.
#[derive(Clone, Copy)]
enum End {
    At(Instant),
    After { questions: usize },
}

/// What came of a run.
pub(crate) struct Run {
    /// How long each answer took, sorted; where there is a pace, from the moment at which the question was due.
    pub(crate) times: Vec<Duration>,
    /// The models asked, in order.
    pub(crate) asked: Vec<usize>,
    pub(crate) took: Duration,
}

// === impl Load ===

impl Load {
    /// So many connections to the runtime or its gateway, half of them REST and half gRPC, for one trace.
    pub(crate) async fn connect(
        address: SocketAddr,
        connections: usize,
        rows: &Arc<Rows>,
        trace: Zipf,
        ask: Box<Ask>,
    ) -> Result<Self> {
        let mut clients = Vec::with_capacity(connections);
        for number in 0..connections {
            clients.push(match number % 2 {
                0 => Client::rest(address, rows).await?,
                _ => Client::grpc(address, rows).await?,
            });
        }
        let now = Instant::now();
        let random = Random::new(7);
        let source = Source { trace, ask, random, asked: Vec::new(), due: now, pace: None, end: End::At(now) };
        Ok(Self { clients, source: Arc::new(Mutex::new(source)) })
    }

    /// Each connection asks its next question when it has its answer.
    pub(crate) async fn saturate(&mut self, time: Duration) -> Result<Run> {
        self.run(None, End::At(Instant::now() + time)).await
    }

    /// So many questions a second, each when it is due, whatever has become of the earlier ones.
    pub(crate) async fn pace(&mut self, time: Duration, rate: u32) -> Result<Run> {
        self.run(Some(Duration::from_secs(1) / rate), End::At(Instant::now() + time)).await
    }

    /// So many questions, each connection the next when it has its answer.
    pub(crate) async fn ask(&mut self, questions: usize) -> Result<Run> {
        self.run(None, End::After { questions }).await
    }

    async fn run(&mut self, pace: Option<Duration>, end: End) -> Result<Run> {
        let began = Instant::now();
        {
            let mut source = lock(&self.source);
            (source.due, source.pace, source.end) = (began, pace, end);
            source.asked.clear();
        }
        let mut running = JoinSet::new();
        for client in self.clients.drain(..) {
            running.spawn(ask(client, self.source.clone()));
        }
        let mut times = Vec::new();
        for result in running.join_all().await {
            let (client, own) = result?;
            self.clients.push(client);
            times.extend(own);
        }
        let took = began.elapsed();
        times.sort_unstable();
        let asked = std::mem::take(&mut lock(&self.source).asked);
        Ok(Run { times, asked, took })
    }
}

async fn ask(mut client: Client, source: Arc<Mutex<Source>>) -> Result<(Client, Vec<Duration>)> {
    let mut times = Vec::new();
    loop {
        let Some((question, due)) = lock(&source).next() else { return Ok((client, times)) };
        if let Some(due) = due {
            tokio::time::sleep_until(due.into()).await;
        }
        let began = due.unwrap_or_else(Instant::now);
        client.ask(&question).await?;
        times.push(began.elapsed());
    }
}

fn lock(source: &Mutex<Source>) -> std::sync::MutexGuard<'_, Source> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Source ===

impl Source {
    /// The next question, and when it is due.
    fn next(&mut self) -> Option<(Question, Option<Instant>)> {
        let due = self.pace.map(|pace| {
            let due = self.due;
            self.due += pace;
            due
        });
        let is_over = match self.end {
            End::At(end) => due.unwrap_or_else(Instant::now) >= end,
            End::After { questions } => self.asked.len() >= questions,
        };
        if is_over {
            return None;
        }
        let model = self.trace.next()?;
        self.asked.push(model);
        Some(((self.ask)(model, self.random.below(usize::MAX))?, due))
    }
}

// === impl Run ===

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// The time that this part of the answers took at most, in milliseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        quantile(&self.times, part).as_secs_f64() * 1e3
    }
}

/// Of sorted times.
pub(crate) fn quantile(times: &[Duration], part: f64) -> Duration {
    let last = times.len().saturating_sub(1);
    times.get((part * last as f64).round() as usize).copied().unwrap_or_default()
}
