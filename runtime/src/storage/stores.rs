//! Opening places: the stores that were opened share one cache.

use std::fmt;
use std::path::{Path, PathBuf};
#[cfg(feature = "s3")]
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value};

use crate::storage::location::stays_inside;
#[cfg(feature = "s3")]
use crate::storage::remote::{Cache, Remote, Store, http, s3};
use crate::storage::secret::StorageKey;
use crate::storage::{Folder, Location, Source, StorageError, StorageOptions};

/// Opens places as they are asked for.
pub struct Stores {
    options: StorageOptions,
    #[cfg(feature = "s3")]
    cache: Mutex<Option<Arc<Cache>>>,
    /// Connections of those that were opened last.
    #[cfg(feature = "s3")]
    clients: Mutex<Vec<(StorageKey, Option<String>, s3::Client)>>,
}

/// A model's place as ModelMesh's controller writes it: a key of the secret, what is different for this model, and
/// the path in the bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Address {
    pub(crate) key: Option<String>,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) path: String,
}

/// More keys and buckets than anyone has in one secret.
#[cfg(feature = "s3")]
const MOST_CLIENTS: usize = 64;

// === impl Stores ===

impl Stores {
    /// Opens nothing yet.
    pub fn new(options: StorageOptions) -> Self {
        Self {
            options,
            #[cfg(feature = "s3")]
            cache: Mutex::default(),
            #[cfg(feature = "s3")]
            clients: Mutex::default(),
        }
    }

    pub(crate) fn options(&self) -> &StorageOptions {
        &self.options
    }

    /// The place as a source of models. Asks no store yet.
    ///
    /// # Errors
    /// Something is missing that it takes, or contradicts itself.
    pub(crate) fn open(&self, location: &Location) -> Result<Source, StorageError> {
        match location {
            Location::Folder(path) => Ok(Source::Folder(Folder::new(path))),
            Location::Volume { claim, path } => Ok(self.volume(claim, path)),
            Location::S3 { bucket, prefix } => {
                let key = match &self.options.storage_config {
                    Some(folder) => Some(StorageKey::read(folder, self.options.storage_key.as_deref(), &Map::new())?),
                    None => None,
                };
                self.s3(key.as_ref(), bucket.as_deref(), prefix)
            }
            Location::Http(url) => {
                let key = match (&self.options.storage_config, &self.options.storage_key) {
                    (Some(folder), Some(key)) => StorageKey::read(folder, Some(key), &Map::new())?,
                    _ => StorageKey::default(),
                };
                self.http(url, &key)
            }
        }
    }

    /// The place of one model.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn open_address(&self, address: &Address) -> Result<Source, StorageError> {
        let Address { key, parameters, path } = address;
        let key = match &self.options.storage_config {
            Some(folder) => StorageKey::read(folder, key.as_deref(), parameters)?,
            None if key.is_none() => StorageKey::of(parameters)?,
            None => {
                return Err(StorageError::new(
                    "the model names a storage key and this server has no storage-config secret, name its folder with --storage-config",
                ));
            }
        };
        let path = path.trim_matches('/');
        match key.kind() {
            "s3" => self.s3(Some(&key), None, path),
            "pvc" => {
                let claim = key.name.as_deref().filter(|claim| stays_inside(Path::new(claim)));
                let claim = claim.ok_or_else(|| {
                    StorageError::new("the storage key of type pvc has no name, expected the claim's")
                })?;
                if !stays_inside(Path::new(path)) {
                    return Err(StorageError::new(format!("the path '{path}' leaves the volume")));
                }
                Ok(self.volume(claim, Path::new(path)))
            }
            "http" | "https" => {
                if !is_below_a_url(path) {
                    return Err(StorageError::new(format!("the path '{path}' leaves the url of the storage key")));
                }
                let base = key.url.as_deref().map(|url| url.trim_end_matches('/'));
                let url = match base {
                    Some(base) if path.is_empty() => base.to_owned(),
                    Some(base) => format!("{base}/{path}"),
                    None => return Err(StorageError::new("the storage key of type http has no url")),
                };
                self.http(&url, &key)
            }
            other => {
                Err(StorageError::new(format!("storage of type '{other}' is not served, expected s3, http or pvc")))
            }
        }
    }

    fn volume(&self, claim: &str, path: &Path) -> Source {
        let path: PathBuf = self.options.pvc_mounts.join(claim).join(path);
        Source::Folder(Folder::new(path))
    }

    #[cfg(feature = "s3")]
    fn s3(&self, key: Option<&StorageKey>, bucket: Option<&str>, prefix: &str) -> Result<Source, StorageError> {
        let client = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let wanted = (key.cloned().unwrap_or_default(), bucket.map(str::to_owned));
            match clients.iter().find(|(key, bucket, _)| (key, bucket) == (&wanted.0, &wanted.1)) {
                Some((_, _, client)) => client.clone(),
                None => {
                    let client = s3::Client::new(key, bucket, self.options.stall_timeout)?;
                    clients.truncate(MOST_CLIENTS - 1);
                    clients.insert(0, (wanted.0, wanted.1, client.clone()));
                    client
                }
            }
        };
        self.remote(s3::S3::new(client, prefix)?)
    }

    #[cfg(feature = "s3")]
    fn http(&self, url: &str, key: &StorageKey) -> Result<Source, StorageError> {
        self.remote(http::Http::new(url, key)?)
    }

    #[cfg(feature = "s3")]
    fn remote(&self, store: impl Store + 'static) -> Result<Source, StorageError> {
        let cache = {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            match &*cache {
                Some(cache) => cache.clone(),
                None => cache.insert(Cache::open(&self.options)?).clone(),
            }
        };
        Ok(Source::Remote(Remote::new(Arc::new(store), cache)))
    }

    #[cfg(not(feature = "s3"))]
    fn s3(&self, _: Option<&StorageKey>, _: Option<&str>, _: &str) -> Result<Source, StorageError> {
        Err(not_built())
    }

    #[cfg(not(feature = "s3"))]
    fn http(&self, _: &str, _: &StorageKey) -> Result<Source, StorageError> {
        Err(not_built())
    }
}

/// Whether it stays below a URL that it is appended to, as URLs are read: `%2e` is a dot and a backslash a slash.
fn is_below_a_url(path: &str) -> bool {
    let read = path.to_ascii_lowercase().replace("%2e", ".").replace('\\', "/");
    !read.contains(|sign: char| sign.is_control()) && stays_inside(Path::new(&read))
}

#[cfg(not(feature = "s3"))]
fn not_built() -> StorageError {
    StorageError::new("this build serves folders only, build it with the feature s3 for S3 and HTTP")
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("options", &self.options).finish_non_exhaustive()
    }
}

// === impl Address ===

impl Address {
    /// For texts.
    pub(crate) fn label(&self) -> String {
        format!("'{}' of the storage key {}", self.path, self.key.as_deref().unwrap_or("(none)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_url_that_they_belong_to() {
        for path in ["", "a", "a/b.joblib", "a%20b", "..a/b"] {
            assert!(is_below_a_url(path), "{path}");
        }
        for path in ["..", "a/../../b", "a/%2E%2e/b", "a\\..\\b", ".\t./b"] {
            assert!(!is_below_a_url(path), "{path}");
        }
    }
}
