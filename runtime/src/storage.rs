//! Where models stand: folders, S3-compatible stores, HTTP.
//!
//! The catalogue asks a [`Source`] what there is ([`Tree`]: names, sizes, small settings files), and residency asks
//! [`Stored`] files to be made local when a load wants them. What a store is called and how it answers is known here
//! and nowhere else; a format only ever sees files on this machine, whole.
//!
//! ```text
//! catalogue ─ look ─▶ Source ─▶ Folder, or the listing of a store
//! residency ─ fetch ▶ Stored ─▶ the file itself, or store ─ download ─▶ cache
//! ```

mod events;
mod files;
mod folder;
mod location;
#[cfg(feature = "s3")]
mod remote;
mod secret;
mod stores;
mod tree;

#[cfg(test)]
#[cfg(feature = "s3")]
mod tests;

use std::path::PathBuf;
#[cfg(feature = "s3")]
use std::sync::Arc;
use std::time::Duration;

use crate::background;

pub(crate) use events::Events;
pub(crate) use files::{Hold, Local, Stored};
pub(crate) use folder::Folder;
pub use location::Location;
pub(crate) use stores::Address;
pub use stores::Stores;
pub(crate) use tree::{Entry, Tree};

/// The thread that looks, as system tools show it.
pub(crate) const LOOK: &str = "storage-look";

/// Bytes of a settings file that are read at most.
pub(crate) const MAX_SETTINGS_BYTES: u64 = 1 << 20;

/// What can be set.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Folder for what is downloaded; `None`: `modelway` in the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Bytes that it may have; `None`: half of what its disk has free at the start.
    pub cache_size: Option<u64>,
    /// Folder of a KServe `storage-config` secret: a JSON file for each key.
    pub storage_config: Option<PathBuf>,
    /// The key in it; `None`: `default_s3`, else `default`.
    pub storage_key: Option<String>,
    /// Folder in which volume claims are mounted by their names.
    pub pvc_mounts: PathBuf,
    /// Models that are downloaded at the same time.
    pub downloads_at_once: usize,
    /// A store that sends nothing for so long is asked again.
    pub stall_timeout: Duration,
}

/// Why storage cannot be used, and what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(String);

/// A place whose entries are models.
pub(crate) enum Source {
    Folder(Folder),
    #[cfg(feature = "s3")]
    Remote(Arc<remote::Remote>),
}

// === impl StorageOptions ===

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            cache: None,
            cache_size: None,
            storage_config: None,
            storage_key: None,
            pvc_mounts: PathBuf::from("/pvc_mounts"),
            downloads_at_once: 8,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

// === impl StorageError ===

impl StorageError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

// === impl Source ===

impl Source {
    /// Looks at what stands there, or only at what is called so, on a thread where blocking is allowed.
    ///
    /// # Errors
    /// It cannot be listed now. What is wrong with a single file is the file's.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        below: Option<&str>,
        work: impl FnOnce(&dyn Tree) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let done = match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                background::run(LOOK, move || work(&folder)).await
            }
            #[cfg(feature = "s3")]
            Self::Remote(remote) => {
                let listing = remote.look(below).await?;
                background::run(LOOK, move || work(&listing)).await
            }
        };
        #[cfg(not(feature = "s3"))]
        let _ = below;
        done.ok_or_else(|| StorageError::new("looking at storage stopped, see the log"))
    }

    /// Whether files have to be downloaded.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self, Self::Folder(_))
    }

    /// How often to look for changes where nobody says.
    pub(crate) fn poll_interval(&self) -> Duration {
        match self {
            Self::Folder(_) => Duration::from_secs(5),
            // Requests for listings are paid for.
            #[cfg(feature = "s3")]
            Self::Remote(_) => Duration::from_secs(30),
        }
    }

    /// Between a look that has found something new and the one that finds it unchanged.
    pub(crate) fn settling_time(&self) -> Option<Duration> {
        match self {
            // Files grow while they are copied, and network file systems tell late.
            Self::Folder(_) => None,
            // An object is there whole or not at all.
            #[cfg(feature = "s3")]
            Self::Remote(_) => Some(Duration::from_secs(2)),
        }
    }

    /// Comes when something is known to have changed; never, where nobody tells.
    pub(crate) fn events(&self) -> Events {
        match self {
            Self::Folder(folder) => Events::of_folder(folder.path()),
            #[cfg(feature = "s3")]
            Self::Remote(remote) => Events::told_by(remote.outdated()),
        }
    }
}
