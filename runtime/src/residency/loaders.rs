//! The threads that read models: as many as loads may run at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use tokio::sync::oneshot;

use crate::background;

/// What system tools show.
const NAME: &str = "model-load";

type Work = Box<dyn FnOnce() + Send>;

/// Started with the first load; they end with this.
pub(super) struct Loaders {
    count: usize,
    queue: OnceLock<mpsc::Sender<Work>>,
}

// === impl Loaders ===

impl Loaders {
    pub(super) fn new(count: usize) -> Self {
        Self { count, queue: OnceLock::new() }
    }

    /// Runs the work on one of the threads.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let (sender, receiver) = oneshot::channel();
        let work = move || {
            // Whoever has asked may be gone; a panic is this load's failure and nobody else's.
            if let Ok(outcome) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = sender.send(outcome);
            }
        };
        let queue = self.queue.get_or_init(|| start(self.count));
        queue.send(Box::new(work)).map_err(|_| "no thread could be started for it".to_owned())?;
        receiver.await.map_err(|_| "the reader stopped, see the log".to_owned())
    }
}

fn start(count: usize) -> mpsc::Sender<Work> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..count {
        let receiver = receiver.clone();
        let started = thread::Builder::new().name(NAME.to_owned()).spawn(move || serve(&receiver));
        if let Err(error) = started {
            tracing::error!(%error, thread = NAME, "cannot start a thread");
        }
    }
    sender
}

fn serve(queue: &Mutex<mpsc::Receiver<Work>>) {
    background::give_way();
    loop {
        // Held while it waits: the others wait for the lock instead.
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        work();
    }
}
