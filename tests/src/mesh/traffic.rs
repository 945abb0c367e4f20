//! Requests at a steady rate in the background, every answer checked as it comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::task::{JoinHandle, JoinSet};

use super::Question;
use crate::load::Clients;

/// What came of a question.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The question.
    pub question: Question,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was complete, or it had failed.
    pub answered: Instant,
    /// The tag of the model that answered, or why there is no answer of a model.
    pub tag: Result<u32, String>,
}

/// Requests under way; dropped, no more are sent.
pub struct Traffic {
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: Option<JoinHandle<Vec<Asked>>>,
}

// === impl Traffic ===

impl Traffic {
    pub(super) async fn start(
        gateway: SocketAddr,
        rate: u32,
        question: impl Fn(u64) -> Question + Send + 'static,
    ) -> Result<Self> {
        let clients = Arc::new(Clients::open(gateway).await?);
        let (is_over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn(send(clients, rate, question, is_over.clone(), answered.clone()));
        Ok(Self { is_over, answered, task: Some(task) })
    }

    /// How many answers have come, right ones or not.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits for so many more answers.
    pub async fn wait_for(&self, count: u64) -> Result<()> {
        let wanted = self.answered() + count;
        super::until(&format!("{count} more answers"), super::PATIENCE, async || {
            let answered = self.answered();
            anyhow::ensure!(answered >= wanted, "{answered} of {wanted} have come");
            Ok(())
        })
        .await
    }

    /// Sends no more, waits for all answers, and gives them in the order of the questions.
    pub async fn finish(mut self) -> Result<Vec<Asked>> {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.take().context("the traffic was finished before")?.await.context("the traffic broke off")
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

async fn send(
    clients: Arc<Clients>,
    rate: u32,
    question: impl Fn(u64) -> Question,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> Vec<Asked> {
    let interval = Duration::from_secs(1) / rate;
    let started = Instant::now();
    let mut running = JoinSet::new();
    let mut all = Vec::new();
    for number in 0.. {
        let due = started + interval.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
        tokio::time::sleep_until(due.into()).await;
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        running.spawn(ask(clients.clone(), number, question(number), answered.clone()));
        while let Some(Ok(done)) = running.try_join_next() {
            all.push(done);
        }
    }
    all.extend(running.join_all().await);
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, asked)| asked).collect()
}

async fn ask(clients: Arc<Clients>, number: u64, question: Question, answered: Arc<AtomicU64>) -> (u64, Asked) {
    let sample = clients.ask(number, question.request()).await;
    let tag = sample.answer.and_then(|answer| question.tag(&answer).map_err(|error| format!("{error:#}")));
    answered.fetch_add(1, Ordering::Relaxed);
    (number, Asked { question, sent: sample.sent, answered: sample.answered, tag })
}
