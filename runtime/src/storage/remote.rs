//! Models behind a network: a listing that is looked at, and files that are downloaded when a load wants them.

mod cache;
mod checksum;
mod download;
pub(super) mod http;
mod listing;
pub(super) mod s3;
mod store;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

pub(super) use cache::Cache;
use cache::Held;
pub(super) use listing::Listing;
use store::Object;
pub(super) use store::Store;
use store::StoreError;

use crate::storage::{Hold, MAX_SETTINGS_BYTES, StorageError};

/// Files that say what is to be served; they are read with every listing in which they have changed.
const SETTINGS: [&str; 2] = ["model-settings.json", "config.pbtxt"];

/// They stand in a model's folder or in that of a version; where the place is itself a model, at its root.
const SETTINGS_DEPTH: usize = 3;

/// Settings files that are read at once.
const READS_AT_ONCE: usize = 16;

/// Files of one model that are downloaded at once.
const FILES_AT_ONCE: usize = 4;

/// How often a small file is asked for.
const TRIES: usize = 3;

/// A store, and what is known of it.
pub(crate) struct Remote {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    /// By key: what it was when it was read, and what was read.
    settings: Mutex<HashMap<String, Settings>>,
    /// Told when a download finds that the listing is no longer true.
    outdated: Arc<Notify>,
}

#[derive(Clone)]
struct Settings {
    object: Object,
    text: Result<Arc<[u8]>, String>,
}

/// The files of one model.
pub(crate) struct RemoteFiles {
    store: Arc<dyn Store>,
    cache: Arc<Cache>,
    outdated: Arc<Notify>,
    /// Names relative to the model's folder; one without a name is the model's only file.
    objects: Vec<(PathBuf, Object)>,
    is_folder: bool,
}

// === impl Remote ===

impl Remote {
    pub(super) fn new(store: Arc<dyn Store>, cache: Arc<Cache>) -> Arc<Self> {
        Arc::new(Self { store, cache, settings: Mutex::default(), outdated: Arc::default() })
    }

    /// What stands there now, or only what is called so or stands below it.
    pub(super) async fn look(self: &Arc<Self>, below: Option<&str>) -> Result<Listing, StorageError> {
        let mut listed = self.store.list(below).await.map_err(|error| StorageError::new(error.to_string()))?;
        let known = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if below.is_some() {
            // Whether the place is itself a model is what the last whole look has found.
            let of_root = SETTINGS.iter().filter_map(|name| known.get(*name));
            listed.objects.extend(of_root.map(|settings| settings.object.clone()));
        }
        let wanted = listed.objects.iter().filter(|object| is_settings(&object.key));
        let reads: Vec<_> = wanted.cloned().map(|object| self.read_settings(known.get(&object.key), object)).collect();
        let settings: HashMap<_, _> = stream::iter(reads)
            .buffer_unordered(READS_AT_ONCE)
            .map_ok(|settings| (settings.object.key.clone(), settings))
            .try_collect()
            .await
            .map_err(|error: StoreError| StorageError::new(error.to_string()))?;
        let texts = settings.iter().map(|(key, settings)| (key.clone(), settings.text.clone())).collect();
        // What could not be read now is asked for again in the next look.
        let settings = settings.into_iter().filter(|(_, settings)| settings.is_for_good());
        {
            let mut known = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
            match below {
                None => *known = settings.collect(),
                Some(_) => known.extend(settings),
            }
        }
        Ok(Listing::new(self.clone(), listed, texts))
    }

    /// Told when a download finds that the listing is no longer true.
    pub(super) fn outdated(&self) -> Arc<Notify> {
        self.outdated.clone()
    }

    fn files(&self, objects: Vec<(PathBuf, Object)>, is_folder: bool) -> RemoteFiles {
        let (store, cache, outdated) = (self.store.clone(), self.cache.clone(), self.outdated.clone());
        RemoteFiles { store, cache, outdated, objects, is_folder }
    }

    /// What is refused or gone is the model's fault, and told with it; else the whole look has failed.
    async fn read_settings(&self, known: Option<&Settings>, object: Object) -> Result<Settings, StoreError> {
        if let Some(known) = known.filter(|known| known.object == object) {
            return Ok(known.clone());
        }
        if object.size > MAX_SETTINGS_BYTES {
            return Ok(Settings { object, text: Err(format!("larger than {MAX_SETTINGS_BYTES} bytes")) });
        }
        let mut tries = 1;
        loop {
            match download::small(self.store.as_ref(), &object, self.cache.stall_timeout()).await {
                Ok(text) => return Ok(Settings { object, text: Ok(text.into()) }),
                Err(error @ (StoreError::Denied(_) | StoreError::Gone(_))) => {
                    return Ok(Settings { object, text: Err(error.to_string()) });
                }
                Err(error) if !error.is_passing() || tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Whether reading it again would bring the same.
    fn is_for_good(&self) -> bool {
        self.text.is_ok() || self.object.size > MAX_SETTINGS_BYTES
    }
}

fn is_settings(key: &str) -> bool {
    let mut parts = key.rsplit('/');
    parts.next().is_some_and(|name| SETTINGS.contains(&name)) && parts.count() < SETTINGS_DEPTH
}

// === impl RemoteFiles ===

impl RemoteFiles {
    /// Where they are on this machine, downloaded if need be.
    pub(super) async fn fetch(&self) -> Result<(PathBuf, Hold), String> {
        let files: Vec<_> = self.objects.iter().map(|(name, object)| self.fetch_one(name, object)).collect();
        let files: Result<Vec<_>, StoreError> = stream::iter(files).buffer_unordered(FILES_AT_ONCE).try_collect().await;
        let files = files.map_err(|error| {
            if matches!(error, StoreError::Changed(_) | StoreError::Gone(_)) {
                self.outdated.notify_one();
            }
            error.to_string()
        })?;
        if self.is_folder {
            let path = self.cache.view(&files).await.map_err(|error| error.to_string())?;
            return Ok((path, Hold::new(files)));
        }
        let path = files.first().map(|(_, held)| held.path().to_owned());
        path.map(|path| (path, Hold::new(files))).ok_or_else(|| "it has no files".to_owned())
    }

    async fn fetch_one(&self, name: &Path, object: &Object) -> Result<(PathBuf, Held), StoreError> {
        let held = self.cache.fetch(self.store.as_ref(), object).await?;
        Ok((name.to_owned(), held))
    }
}
