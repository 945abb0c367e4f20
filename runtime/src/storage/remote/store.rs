//! What is asked of a store.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::storage::remote::checksum::Checksum;

/// A file in a store, in one state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Object {
    /// Its name below the source's root, with slashes.
    pub(crate) key: String,
    pub(crate) size: u64,
    /// What tells this state from every other.
    pub(crate) tag: Tag,
    /// Of its bytes, where the listing says.
    pub(crate) checksum: Option<Checksum>,
}

/// What a store changes when it changes a file.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Tag {
    /// Of the bytes, with its quotes. One that is not strong begins with `W/`.
    ETag(String),
    /// `Last-Modified`, as the server writes it.
    Modified(String),
}

/// What stands in a store.
#[derive(Debug)]
pub(crate) struct Listed {
    /// In order of their keys, which are below the root.
    pub(crate) objects: Vec<Object>,
    /// The place named one file, and this is all there is.
    pub(crate) is_file: bool,
}

/// An answer that is being read.
pub(crate) struct Reading {
    /// The byte that comes first: a server need not be able to begin where it is asked to.
    pub(crate) from: u64,
    pub(crate) bytes: BoxStream<'static, Result<Bytes, StoreError>>,
    /// Of the whole file, where the answer says.
    pub(crate) checksum: Option<Checksum>,
}

/// Why a store did not do what was asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is no such file or bucket.
    #[error("{0}")]
    Gone(String),
    /// These keys may not, or are none.
    #[error("{0}")]
    Denied(String),
    /// The file is no longer what was listed.
    #[error("{0}")]
    Changed(String),
    /// It may work the next time: overload, a cut connection, silence.
    #[error("{0}")]
    Passing(String),
    /// What came is not what was stored.
    #[error("{0}")]
    Corrupt(String),
    /// The cache cannot take it.
    #[error("{0}")]
    NoRoom(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A store with a root: keys are relative to it.
pub(crate) trait Store: Send + Sync {
    /// The root as people write it, without secrets: `s3://bucket/prefix`. Two stores whose names and endpoints are the
    /// same hold the same files.
    fn root(&self) -> &str;

    /// What tells stores of the same root apart.
    fn endpoint(&self) -> &str;

    /// All files, or those that are called so or stand below it.
    fn list(&self, below: Option<&str>) -> BoxFuture<'_, Result<Listed, StoreError>>;

    /// The bytes of a file from this one on, as long as it is what was listed.
    fn read<'a>(&'a self, object: &'a Object, from: u64) -> BoxFuture<'a, Result<Reading, StoreError>>;

    /// The file as people write it.
    fn label(&self, object: &Object) -> String {
        format!("{}/{}", self.root().trim_end_matches('/'), object.key)
    }
}

// === impl Object ===

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.key, self.size, &self.tag).hash(state);
    }
}

// === impl Tag ===

impl Tag {
    /// For a name in the cache.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::ETag(text) | Self::Modified(text) => text,
        }
    }

    /// Whether a server compares it byte by byte: others are equal for what is nearly the same.
    pub(crate) fn is_strong(&self) -> bool {
        matches!(self, Self::ETag(text) if !text.starts_with("W/"))
    }
}

// === impl StoreError ===

impl StoreError {
    /// Whether asking again may help.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::Passing(_))
    }
}
