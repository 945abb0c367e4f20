//! Whether files are still what they were, without reading them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Size, time and identity of a model's files; another one means that they have changed. Network
/// file systems send no events, and keep these.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Fingerprint {
    hash: u64,
    bytes: u64,
}

/// A folder in a folder in a folder …: no model has more.
const DEEPEST: usize = 16;

// === impl Fingerprint ===

impl Fingerprint {
    /// Of these files and of all that stands in these folders; what is not there counts as that.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let (mut hash, mut bytes) = (DefaultHasher::new(), 0);
        for path in paths {
            if let Err(error) = add(path, 0, &mut hash, &mut bytes) {
                error.kind().hash(&mut hash);
            }
        }
        Self { hash: hash.finish(), bytes }
    }

    /// Of what a store says of its objects, each with its bytes.
    #[cfg(feature = "s3")]
    pub(crate) fn of_objects(objects: impl IntoIterator<Item = (impl Hash, u64)>) -> Self {
        let (mut hash, mut bytes) = (DefaultHasher::new(), 0_u64);
        for (object, size) in objects {
            object.hash(&mut hash);
            bytes = bytes.saturating_add(size);
        }
        Self { hash: hash.finish(), bytes }
    }

    /// Bytes of all files.
    pub(crate) fn bytes(self) -> u64 {
        self.bytes
    }
}

fn add(path: &Path, depth: usize, hash: &mut DefaultHasher, bytes: &mut u64) -> io::Result<()> {
    // Links are followed: a mounted ConfigMap changes by a link.
    let metadata = fs::metadata(path)?;
    path.hash(hash);
    if metadata.is_dir() && depth < DEEPEST {
        let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            add(&entry.path(), depth + 1, hash, bytes)?;
        }
        return Ok(());
    }
    (metadata.len(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()).hash(hash);
    *bytes = bytes.saturating_add(metadata.len());
    Ok(())
}
