//! The cache of Hugging Face's libraries.
//!
//! ```text
//! models--owner--name/refs/main               the commit that `main` was when it was asked
//! models--owner--name/blobs/ETAG              a file's bytes; ETAG.incomplete while they come
//! models--owner--name/snapshots/COMMIT/FILE   a link to them
//! .locks/models--owner--name/ETAG.lock        locked by who fetches a file
//! ```
//!
//! A blob is whole, or it is not there under its name: it is renamed when the last byte was checked.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Id;

/// A model's part of the cache.
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
}

// === impl Repository ===

impl Repository {
    pub(super) fn new(cache: &Path, id: &Id) -> Self {
        let name = format!("models--{}", id.name().replace('/', "--"));
        Self { folder: cache.join(&name), locks: cache.join(".locks").join(name) }
    }

    /// The folder of what this revision was when it was last fetched.
    pub(super) fn snapshot(&self, revision: &str) -> Option<PathBuf> {
        let known = fs::read_to_string(self.folder.join("refs").join(revision));
        let commit = match &known {
            Ok(text) => text.trim(),
            Err(_) => revision,
        };
        Some(self.snapshot_of(commit)).filter(|folder| is_commit(commit) && folder.is_dir())
    }

    pub(super) fn snapshot_of(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Where a file's bytes stand when they are whole, and until then.
    pub(super) fn blob(&self, etag: &str) -> (PathBuf, PathBuf) {
        let blobs = self.folder.join("blobs");
        (blobs.join(etag), blobs.join(format!("{etag}.incomplete")))
    }

    /// Makes sure that nobody else fetches the file, here or in another process. Blocks as long as somebody does.
    pub(super) fn lock(&self, etag: &str) -> io::Result<File> {
        fs::create_dir_all(self.folder.join("blobs"))?;
        fs::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    /// Gives a whole blob its name in a snapshot.
    pub(super) fn place(&self, commit: &str, name: &str, etag: &str) -> io::Result<()> {
        let path = self.snapshot_of(commit).join(name);
        if path.exists() {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)?;
        let up = "../".repeat(2 + name.matches('/').count());
        match std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), &path) {
            Ok(()) => Ok(()),
            // Somebody else did, just now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A link to a blob that was deleted.
                fs::remove_file(&path)?;
                std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), &path).or(Err(error))
            }
            // A file system without links: the file stands in the snapshot itself.
            Err(_) => fs::rename(self.blob(etag).0, &path),
        }
    }

    /// Says that a commit has no file of this name, as Hugging Face's own libraries say it.
    pub(super) fn lacks(&self, commit: &str, name: &str) -> io::Result<()> {
        let folder = self.folder.join(".no_exist").join(commit);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), [])
    }

    /// Whether somebody said so of a snapshot's commit.
    pub(super) fn is_known_to_lack(&self, snapshot: &Path, name: &str) -> bool {
        let commit = snapshot.file_name();
        commit.is_some_and(|commit| self.folder.join(".no_exist").join(commit).join(name).is_file())
    }

    /// Says which commit a revision is.
    pub(super) fn remember(&self, revision: &str, commit: &str) -> io::Result<()> {
        if revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder)?;
        // Others may say it at the same time, here or in another process.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let new = folder.join(format!(".{}.{number}.{commit}", std::process::id()));
        fs::write(&new, commit)?;
        fs::rename(new, path)
    }
}

/// Whether that is a commit, and a name that cannot lead elsewhere.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
