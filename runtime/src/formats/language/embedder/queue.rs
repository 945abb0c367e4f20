//! Requests that wait for vectors, and the thread that computes them.
//!
//! A step has texts of several requests, each request's in turn, so that a short one does not wait for a long one's
//! end. A text's vector does not depend on what else is in its step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Core;
use super::turns::{Job, Turns};
use crate::error::{Error, Refusal};
use crate::model::Context;

/// What can be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct QueueOptions {
    /// Tokens in one step. A text with more has one for itself.
    pub(super) positions: usize,
    /// Requests that may wait for their first step.
    pub(super) requests: usize,
}

/// Where requests are handed in. Dropped, it ends the thread, and returns when that has freed what it had.
pub(super) struct Queue {
    jobs: Option<mpsc::Sender<Job>>,
    waiting: Arc<AtomicUsize>,
    options: QueueOptions,
    thread: Option<JoinHandle<()>>,
}

/// A place in the queue, until it is dropped.
pub(super) struct Place(Arc<AtomicUsize>);

/// The thread's state.
struct Worker {
    core: Arc<Core>,
    positions: usize,
    received: Receiver<Job>,
    turns: Turns,
}

// === impl Queue ===

impl Queue {
    pub(super) fn start(core: Arc<Core>, options: QueueOptions) -> std::io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let worker = Worker { core, positions: options.positions, received, turns: Turns::default() };
        let thread = std::thread::Builder::new().name("embeddings".to_owned()).spawn(move || worker.run())?;
        Ok(Self { jobs: Some(jobs), waiting: Arc::default(), options, thread: Some(thread) })
    }

    /// The vectors of texts, one after the other. None of the texts has no tokens.
    ///
    /// # Errors
    /// The queue is full, or the computation failed.
    pub(super) async fn vectors(&self, texts: Vec<Vec<u32>>, context: Context) -> Result<Vec<f32>, Error> {
        let place = Place(self.waiting.clone());
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.options.requests {
            let text = format!("{} requests wait already, which is as many as may", self.options.requests);
            return Err(Error::refused(Refusal::QueueFull, text));
        }
        let (done, answer) = oneshot::channel();
        let queued = Some((context.queued(), place));
        let job = Job { texts, vectors: Vec::new(), computed: 0, context, done, queued, computing: None };
        let stopped = || Error::internal("the model's thread has stopped");
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(stopped)?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // A request may have been the model's last holder: then it is that thread which drops this, and it cannot wait for
        // itself. It ends by itself.
        let is_own = |thread: &JoinHandle<()>| thread.thread().id() == std::thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !is_own(thread)) {
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}

// === impl Place ===

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Worker ===

impl Worker {
    /// Until nobody can hand in requests any more, and those there are have ended.
    fn run(mut self) {
        while self.receive() {
            self.turns.drop_unwanted();
            self.step();
        }
    }

    /// Takes what was handed in, and waits for it where there is nothing else to do.
    fn receive(&mut self) -> bool {
        if self.turns.is_empty() {
            match self.received.recv() {
                Ok(job) => self.turns.add(job),
                Err(_) => return false,
            }
        }
        loop {
            match self.received.try_recv() {
                Ok(job) => self.turns.add(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.turns.is_empty(),
            }
        }
    }

    fn step(&mut self) {
        let plan = self.turns.plan(self.positions);
        let texts = self.turns.begin(&plan);
        let computed = if texts.is_empty() { Ok(Vec::new()) } else { compute(&self.core, &texts) };
        match computed {
            Ok(vectors) => self.turns.end(&plan, &vectors, self.core.modules.width()),
            Err(error) => {
                tracing::error!(reason = error.message(), requests = plan.requests(), "a step of an encoder failed");
                self.turns.fail(&plan, &error);
            }
        }
    }
}

fn compute(core: &Core, texts: &[&[u32]]) -> Result<Vec<f32>, Error> {
    match catch_unwind(AssertUnwindSafe(|| core.vectors(texts))) {
        Ok(vectors) => vectors.map_err(|error| Error::internal(format!("the model's computation failed: {error}"))),
        Err(_) => Err(Error::internal("the model panicked, see the server's log")),
    }
}
