//! Writing what comes, and summing it up, on a thread where blocking is allowed.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::storage::remote::cache::Turn;
use crate::storage::remote::checksum::{Checksum, Summing};

/// Chunks that may wait to be written.
const WAITING: usize = 8;

/// Bytes that are read at once of what an earlier download has left.
const CHUNK: usize = 1 << 16;

/// The thread. Dropped, it writes what it has got and ends; until then it has the turn.
pub(super) struct Writer {
    chunks: mpsc::Sender<Bytes>,
    thread: JoinHandle<(io::Result<Option<Checksum>>, Turn)>,
}

// === impl Writer ===

impl Writer {
    /// Goes on writing at this byte; what stands there and behind it is overwritten.
    pub(super) fn start(path: PathBuf, from: u64, sum: Summing, turn: Turn) -> Self {
        let (chunks, received) = mpsc::channel(WAITING);
        let thread = tokio::task::spawn_blocking(move || (write(&path, from, sum, received), turn));
        Self { chunks, thread }
    }

    /// Whether it takes more.
    pub(super) async fn write(&mut self, chunk: Bytes) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// Everything is written: the checksum of the whole file.
    pub(super) async fn end(self) -> io::Result<(io::Result<Option<Checksum>>, Turn)> {
        drop(self.chunks);
        self.thread.await.map_err(io::Error::other)
    }
}

fn write(
    path: &Path,
    from: u64,
    mut sum: Summing,
    mut received: mpsc::Receiver<Bytes>,
) -> io::Result<Option<Checksum>> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    if !matches!(sum, Summing::Nothing) {
        add_first(&mut file, from, &mut sum)?;
    }
    file.set_len(from)?;
    file.seek(SeekFrom::Start(from))?;
    while let Some(chunk) = received.blocking_recv() {
        file.write_all(&chunk)?;
        sum.update(&chunk);
    }
    Ok(sum.finish())
}

fn add_first(file: &mut File, mut left: u64, sum: &mut Summing) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let Some(place) = chunk.get_mut(..wanted) else { return Ok(()) };
        file.read_exact(place)?;
        sum.update(place);
        left -= wanted as u64;
    }
    Ok(())
}
