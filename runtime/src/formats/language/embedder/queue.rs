//! Requests that wait for vectors, and the thread that computes them.
//!
//! A step has texts of several requests, each request's in turn, so that a short one does not wait for a long one's
//! end. A text's vector does not depend on what else is in its step.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Core;
use crate::error::{Error, Refusal};
use crate::metrics::Timed;
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

/// The texts of a request, on their way.
struct Job {
    /// None of them has no tokens.
    texts: Vec<Vec<u32>>,
    /// The vectors of the first of them, one after the other.
    vectors: Vec<f32>,
    /// How many these are.
    computed: usize,
    context: Context,
    done: oneshot::Sender<Result<Vec<f32>, Error>>,
    /// Until the first step.
    queued: Option<(Timed, Place)>,
    computing: Option<Timed>,
}

/// A place in the queue, until it is dropped.
struct Place(Arc<AtomicUsize>);

/// The thread's state.
struct Worker {
    core: Arc<Core>,
    positions: usize,
    received: Receiver<Job>,
    jobs: VecDeque<Job>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn start(core: Arc<Core>, options: QueueOptions) -> std::io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let worker = Worker { core, positions: options.positions, received, jobs: VecDeque::new() };
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
        if let Some(thread) = self.thread.take() {
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

// === impl Job ===

impl Job {
    fn is_unwanted(&self) -> bool {
        self.context.cancelled.is_cancelled() || self.done.is_closed()
    }

    fn is_whole(&self) -> bool {
        self.computed == self.texts.len()
    }

    fn end(mut self, answer: Result<(), Error>) {
        let vectors = answer.map(|()| std::mem::take(&mut self.vectors));
        // What is measured is measured when the answer is there.
        self.computing = None;
        // Who asked may have gone.
        let _ = self.done.send(vectors);
    }
}

// === impl Worker ===

impl Worker {
    /// Until nobody can hand in requests any more, and those there are have ended.
    fn run(mut self) {
        while self.receive() {
            self.jobs.retain(|job| !job.is_unwanted());
            self.step();
        }
    }

    /// Takes what was handed in, and waits for it where there is nothing else to do.
    fn receive(&mut self) -> bool {
        if self.jobs.is_empty() {
            match self.received.recv() {
                Ok(job) => self.jobs.push_back(job),
                Err(_) => return false,
            }
        }
        loop {
            match self.received.try_recv() {
                Ok(job) => self.jobs.push_back(job),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !self.jobs.is_empty(),
            }
        }
    }

    fn step(&mut self) {
        let plan = self.plan();
        let mut texts = Vec::new();
        for (job, count) in self.jobs.iter_mut().zip(&plan).filter(|(_, count)| **count > 0) {
            job.queued = None;
            job.computing.get_or_insert_with(|| job.context.computing());
            let own = job.texts.get(job.computed..job.computed + count).unwrap_or_default();
            texts.extend(own.iter().map(Vec::as_slice));
        }
        let computed = if texts.is_empty() { Ok(Vec::new()) } else { compute(&self.core, &texts) };
        let width = self.core.modules.width();
        match computed {
            Ok(vectors) => {
                let mut rest = vectors.as_slice();
                for (job, count) in self.jobs.iter_mut().zip(&plan) {
                    let (own, others) = rest.split_at_checked(count * width).unwrap_or_default();
                    job.vectors.extend_from_slice(own);
                    job.computed += count;
                    rest = others;
                }
                self.leave(Job::is_whole, &Ok(()));
            }
            Err(error) => {
                tracing::error!(reason = error.message(), requests = self.jobs.len(), "a step of an encoder failed");
                self.leave(|job| job.computing.is_some(), &Err(error));
            }
        }
    }

    /// How many more texts of each request are in the next step.
    fn plan(&self) -> Vec<usize> {
        let mut left = self.positions;
        let mut plan = vec![0; self.jobs.len()];
        let mut is_begun = false;
        loop {
            let mut is_full = true;
            for (job, planned) in self.jobs.iter().zip(&mut plan) {
                let next = job.texts.get(job.computed + *planned);
                let Some(next) = next.filter(|text| text.len() <= left || !is_begun) else { continue };
                left = left.saturating_sub(next.len());
                *planned += 1;
                (is_begun, is_full) = (true, false);
            }
            if is_full {
                return plan;
            }
        }
    }

    /// Answers those that this is true of.
    fn leave(&mut self, is_one: impl Fn(&Job) -> bool, answer: &Result<(), Error>) {
        for job in std::mem::take(&mut self.jobs) {
            if is_one(&job) {
                job.end(answer.clone());
            } else {
                self.jobs.push_back(job);
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
