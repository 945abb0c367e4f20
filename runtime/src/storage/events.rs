//! Being told of changes, where somebody tells.
//!
//! Polling stays the truth: an event only makes the next look come sooner. Network file systems and mounted volumes
//! send none, a kernel gives out only so many watches, and then nothing is lost but time.

use std::future::pending;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::storage::tree::is_hidden;

/// Folders that are watched at most: of more models, the folders of some are only polled.
const MOST_WATCHES: usize = 8192;

/// A model's folder, and those of its versions.
const DEEPEST: usize = 2;

/// Bytes of events that are read at once.
const BUFFER: usize = 4096;

/// Where events come from.
pub(crate) struct Events(Kind);

enum Kind {
    None,
    Folder(FolderEvents),
    #[cfg_attr(not(feature = "s3"), allow(dead_code))]
    Told(Arc<Notify>),
}

struct FolderEvents {
    folder: PathBuf,
    inotify: AsyncFd<OwnedFd>,
    /// There may be folders that are not watched yet.
    is_stale: bool,
}

// === impl Events ===

impl Events {
    /// Of what happens in this folder and in the folders of models in it.
    pub(super) fn of_folder(folder: &Path) -> Self {
        match FolderEvents::new(folder) {
            Ok(events) => Self(Kind::Folder(events)),
            Err(error) => {
                tracing::debug!(%error, folder = %folder.display(), "no events of the models folder, it is polled only");
                Self(Kind::None)
            }
        }
    }

    #[cfg(feature = "s3")]
    pub(super) fn told_by(notify: Arc<Notify>) -> Self {
        Self(Kind::Told(notify))
    }

    /// Ends when something has changed since the last time. Dropped, it loses nothing.
    pub(crate) async fn changed(&mut self) {
        match &mut self.0 {
            Kind::None => pending().await,
            Kind::Told(notify) => notify.notified().await,
            Kind::Folder(events) => {
                if let Err(error) = events.changed().await {
                    tracing::debug!(%error, "no more events of the models folder, it is polled only");
                    self.0 = Kind::None;
                    pending::<()>().await;
                }
            }
        }
    }
}

// === impl FolderEvents ===

impl FolderEvents {
    fn new(folder: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor is unsafe; an OwnedFd is its own descriptor as long as it lives")]
        let inotify = AsyncFd::with_interest(inotify, Interest::READABLE)?;
        Ok(Self { folder: folder.to_owned(), inotify, is_stale: true })
    }

    async fn changed(&mut self) -> io::Result<()> {
        if self.is_stale {
            let (inotify, folder) = (self.inotify.get_ref().try_clone()?, self.folder.clone());
            let task = tokio::task::spawn_blocking(move || watch_all(&inotify, &folder));
            task.await.map_err(io::Error::other)??;
            self.is_stale = false;
        }
        let mut is_changed = false;
        loop {
            let mut ready = self.inotify.readable().await?;
            match ready.try_io(|inotify| read(inotify.get_ref())) {
                Ok(Ok(events)) => {
                    is_changed |= events.is_any;
                    self.is_stale |= events.is_of_folder;
                }
                Ok(Err(error)) => return Err(error),
                // Nothing more to read.
                Err(_) if is_changed => return Ok(()),
                Err(_) => {}
            }
        }
    }
}

#[derive(Default)]
struct Read {
    is_any: bool,
    is_of_folder: bool,
}

/// Reads all events that there are; none is an error of the kind `WouldBlock`.
fn read(inotify: &OwnedFd) -> io::Result<Read> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut read = Read::default();
    loop {
        let event = match reader.next() {
            Ok(event) => event,
            Err(error) if read.is_any && error == rustix::io::Errno::WOULDBLOCK => return Ok(read),
            Err(error) => return Err(error.into()),
        };
        // After an overflow anything may have happened.
        let is_of_folder = ReadFlags::ISDIR | ReadFlags::QUEUE_OVERFLOW | ReadFlags::IGNORED;
        read.is_of_folder |= event.events().intersects(is_of_folder);
        read.is_any = true;
    }
}

/// Watches the folder and the folders of models in it; those that are watched already stay so.
fn watch_all(inotify: &OwnedFd, folder: &Path) -> io::Result<()> {
    let mut left = MOST_WATCHES;
    watch(inotify, folder)?;
    let mut level = vec![folder.to_owned()];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for folder in level {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
                if !is_folder || is_hidden(entry.file_name().as_encoded_bytes()) || !entry.path().is_dir() {
                    continue;
                }
                left = left.saturating_sub(1);
                if left == 0 || watch(inotify, &entry.path()).is_err() {
                    tracing::debug!(folder = %folder.display(), "no more watches, the other folders are polled only");
                    return Ok(());
                }
                next.push(entry.path());
            }
        }
        level = next;
    }
    Ok(())
}

fn watch(inotify: &OwnedFd, folder: &Path) -> io::Result<()> {
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::ONLYDIR;
    inotify::add_watch(inotify, folder, flags)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PATIENCE;
    use std::fs;
    use tempfile::TempDir;

    async fn is_told(events: &mut Events) {
        tokio::time::timeout(PATIENCE, events.changed()).await.expect("an event");
    }

    #[tokio::test]
    async fn a_new_file_is_told_also_in_a_folder_that_is_new_itself() {
        let folder = TempDir::new().unwrap();
        let mut events = Events::of_folder(folder.path());
        // The watches are there from the first question on.
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), events.changed());
        assert!(waiting.await.is_err());
        fs::write(folder.path().join("m.joblib"), "m").unwrap();
        is_told(&mut events).await;
        fs::create_dir(folder.path().join("m")).unwrap();
        is_told(&mut events).await;
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), events.changed());
        assert!(waiting.await.is_err());
        fs::write(folder.path().join("m/model.joblib"), "m").unwrap();
        is_told(&mut events).await;
        fs::remove_file(folder.path().join("m/model.joblib")).unwrap();
        is_told(&mut events).await;
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_polled_only() {
        let mut events = Events::of_folder(Path::new("/nowhere/at/all"));
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), events.changed());
        assert!(waiting.await.is_err());
        assert!(matches!(events.0, Kind::None));
    }
}
