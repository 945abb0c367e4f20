//! The threads that read models: of each kind as many as loads may run at once.
//!
//! A large model takes long enough to hold up requests, so its thread gives way to them. A small one is read in less
//! time than a request waits for its turn, and most of its time is that of requests that wait for it: giving way would
//! let thousands of small models a second pile up behind the requests for others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use crate::background;

/// What system tools show.
const NAME: &str = "model-load";

type Work = Box<dyn FnOnce() + Send>;

/// Bytes of files from which on a load gives way: about a millisecond of reading.
const LARGE: u64 = 128 << 10;

/// Started with the first load of their kind; they end with this.
pub(super) struct Loaders {
    count: usize,
    small: OnceLock<mpsc::Sender<Work>>,
    large: OnceLock<mpsc::Sender<Work>>,
}

// === impl Loaders ===

impl Loaders {
    pub(super) fn new(count: usize) -> Self {
        Self { count, small: OnceLock::new(), large: OnceLock::new() }
    }

    /// Runs the work on one of the threads, for files of so many bytes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            // Whoever has asked may be gone; a panic is this load's failure and nobody else's.
            if let Ok(outcome) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = sender.send(outcome);
            }
        };
        let is_large = bytes >= LARGE;
        let queue = if is_large { &self.large } else { &self.small };
        let queue = queue.get_or_init(|| start(self.count, is_large));
        queue.send(Box::new(work)).map_err(|_| "no thread could be started for it".to_owned())?;
        receiver.await.map_err(|_| "the reader stopped, see the log".to_owned())
    }
}

fn start(count: usize, gives_way: bool) -> mpsc::Sender<Work> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..count {
        let receiver = receiver.clone();
        let started = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            if gives_way {
                background::give_way();
            }
            serve(&receiver);
        });
        if let Err(error) = started {
            tracing::error!(%error, thread = NAME, "cannot start a thread");
        }
    }
    sender
}

fn serve(queue: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        // Held while it waits: the others wait for the lock instead.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        work();
    }
}
