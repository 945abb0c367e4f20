//! What stands in storage, as the catalogue looks at it: names, and the small files that say what is to be served.

use std::io;
use std::path::{Path, PathBuf};

use crate::fingerprint::Fingerprint;
use crate::storage::Stored;

/// A file or folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) is_folder: bool,
}

/// Files and folders below a root. Paths begin with the root, which need not be a path of this machine.
pub(crate) trait Tree {
    /// Where it begins.
    fn root(&self) -> &Path;

    /// The entries of a folder in order of their names, hidden ones left out.
    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Whether it is a folder; an error where nothing is.
    fn is_folder(&self, path: &Path) -> io::Result<bool>;

    /// A small file, whole.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Of these files and of all that stands in these folders; what is not there counts as that.
    fn fingerprint(&self, paths: &[&Path]) -> Fingerprint;

    /// The file or folder, for a load.
    fn stored(&self, path: &Path, format: Option<String>) -> Stored;

    /// The only file there is, where the place names a file and not a folder.
    fn only_file(&self) -> Option<PathBuf> {
        None
    }
}

/// Whether this is no model's name: hidden (a mounted ConfigMap has such), or `lost+found`.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") || name == b"lost+found"
}
