//! What a store has listed, as a tree of folders.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::formats::ModelFiles;
use crate::storage::remote::Remote;
use crate::storage::remote::store::{Listed, Object};
use crate::storage::tree::is_hidden;
use crate::storage::{Entry, Stored, Tree};

/// The tree. Paths begin with the store's name: `s3://bucket/prefix/iris.joblib`.
pub(crate) struct Listing {
    remote: Arc<Remote>,
    root: PathBuf,
    objects: BTreeMap<String, Object>,
    settings: HashMap<String, Result<Arc<[u8]>, String>>,
    is_file: bool,
}

// === impl Listing ===

impl Listing {
    pub(super) fn new(
        remote: Arc<Remote>,
        listed: Listed,
        settings: HashMap<String, Result<Arc<[u8]>, String>>,
    ) -> Self {
        let root = PathBuf::from(remote.store.root());
        let objects = listed.objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        let mut listing = Self { remote, root, objects, settings, is_file: listed.is_file };
        listing.remove_markers();
        listing
    }

    /// Consoles make an empty object for a folder.
    fn remove_markers(&mut self) {
        let empty = self.objects.values().filter(|object| object.size == 0);
        let markers: Vec<_> = empty.map(|object| object.key.clone()).filter(|key| self.is_folder_key(key)).collect();
        for key in markers {
            self.objects.remove(&key);
        }
    }

    /// The key of a path; the root's is empty.
    fn key(&self, path: &Path) -> Option<String> {
        let mut parts: Vec<&str> = Vec::new();
        for part in path.strip_prefix(&self.root).ok()?.components() {
            match part {
                Component::Normal(name) => parts.push(name.to_str()?),
                Component::CurDir => {}
                Component::ParentDir => drop(parts.pop()?),
                Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        Some(parts.join("/"))
    }

    /// The objects of a folder and of the folders in it.
    fn below<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Object> {
        let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
        let from = self.objects.range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded));
        from.map(|(_, object)| object).take_while(move |object| object.key.starts_with(&prefix))
    }

    fn is_folder_key(&self, key: &str) -> bool {
        key.is_empty() || self.below(key).next().is_some()
    }

    fn found(&self, path: &Path) -> io::Result<String> {
        let key = self.key(path).filter(|key| self.objects.contains_key(key) || self.is_folder_key(key));
        key.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
    }
}

impl Tree for Listing {
    fn root(&self) -> &Path {
        &self.root
    }

    fn entries(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let key = self.found(folder)?;
        let start = if key.is_empty() { 0 } else { key.len() + 1 };
        let mut entries: Vec<(&str, bool)> = Vec::new();
        for object in self.below(&key) {
            let Some(rest) = object.key.get(start..) else { continue };
            let (name, is_folder) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            if !is_hidden(name.as_bytes()) && entries.last() != Some(&(name, is_folder)) {
                entries.push((name, is_folder));
            }
        }
        // `a.b` stands between `a` and `a/c`.
        entries.sort_unstable();
        entries.dedup();
        Ok(entries.into_iter().map(|(name, is_folder)| Entry { path: folder.join(name), is_folder }).collect())
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        let key = self.found(path)?;
        Ok(!self.objects.contains_key(&key))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let key = self.found(path)?;
        match self.settings.get(&key) {
            Some(Ok(text)) => Ok(text.to_vec()),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn fingerprint(&self, paths: &[&Path]) -> Fingerprint {
        let keys = paths.iter().filter_map(|path| self.key(path));
        let objects = keys.flat_map(|key| {
            let itself = self.objects.get(&key);
            itself.into_iter().chain(self.below(&key)).collect::<Vec<_>>()
        });
        // Settings that can be read now and could not before are a change.
        let is_unread = |object: &Object| self.settings.get(&object.key).is_some_and(Result::is_err);
        Fingerprint::of_objects(objects.map(|object| ((object, is_unread(object)), object.size)))
    }

    fn stored(&self, path: &Path, format: Option<String>) -> Stored {
        let key = self.key(path).unwrap_or_default();
        let (objects, is_folder) = match self.objects.get(&key) {
            Some(object) => (vec![(PathBuf::new(), object.clone())], false),
            None => {
                let start = if key.is_empty() { 0 } else { key.len() + 1 };
                let named = |object: &Object| (PathBuf::from(object.key.get(start..).unwrap_or("")), object.clone());
                (self.below(&key).map(named).collect(), true)
            }
        };
        let files = ModelFiles { path: path.to_owned(), format, parameters: None };
        Stored::remote(files, self.remote.files(objects, is_folder))
    }

    fn only_file(&self) -> Option<PathBuf> {
        let key = self.objects.keys().next().filter(|_| self.is_file)?;
        Some(if key.is_empty() { self.root.clone() } else { self.root.join(key) })
    }
}
