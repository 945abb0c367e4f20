//! Threads that give way to those that answer requests.
//!
//! On a machine whose processors are all busy, the kernel shares them among threads alike: a load that computes for some
//! milliseconds would make requests wait that take some microseconds. A lower priority says which of them can wait.

use std::thread;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Steps below the process's own priority. Each leaves four fifths of the one before: a third of what a thread that
/// answers requests gets, where there is not enough for both.
const STEPS: i32 = 5;

/// Runs the work on a thread of its own. `None`: there is no thread, or the work panicked.
pub(crate) async fn run<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let runtime = Handle::try_current();
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _entered = runtime.as_ref().map(Handle::enter);
        give_way();
        // Whoever has asked may be gone.
        let _ = sender.send(work());
    });
    if let Err(error) = started {
        tracing::error!(%error, thread = name, "cannot start a thread");
        return None;
    }
    receiver.await.ok()
}

/// The thread that calls this gives way from now on.
pub(crate) fn give_way() {
    if let Err(error) = rustix::process::nice(STEPS) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}
