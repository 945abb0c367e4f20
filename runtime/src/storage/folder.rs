//! A folder of this machine, which may be a mounted volume.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::fingerprint::Fingerprint;
use crate::formats::ModelFiles;
use crate::storage::tree::is_hidden;
use crate::storage::{Entry, MAX_SETTINGS_BYTES, Stored, Tree};

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

// === impl Folder ===

impl Folder {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Tree for Folder {
    fn root(&self) -> &Path {
        &self.path
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if is_hidden(entry.file_name().as_encoded_bytes()) {
                continue;
            }
            let path = entry.path();
            // Most file systems say it with the name; a link has to be followed.
            let is_folder = match entry.file_type() {
                Ok(kind) if !kind.is_symlink() => kind.is_dir(),
                _ => path.is_dir(),
            };
            entries.push(Entry { path, is_folder });
        }
        entries.sort_by(|left, right| left.path.as_os_str().cmp(right.path.as_os_str()));
        Ok(entries)
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        fs::metadata(path).map(|metadata| metadata.is_dir())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        fs::File::open(path)?.take(MAX_SETTINGS_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MAX_SETTINGS_BYTES {
            return Err(too_large());
        }
        Ok(text)
    }

    fn fingerprint(&self, paths: &[&Path]) -> Fingerprint {
        Fingerprint::of(paths.iter().copied())
    }

    fn stored(&self, path: &Path, format: Option<String>) -> Stored {
        ModelFiles { path: path.to_owned(), format, parameters: None }.into()
    }

    fn only_file(&self) -> Option<PathBuf> {
        self.path.is_file().then(|| self.path.clone())
    }
}

/// For a settings file that is none.
pub(super) fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_SETTINGS_BYTES} bytes"))
}
