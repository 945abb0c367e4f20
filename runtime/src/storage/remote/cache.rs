//! Downloaded files, on this machine's disk.
//!
//! ```text
//! cache/lock                     held as long as a process uses the cache
//! cache/files/<id>/iris.joblib   a whole file; never written again
//! cache/files/<id>/iris.joblib.part   one whose download has begun; it goes on from there, also after a restart
//! cache/views/<id>/…             models of several files: links to them, by the names that they have in the store
//! ```
//!
//! An id is made of store, key and tag, so that a changed file is another one. What is longest unused goes when there
//! is no room; what a load or a model in memory holds stays.

mod index;

#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::storage::remote::download;
use crate::storage::remote::store::{Object, Store, StoreError};
use crate::storage::{StorageError, StorageOptions};

use index::{Index, Outcome};

/// At the end of the name of a file that is not whole.
const PART: &str = ".part";

/// The longest name of a file that the cache takes; Linux has 255, and `.part` stands behind it.
const LONGEST_NAME: usize = 250;

/// The cache.
pub(crate) struct Cache {
    folder: PathBuf,
    budget: u64,
    stall_timeout: Duration,
    index: Mutex<Index>,
    /// Names for what is about to be deleted, and for what is not finished.
    numbers: AtomicU64,
    /// Locked as long as it is open.
    _lock: File,
}

/// What a file is called in the cache.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Id(String);

/// A file that somebody uses: it stays as long as this is kept.
pub(crate) struct Held {
    cache: Arc<Cache>,
    id: Id,
    path: PathBuf,
}

/// Whoever has it may write the file.
pub(super) type Turn = OwnedMutexGuard<()>;

// === impl Cache ===

impl Cache {
    /// Opens the cache, with what an earlier process has left in it.
    ///
    /// # Errors
    /// The folder cannot be written, or another process uses it.
    pub(crate) fn open(options: &StorageOptions) -> Result<Arc<Self>, StorageError> {
        let folder = options.cache.clone().unwrap_or_else(default_folder);
        let cannot = |error: io::Error| {
            StorageError::new(format!(
                "cannot use {} as a cache: {error}; choose another folder with --cache",
                folder.display()
            ))
        };
        fs::create_dir_all(folder.join("files")).map_err(cannot)?;
        // Links in it are to lead there from anywhere.
        let folder = folder.canonicalize().map_err(cannot)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(folder.join("lock")).map_err(cannot)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StorageError::new(format!(
                "another process uses the cache {}; choose another folder with --cache",
                folder.display()
            )),
            TryLockError::Error(error) => cannot(error),
        })?;
        for leftover in ["views", "trash"] {
            match fs::remove_dir_all(folder.join(leftover)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
                _ => {}
            }
            fs::create_dir(folder.join(leftover)).map_err(cannot)?;
        }
        let index = read_index(&folder.join("files")).map_err(cannot)?;
        let budget = match options.cache_size {
            Some(size) => size,
            None => (free_bytes(&folder).map_err(cannot)? + index.used()) / 2,
        };
        tracing::info!(folder = %folder.display(), bytes = index.used(), budget, "cache of model files");
        let cache = Arc::new(Self {
            folder,
            budget,
            stall_timeout: options.stall_timeout,
            index: Mutex::new(index),
            numbers: AtomicU64::new(0),
            _lock: lock,
        });
        // The budget may be smaller than it was.
        let excess = cache.lock().used().saturating_sub(budget);
        remove(cache.evict(excess));
        Ok(cache)
    }

    /// A store that is silent for so long is asked again.
    pub(super) fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    /// The file, downloaded if it is not there. Several who want the same one wait for one download.
    pub(super) async fn fetch(self: &Arc<Self>, store: &dyn Store, object: &Object) -> Result<Held, StoreError> {
        let label = store.label(object);
        let name = label.rsplit('/').next().unwrap_or(&label);
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(StoreError::Other(format!("{label}: the cache takes names of 1 to {LONGEST_NAME} bytes")));
        }
        let held = self.hold(Id::of(store, object), name);
        let turn = self.turn(&held.id).lock_owned().await;
        let length = tokio::fs::metadata(&held.path).await.ok().map(|metadata| metadata.len());
        if length == Some(object.size) {
            self.lock().settle(&held.id, Outcome::Whole(object.size));
            touch(held.path.clone());
            return Ok(held);
        }
        self.make_room(&held, store, object).await?;
        let settling = Settling(&held);
        download::download(self, store, object, &held, turn).await?;
        drop(settling);
        Ok(held)
    }

    /// A folder in which files have the names that they have in the store.
    pub(super) async fn view(self: &Arc<Self>, files: &[(PathBuf, Held)]) -> Result<PathBuf, StoreError> {
        let mut files: Vec<_> = files.iter().map(|(name, held)| (name.clone(), held.path.clone())).collect();
        files.sort();
        let mut hash = Sha256::new();
        for (name, path) in &files {
            for part in [name.as_os_str(), path.as_os_str()] {
                hash.update(part.len().to_le_bytes());
                hash.update(part.as_encoded_bytes());
            }
        }
        let views = self.folder.join("views");
        let (view, unfinished) = (views.join(hex(&hash.finalize())), views.join(format!("new-{}", self.number())));
        let make = move || {
            if view.exists() {
                return Ok(view);
            }
            for (name, target) in files {
                let link = unfinished.join(name);
                link.parent().map_or(Ok(()), fs::create_dir_all)?;
                std::os::unix::fs::symlink(target, link)?;
            }
            match fs::rename(&unfinished, &view) {
                // Another load has made the same one.
                Err(_) if view.exists() => fs::remove_dir_all(&unfinished).map(|()| view),
                renamed => renamed.map(|()| view),
            }
        };
        let made = tokio::task::spawn_blocking(make).await.unwrap_or_else(|fault| Err(io::Error::other(fault)));
        made.map_err(|error| self.cannot_write(&error))
    }

    /// Deletes what is not in use, the longest unused first, until so many bytes are free; whether any were.
    pub(super) async fn free(&self, bytes: u64) -> bool {
        let trash = self.evict(bytes);
        let is_any = !trash.is_empty();
        remove_aside(trash).await;
        is_any
    }

    /// Why something could not be written, for whoever waits for the model.
    pub(super) fn cannot_write(&self, error: &io::Error) -> StoreError {
        let folder = self.folder.display();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoRoom(format!(
                "the disk of the cache {folder} is full: free some of it, or choose another folder with --cache"
            )),
            _ => StoreError::Other(format!("cannot write to the cache {folder}: {error}")),
        }
    }

    fn hold(self: &Arc<Self>, id: Id, name: &str) -> Held {
        self.lock().hold(&id);
        let path = self.folder.join("files").join(&id.0).join(name);
        Held { cache: self.clone(), id, path }
    }

    fn turn(&self, id: &Id) -> Arc<tokio::sync::Mutex<()>> {
        self.lock().turn(id)
    }

    /// Counts the whole file from now on.
    async fn make_room(&self, held: &Held, store: &dyn Store, object: &Object) -> Result<(), StoreError> {
        let reserved = {
            let mut index = self.lock();
            let reserved = index.reserve(&held.id, object.size, self.budget);
            reserved.map(|evicted| self.set_aside(&index, evicted))
        };
        match reserved {
            Ok(trash) => {
                // Renamed files still have their bytes: room that was promised is there when they are gone.
                remove_aside(trash).await;
                Ok(())
            }
            Err(in_use) => Err(StoreError::NoRoom(format!(
                "{} has {} bytes, the cache may have {} of which {in_use} are in use: enlarge it with --cache-size",
                store.label(object),
                object.size,
                self.budget
            ))),
        }
    }

    fn evict(&self, bytes: u64) -> Vec<PathBuf> {
        let mut index = self.lock();
        let evicted = index.evict(bytes);
        self.set_aside(&index, evicted)
    }

    /// Out of the way before anyone can ask for the same file again; what is to be removed from the disk then.
    fn set_aside(&self, _locked: &MutexGuard<'_, Index>, evicted: Vec<Id>) -> Vec<PathBuf> {
        let mut trash = Vec::new();
        for id in evicted {
            let (from, to) = (self.folder.join("files").join(&id.0), self.trash());
            match fs::rename(&from, &to) {
                Ok(()) => trash.push(to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, path = %from.display(), "cannot delete from the cache"),
            }
            tracing::debug!(id = id.0, "file left the cache");
        }
        trash
    }

    fn trash(&self) -> PathBuf {
        self.folder.join("trash").join(self.number().to_string())
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        // Nothing under the lock panics; were it so, the index is still the best there is.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(trash: Vec<PathBuf>) {
    for path in trash {
        let _ = fs::remove_dir_all(path);
    }
}

/// Large files take long: on a thread where blocking is allowed.
async fn remove_aside(trash: Vec<PathBuf>) {
    if !trash.is_empty() {
        let _ = tokio::task::spawn_blocking(move || remove(trash)).await;
    }
}

/// The user's cache folder, as the desktop's rules have it; in a container without a home the temporary folder.
fn default_folder() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| {
        let home = absolute("HOME").filter(|home| home != Path::new("/"));
        home.map(|home| home.join(".cache"))
    });
    base.unwrap_or_else(std::env::temp_dir).join("modelway")
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What an earlier process has left, and when it was used last.
fn read_index(files: &Path) -> io::Result<Index> {
    let mut found = Vec::new();
    for entry in fs::read_dir(files)? {
        let entry = entry?;
        let mut inside = fs::read_dir(entry.path())?.collect::<io::Result<Vec<_>>>()?;
        let (Some(file), true, Ok(name)) = (inside.pop(), inside.is_empty(), entry.file_name().into_string()) else {
            fs::remove_dir_all(entry.path())?;
            continue;
        };
        let metadata = file.metadata()?;
        let is_whole = !file.file_name().as_encoded_bytes().ends_with(PART.as_bytes());
        found.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), Id(name), metadata.len(), is_whole));
    }
    found.sort();
    let mut index = Index::default();
    for (_, id, bytes, is_whole) in found {
        index.add(id, bytes, is_whole);
    }
    Ok(index)
}

/// Notes the use for a later process; a note, so nobody waits for it.
fn touch(path: PathBuf) {
    tokio::task::spawn_blocking(move || {
        if let Ok(file) = File::open(path) {
            let _ = file.set_modified(SystemTime::now());
        }
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// === impl Id ===

impl Id {
    fn of(store: &dyn Store, object: &Object) -> Self {
        let mut hash = Sha256::new();
        for part in [store.endpoint(), &store.label(object), object.tag.text(), &object.size.to_string()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hex(&hash.finalize()))
    }
}

// === impl Held ===

impl Held {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file as long as it is not whole.
    pub(super) fn part(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(PART);
        name.into()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.cache.lock().release(&self.id);
    }
}

/// However a download ends, the file is counted with the bytes that it has then.
struct Settling<'a>(&'a Held);

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        let length = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.len());
        let outcome = match length(self.0.path()) {
            Some(bytes) => Outcome::Whole(bytes),
            None => Outcome::Part(length(&self.0.part()).unwrap_or(0)),
        };
        self.0.cache.lock().settle(&self.0.id, outcome);
    }
}
