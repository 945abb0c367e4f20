//! One model: its versions, and which of them answers when none is named.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::catalogue::version::Version;
use crate::fingerprint::Fingerprint;
use crate::residency::{Failing, Loaded, Mode, Residency, Slot, Urgency};

/// A model's versions, the lowest first; a model without versions has one entry without a name.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    versions: BTreeMap<Option<Version>, Arc<Entry>>,
    /// The model's settings say which versions are served: all of these.
    pub(super) has_policy: bool,
}

/// One version.
pub(super) struct Entry {
    serving: ArcSwap<Slot>,
    /// The same with its changed files, until it is loaded and takes the place of the one that serves.
    next: ArcSwapOption<Slot>,
    /// Came while a lower version was serving, which goes on until this one is loaded.
    is_beside: AtomicBool,
}

/// What answers a request.
pub(super) enum Choice {
    Resident(Arc<Loaded>),
    Load(Arc<Entry>),
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(has_policy: bool) -> Self {
        Self { versions: BTreeMap::new(), has_policy }
    }

    pub(super) fn add(&mut self, version: Option<Version>, entry: Arc<Entry>) {
        self.versions.insert(version, entry);
    }

    pub(super) fn len(&self) -> usize {
        self.versions.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The versions, the lowest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = (&Option<Version>, &Arc<Entry>)> {
        self.versions.iter()
    }

    pub(super) fn get(&self, version: &Option<Version>) -> Option<&Arc<Entry>> {
        self.versions.get(version)
    }

    /// The version of this name; few models have so many that a search would be faster.
    pub(super) fn entry(&self, version: &str) -> Option<&Arc<Entry>> {
        let is_it = |of: &Option<Version>| of.as_ref().is_some_and(|of| of.as_str() == version);
        self.versions.iter().find(|(of, _)| is_it(of)).map(|(_, entry)| entry)
    }

    pub(super) fn newest(&self) -> Option<&Arc<Entry>> {
        self.versions.last_key_value().map(|(_, entry)| entry)
    }

    /// Whether any version is in memory.
    pub(super) fn is_resident(&self) -> bool {
        self.versions.values().any(|entry| entry.serving.load().is_resident())
    }

    /// The versions that can be asked.
    pub(super) fn available(&self, mode: Mode) -> impl Iterator<Item = &Version> {
        let is_available = move |entry: &Entry| {
            let slot = entry.serving.load();
            slot.is_resident() || (mode == Mode::OnDemand && slot.failing() == Failing::No)
        };
        self.versions.iter().filter(move |(_, entry)| is_available(entry)).filter_map(|(version, _)| version.as_ref())
    }

    /// What answers when no version is named: the highest, unless it failed or is not loaded yet and
    /// a lower one serves. `None` without versions.
    pub(super) fn choose(&self, residency: &Arc<Residency>, mode: Mode) -> Option<Choice> {
        let (mut beside, mut failing) = (None, None);
        for entry in self.versions.values().rev() {
            if let Some(loaded) = entry.resident() {
                entry.is_beside.store(false, Ordering::Relaxed);
                if let Some(retriable) = failing.filter(|entry: &&Arc<Entry>| entry.is_retriable()) {
                    // Nobody has to wait for what may fail again.
                    retriable.is_beside.store(true, Ordering::Relaxed);
                    residency.want(&retriable.slot(), Urgency::Replacement);
                }
                return Some(Choice::Resident(loaded));
            }
            if entry.serving.load().failing() != Failing::No {
                failing = failing.or(Some(entry));
            } else if mode == Mode::Explicit || entry.is_beside.load(Ordering::Relaxed) {
                beside = beside.or(Some(entry));
            } else {
                return Some(Choice::Load(beside.unwrap_or(entry).clone()));
            }
        }
        beside.or(failing).or_else(|| self.newest()).map(|entry| Choice::Load(entry.clone()))
    }
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(slot: Arc<Slot>) -> Arc<Self> {
        Arc::new(Self { serving: ArcSwap::new(slot), next: ArcSwapOption::empty(), is_beside: AtomicBool::new(false) })
    }

    /// A version that does not answer before it is loaded, as long as a lower one does.
    pub(super) fn beside(slot: Arc<Slot>) -> Arc<Self> {
        let entry = Self::new(slot);
        entry.is_beside.store(true, Ordering::Relaxed);
        entry
    }

    /// The slot that answers.
    pub(super) fn slot(&self) -> Arc<Slot> {
        self.serving.load_full()
    }

    /// The slot of the changed files, if they are not loaded yet.
    pub(super) fn next(&self) -> Option<Arc<Slot>> {
        self.next.load_full()
    }

    /// Whether it serves files in this state and no others are to take their place.
    pub(super) fn is_settled_with(&self, fingerprint: Fingerprint) -> bool {
        self.next.load().is_none() && self.serving.load().description().fingerprint == fingerprint
    }

    /// The model, if it is in memory; counts as a use of it.
    pub(super) fn resident(&self) -> Option<Arc<Loaded>> {
        self.serving.load().resident()
    }

    pub(super) fn choice(self: &Arc<Self>) -> Choice {
        self.resident().map_or_else(|| Choice::Load(self.clone()), Choice::Resident)
    }

    /// The slot to load when none is in memory: what stands in storage now.
    pub(super) fn to_load(&self, residency: &Arc<Residency>) -> Arc<Slot> {
        if let Some(next) = self.next() {
            self.promote(&next, residency);
        }
        self.slot()
    }

    /// From now on these files are what is to be served: at once if nothing is lost by it, else when
    /// they are loaded. Returns the slot to load then.
    pub(super) fn change(&self, slot: Arc<Slot>, residency: &Arc<Residency>) -> Option<Arc<Slot>> {
        if self.serving.load().is_resident() {
            self.next.store(Some(slot.clone()));
            return Some(slot);
        }
        self.next.store(None);
        let old = self.serving.swap(slot);
        residency.begin_unload(&old, "its files have changed");
        None
    }

    /// The changed files are what they were.
    pub(super) fn forget_next(&self, residency: &Arc<Residency>) {
        if let Some(next) = self.next.swap(None) {
            residency.begin_unload(&next, "its files are what they were before");
        }
    }

    /// The next slot serves; the old one is unloaded, requests in flight keep its model.
    pub(super) fn promote(&self, next: &Arc<Slot>, residency: &Arc<Residency>) {
        let is_next = |slot: &Option<Arc<Slot>>| slot.as_ref().is_some_and(|slot| Arc::ptr_eq(slot, next));
        // Only one of those who do this at once goes on, and only if the files have not changed again.
        let current = self.next.load();
        if !is_next(&current) || !is_next(&self.next.compare_and_swap(&current, None)) {
            return;
        }
        let old = self.serving.swap(next.clone());
        residency.begin_unload(&old, "replaced by its changed files");
    }

    fn is_retriable(&self) -> bool {
        self.serving.load().failing() == Failing::Retriable
    }
}
