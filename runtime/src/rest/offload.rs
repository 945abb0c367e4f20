//! Work that would hold an async thread for long goes to the blocking ones.

use crate::error::Error;

/// Bytes whose reading or writing takes about half a millisecond.
const LARGE: usize = 128 * 1024;

/// Runs the work here if it is about few bytes, else on a blocking thread.
pub(super) async fn run<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    if bytes < LARGE {
        return work();
    }
    let task = tokio::task::spawn_blocking(work);
    task.await.unwrap_or_else(|fault| Err(Error::internal(format!("the work on a large body stopped: {fault}"))))
}
