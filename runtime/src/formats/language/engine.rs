//! Continuous batching: texts join and leave between steps.
//!
//! One thread a base computes steps, each over new positions of all texts under way: one of a text that goes on, many
//! of a prompt that is being read. Between steps texts that ended or that nobody wants any more leave at once, and others
//! take their places. Keys and values have a budget of bytes; where it is spent the youngest text gives its place up and
//! is read again later, so that nothing fails. Caches of texts that ended are kept as long as there is room: a text that
//! begins alike need not compute them again.

mod choice;
mod kept;
mod stops;
mod text;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;

use self::worker::Worker;
use super::Core;
use super::adapter::Adapter;
use crate::error::{Error, Refusal};
use crate::model::Context;
use crate::text::{Sampling, TextEvent};

/// What can be set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct EngineOptions {
    /// Bytes of keys and values, of texts under way and kept.
    pub(super) cache_bytes: usize,
    /// Texts that are computed together.
    pub(super) texts: usize,
    /// New positions in one step: the more, the longer others wait while a prompt is read.
    pub(super) positions: usize,
    /// Texts that may wait for a place.
    pub(super) queue: usize,
}

/// A text to go on with, checked before.
pub(super) struct Job {
    pub(super) prompt: Vec<u32>,
    pub(super) adapter: Option<Arc<Adapter>>,
    pub(super) sampling: Sampling,
    pub(super) new_tokens: usize,
    /// Tokens that end the text.
    pub(super) ends: Vec<u32>,
    pub(super) stop: Vec<String>,
    pub(super) logprobs: Option<usize>,
    pub(super) context: Context,
    pub(super) events: UnboundedSender<Result<TextEvent, Error>>,
}

/// Where texts are handed in. Dropped, it ends the thread, and returns when that has freed what it had.
pub(super) struct Engine {
    jobs: Option<mpsc::Sender<(Job, Place)>>,
    waiting: Arc<AtomicUsize>,
    options: EngineOptions,
    thread: Option<JoinHandle<()>>,
}

/// A place in the queue, until it is dropped.
struct Place(Arc<AtomicUsize>);

// === impl Engine ===

impl Engine {
    pub(super) fn start(core: Arc<Core>, options: EngineOptions) -> std::io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let work = move || Worker::new(core, options, received).run();
        let thread = std::thread::Builder::new().name("language-model".to_owned()).spawn(work)?;
        Ok(Self { jobs: Some(jobs), waiting: Arc::default(), options, thread: Some(thread) })
    }

    pub(super) fn options(&self) -> EngineOptions {
        self.options
    }

    /// Hands a text in; its events tell the rest.
    ///
    /// # Errors
    /// The queue is full.
    pub(super) fn submit(&self, job: Job) -> Result<(), Error> {
        let place = Place(self.waiting.clone());
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.options.queue {
            let text = format!("{} texts wait already, which is as many as may", self.options.queue);
            return Err(Error::refused(Refusal::QueueFull, text));
        }
        let is_sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send((job, place)).is_ok());
        if is_sent { Ok(()) } else { Err(Error::internal("the model's thread has stopped")) }
    }
}

impl Drop for Engine {
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
