//! Bringing the stock in line with what stands in storage.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::scan::Found;
use crate::catalogue::settings;
use crate::catalogue::shelf::{Entry, Shelf};
use crate::catalogue::version::Version;
use crate::fingerprint::Fingerprint;
use crate::listing::State;
use crate::residency::{Description, Mode, Origin, Slot, Urgency};
use crate::storage::Stored;

/// A model and version.
pub(super) type Key = (String, Option<String>);

/// What an earlier look at storage has found.
pub(super) type Earlier = HashMap<Key, Fingerprint>;

/// What a look at storage has found, for the next one.
pub(super) fn remembered(found: &[Found]) -> Earlier {
    found.iter().map(|found| ((found.name.clone(), found.version.clone()), found.fingerprint)).collect()
}

/// What was found of one model.
#[derive(Default)]
struct Model {
    has_policy: bool,
    versions: BTreeMap<Option<Version>, Found>,
}

// === impl Catalogue ===

impl Catalogue {
    /// Makes all models what was found. With an earlier look, only what both have found counts: a
    /// file that is still being written is left alone.
    pub(super) fn take_over(&self, found: Vec<Found>, earlier: Option<&Earlier>) {
        let old = self.stock.load_full();
        let mut models = sorted(found, earlier.is_none());
        let mut stock: BTreeMap<String, Arc<Shelf>> = BTreeMap::new();
        for (name, shelf) in old.iter() {
            let shelf = self.changed_shelf(name, shelf, models.remove(name).unwrap_or_default(), earlier);
            if !shelf.is_empty() {
                stock.insert(name.clone(), shelf);
            }
        }
        for (name, model) in models {
            let shelf = self.changed_shelf(&name, &Arc::default(), model, earlier);
            if !shelf.is_empty() {
                stock.insert(name, shelf);
            }
        }
        let mut shelves = old.values().zip(stock.values());
        if old.len() != stock.len() || !shelves.all(|(old, new)| Arc::ptr_eq(old, new)) {
            self.stock.store(Arc::new(stock.into()));
        }
    }

    /// Whether all models are what was found, with nothing left to do about it: as in nearly every look.
    pub(super) fn is_in_line_with(&self, found: &[Found]) -> bool {
        let stock = self.stock.load();
        let is_served = |found: &Found| {
            let Some(shelf) = stock.get(&found.name).filter(|shelf| shelf.has_policy == found.has_policy) else {
                return false;
            };
            let entry = match &found.version {
                Some(version) => shelf.entry(version),
                None => shelf.get(&None),
            };
            entry.is_some_and(|entry| entry.is_settled_with(found.fingerprint))
        };
        let versions: usize = stock.values().map(|shelf| shelf.len()).sum();
        versions == found.len() && found.iter().all(is_served)
    }

    /// Makes one model what was found of it, at once.
    pub(super) fn take_over_model(&self, name: &str, found: Vec<Found>) {
        let old = self.stock.load_full();
        let model = sorted(found, true).remove(name).unwrap_or_default();
        let shelf = old.get(name).cloned().unwrap_or_default();
        let changed = self.changed_shelf(name, &shelf, model, None);
        if Arc::ptr_eq(&shelf, &changed) {
            return;
        }
        let stock =
            if changed.is_empty() { old.without(name).map(|(stock, _)| stock) } else { Some(old.with(name, changed)) };
        if let Some(stock) = stock {
            self.stock.store(Arc::new(stock));
        }
    }

    /// The shelf with what has changed, or the same one.
    fn changed_shelf(&self, name: &str, shelf: &Arc<Shelf>, model: Model, earlier: Option<&Earlier>) -> Arc<Shelf> {
        let mut changed = Shelf::new(model.has_policy);
        let mut is_changed = model.has_policy != shelf.has_policy;
        let was_seen = |version: &Option<Version>, fingerprint: Option<Fingerprint>| {
            let Some(earlier) = earlier else { return true };
            earlier.get(&(name.to_owned(), version.as_ref().map(ToString::to_string))).copied() == fingerprint
        };
        for (version, entry) in shelf.entries() {
            if model.versions.contains_key(version) || !was_seen(version, None) || self.is_kept(entry) {
                changed.add(version.clone(), entry.clone());
                continue;
            }
            is_changed = true;
            entry.forget_next(&self.residency);
            tracing::info!(model = name, version = version.as_ref().map(Version::as_str), "model left storage");
            self.residency.begin_unload(&entry.slot(), "it left storage");
        }
        for (version, found) in model.versions {
            let is_stable = was_seen(&version, Some(found.fingerprint));
            match shelf.get(&version) {
                Some(entry) if is_stable => self.change(entry, found, earlier.is_none()),
                None if is_stable => {
                    is_changed = true;
                    changed.add(version, self.new_entry(shelf, found));
                }
                _ => {}
            }
        }
        if is_changed { Arc::new(changed) } else { shelf.clone() }
    }

    /// In the explicit mode what is in memory stays until someone says otherwise.
    fn is_kept(&self, entry: &Entry) -> bool {
        self.options.mode == Mode::Explicit
            && !matches!(self.residency.state(&entry.slot()), State::Unloaded | State::Failed { .. })
    }

    fn new_entry(&self, shelf: &Shelf, found: Found) -> Arc<Entry> {
        let slot = self.slot(found);
        if self.options.mode == Mode::Explicit || !shelf.is_resident() {
            return Entry::new(slot);
        }
        let entry = Entry::beside(slot.clone());
        self.load_beside(&entry, &slot);
        entry
    }

    fn change(&self, entry: &Arc<Entry>, found: Found, is_by_command: bool) {
        let serving = entry.slot();
        if serving.description().fingerprint == found.fingerprint {
            entry.forget_next(&self.residency);
            return;
        }
        if let Some(next) = entry.next().filter(|next| next.description().fingerprint == found.fingerprint) {
            // It failed or found no room, and the pause is over.
            self.load_beside(entry, &next);
            return;
        }
        if !is_by_command && self.is_kept(entry) {
            return;
        }
        tracing::info!(model = found.name, version = found.version, path = %found.path.display(), "model's files changed");
        let slot = self.slot(found);
        slot.set_pinned(serving.is_pinned());
        if let Some(next) = entry.change(slot, &self.residency) {
            self.load_beside(entry, &next);
        }
    }

    fn slot(&self, mut found: Found) -> Arc<Slot> {
        found.files = self.with_default_implementation(found.files, found.lacks_implementation);
        let is_pinned = self.options.pinned.contains(&found.name);
        if let Err(reason) = &found.files {
            let path = found.path.display();
            tracing::error!(model = found.name, version = found.version, %path, %reason, "model cannot be served");
        }
        let origin = match found.files {
            Ok(files) => Origin::Files(files),
            Err(reason) => Origin::Broken(reason),
        };
        let description = Description {
            name: found.name,
            version: found.version,
            origin,
            fingerprint: found.fingerprint,
            max_batch_size: found.max_batch_size,
            signature: found.signature,
        };
        self.residency.slot(description, is_pinned)
    }

    fn with_default_implementation(&self, files: Result<Stored, String>, is_lacking: bool) -> Result<Stored, String> {
        let (Some(default), true) = (&self.options.default_implementation, is_lacking) else { return files };
        let mut files = files?;
        let format = settings::format_of(default, self.residency.formats())?;
        files.or_of_format(Some(&format));
        Ok(files)
    }

    /// Loads the slot beside what serves; once it is loaded it serves.
    fn load_beside(&self, entry: &Arc<Entry>, slot: &Arc<Slot>) {
        if !matches!(self.residency.state(slot), State::Unloaded | State::Failed { .. }) {
            return;
        }
        // Without a runtime there are no requests yet, and the first one finds the new files.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (entry, slot, residency) = (entry.clone(), slot.clone(), self.residency.clone());
        runtime.spawn(async move {
            match residency.get(&slot, Urgency::Replacement, None).await {
                Ok(_) => entry.promote(&slot, &residency),
                Err(error) => {
                    let Description { name, version, .. } = slot.description();
                    tracing::warn!(model = name, version, reason = %error, "the files before go on serving");
                }
            }
        });
    }
}

/// Said once: storage is looked through again and again.
fn sorted(found: Vec<Found>, is_first_look: bool) -> BTreeMap<String, Model> {
    let mut models: BTreeMap<String, Model> = BTreeMap::new();
    for found in found {
        let model = models.entry(found.name.clone()).or_default();
        model.has_policy |= found.has_policy;
        match model.versions.entry(found.version.clone().map(Version::from)) {
            Place::Vacant(place) => {
                place.insert(found);
            }
            Place::Occupied(_) if is_first_look => {
                tracing::error!(
                    model = found.name,
                    version = found.version,
                    path = %found.path.display(),
                    "model stands in storage twice, this one is not served: rename it"
                );
            }
            Place::Occupied(_) => {}
        }
    }
    models
}
