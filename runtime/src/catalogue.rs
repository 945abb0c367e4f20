//! The models that stand in storage.
//!
//! A front end asks [`Catalogue::find`] for a model and cannot tell whether it was in memory. The
//! stock of models is a snapshot that requests read without a lock; a change in storage makes a new
//! one. What is in memory is the [`Residency`]'s business.

mod changes;
mod commands;
mod names;
mod placed;
mod scan;
mod settings;
mod shelf;
mod stock;
mod text_proto;
mod triton;
mod version;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Refusal};
use crate::formats::Format;
use crate::listing::{Listing, State};
use crate::model::Model;
use crate::residency::{Loaded, Mode, Residency, ResidencyOptions, Slot, Urgency};
use crate::storage::{Folder, Location, Source, StorageError, Stores};

use scan::Found;
use shelf::{Choice, Entry, Shelf};
use version::Version;
use watch::Seen;

/// The models by name and version.
pub struct Catalogue {
    stock: ArcSwap<Stock>,
    residency: Arc<Residency>,
    options: ResidencyOptions,
    /// Absent when a program made the models.
    source: Option<Source>,
    /// Held by whoever compares the stock with storage.
    seen: Arc<Mutex<Seen>>,
    is_settled: AtomicBool,
    /// Somebody else places the models.
    is_to_be_filled: bool,
}

/// How often the files of a model may change while one request waits for it.
const FILE_CHANGES: usize = 3;

/// All models, by name.
type Stock = stock::Stock<Arc<Shelf>>;

// === impl Catalogue ===

impl Catalogue {
    /// The models of a folder, with what residency does without settings. See [`Self::open`].
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn scan(folder: &Path, formats: Vec<Arc<dyn Format>>) -> io::Result<Self> {
        Self::open(folder, formats, ResidencyOptions::default())
    }

    /// The models of a folder, none of them loaded yet. Each entry of the folder is a model:
    ///
    /// - a file: the model's name is the file's, without the extension;
    /// - a folder with a model file, called `model.*` or the only one there, and perhaps MLServer's
    ///   `model-settings.json`;
    /// - a folder with version folders, as Triton has them: `<model>/<version>/model.*`, and perhaps
    ///   `config.pbtxt`.
    ///
    /// A folder with a `model-settings.json` of its own is that model, as MLServer has it. In the explicit mode the
    /// folder need not be there yet: whoever gives the commands may make it.
    ///
    /// # Errors
    /// The folder cannot be read. What is wrong inside it is the model's own failure.
    pub fn open(folder: &Path, formats: Vec<Arc<dyn Format>>, options: ResidencyOptions) -> io::Result<Self> {
        let residency = Residency::new(&options, formats);
        let folder = Folder::new(folder);
        let found = scan::scan(&folder, residency.formats()).or_else(|error| none_yet(options.mode, error))?;
        if !folder.path().exists() {
            tracing::warn!(folder = %folder.path().display(), "the models folder is not there yet");
        }
        Ok(Self::found(Source::Folder(folder), found, residency, options))
    }

    /// The same for models that stand anywhere: a folder, an S3-compatible store, HTTP. What is not on this machine is
    /// downloaded when it is loaded. `poll_interval` may be absent: then it is what suits the place.
    ///
    /// # Errors
    /// The place cannot be listed.
    pub async fn open_at(
        location: &Location,
        stores: &Stores,
        formats: Vec<Arc<dyn Format>>,
        options: ResidencyOptions,
        poll_interval: Option<Duration>,
    ) -> Result<Self, StorageError> {
        let source = stores.open(location)?;
        let poll_interval = poll_interval.unwrap_or_else(|| source.poll_interval());
        let options = ResidencyOptions {
            poll_interval: Some(poll_interval).filter(|interval| !interval.is_zero()),
            downloads_at_once: if source.is_remote() { stores.options().downloads_at_once } else { 0 },
            ..options
        };
        let residency = Residency::new(&options, formats);
        let found = {
            let (residency, mode) = (residency.clone(), options.mode);
            let found = source.look(None, move |tree| {
                scan::scan(tree, residency.formats())
                    .or_else(|error| none_yet(mode, error))
                    .map_err(|error| StorageError::new(format!("cannot read {}: {error}", tree.root().display())))
            });
            found.await??
        };
        if found.is_empty() {
            tracing::warn!(%location, "there are no models, they can be asked as soon as there are");
        }
        Ok(Self::found(source, found, residency, options))
    }

    fn found(source: Source, found: Vec<Found>, residency: Arc<Residency>, options: ResidencyOptions) -> Self {
        let catalogue = Self {
            stock: ArcSwap::default(),
            residency,
            is_settled: AtomicBool::new(!options.preload && options.pinned.is_empty()),
            options,
            source: Some(source),
            seen: Arc::new(Mutex::new(Seen::first(&found))),
            is_to_be_filled: false,
        };
        catalogue.take_over(found, None);
        catalogue
    }

    /// Models that a program made itself: name, version if any, and the model. They are in memory
    /// from the start, and never evicted.
    pub fn of<N: Into<String>>(models: impl IntoIterator<Item = (N, Option<String>, Arc<dyn Model>)>) -> Self {
        let options = ResidencyOptions { memory: u64::MAX, poll_interval: None, ..ResidencyOptions::default() };
        let residency = Residency::new(&options, Vec::new());
        let mut shelves: BTreeMap<String, Shelf> = BTreeMap::new();
        for (name, version, model) in models {
            let name = name.into();
            let slot = residency.adopt(name.clone(), version.clone(), model);
            shelves.entry(name).or_default().add(version.map(Version::from), Entry::new(slot));
        }
        let shelves: BTreeMap<_, _> = shelves.into_iter().map(|(name, shelf)| (name, Arc::new(shelf))).collect();
        Self {
            stock: ArcSwap::from_pointee(shelves.into()),
            residency,
            options,
            source: None,
            seen: Arc::default(),
            is_settled: AtomicBool::new(true),
            is_to_be_filled: false,
        }
    }

    /// The model to ask, loaded first if it is not in memory. Without a version: the highest that is
    /// served, numbers by value. Dropped, it gives up the wait.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a model or version that does not stand in storage, with what does;
    /// [`ErrorKind::Exhausted`] with a [`Refusal`](crate::Refusal) for one that could not be loaded, with the reason.
    pub async fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<Loaded>, Error> {
        self.find_before(None, name, version).await
    }

    /// The same for a caller who waits until then.
    pub(crate) async fn find_before(
        &self,
        deadline: Option<Instant>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Arc<Loaded>, Error> {
        match self.resident(name, version) {
            Some(loaded) => Ok(loaded),
            None => self.load_before(deadline, name, version).await.map_err(|error| self.residency.counted(error)),
        }
    }

    async fn load_before(
        &self,
        deadline: Option<Instant>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Arc<Loaded>, Error> {
        let shelf = self.shelf(name)?;
        let mut failure = None;
        // Each version that fails makes way for the next, and so does one whose files change.
        for _ in 0..shelf.len() + FILE_CHANGES {
            let entry = match self.choose(&shelf, name, version)? {
                Choice::Resident(loaded) => return Ok(loaded),
                Choice::Load(entry) => entry,
            };
            let slot = entry.to_load(&self.residency);
            match self.residency.get(&slot, Urgency::Request, deadline).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) if version.is_none() && error.refusal() == Some(Refusal::LoadFailed) => {
                    // The first is of the highest version, which is the one that was meant.
                    failure.get_or_insert(error);
                }
                Err(error) if Arc::ptr_eq(&slot, &entry.slot()) => return Err(error),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| self.unknown_version(name, version.unwrap_or(""), &shelf)))
    }

    /// Whether the model could be asked: it is in memory or would be loaded. Loads nothing.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] as in [`Self::find`]; [`ErrorKind::Unavailable`], with the reason, for
    /// one whose load failed, or that nobody has loaded in the explicit mode.
    pub fn check(&self, name: &str, version: Option<&str>) -> Result<(), Error> {
        let shelf = self.shelf(name)?;
        let slot = match self.choose(&shelf, name, version)? {
            Choice::Resident(_) => return Ok(()),
            Choice::Load(entry) => entry.slot(),
        };
        let unavailable = |text| Err(Error::new(ErrorKind::Unavailable, text));
        let label = crate::residency::label(name, version);
        match self.residency.state(&slot) {
            State::Ready { .. } => Ok(()),
            State::Failed { reason } => unavailable(format!("{label} failed to load: {reason}")),
            _ if self.options.mode == Mode::Explicit => unavailable(format!("{label} is not loaded")),
            _ => Ok(()),
        }
    }

    /// The versions of a model that can be asked, the lowest first; none when it has no versions.
    pub fn available_versions(&self, name: &str) -> Vec<String> {
        let stock = self.stock.load();
        let Some(shelf) = stock.get(name) else { return Vec::new() };
        shelf.available(self.options.mode).map(ToString::to_string).collect()
    }

    /// The names of all models, in order.
    pub fn names(&self) -> Vec<String> {
        self.stock.load().names().cloned().collect()
    }

    /// Every model and version with its state, in order.
    pub fn listings(&self) -> Vec<Listing> {
        let stock = self.stock.load();
        let entries: Vec<_> = stock
            .iter()
            .flat_map(|(name, shelf)| shelf.entries().map(move |(version, entry)| (name, version, entry.slot())))
            .collect();
        let states = self.residency.states(entries.iter().map(|(_, _, slot)| slot));
        let listed = entries.iter().zip(states).map(|((name, version, _), state)| Listing {
            name: (*name).clone(),
            version: version.as_ref().map(ToString::to_string),
            state,
        });
        listed.collect()
    }

    /// The state of every model and version.
    pub(crate) fn states(&self) -> Vec<State> {
        let stock = self.stock.load();
        let slots: Vec<_> = stock.values().flat_map(|shelf| shelf.entries()).map(|(_, entry)| entry.slot()).collect();
        self.residency.states(slots.iter())
    }

    /// Looks at every model in memory.
    pub(crate) fn each_resident(&self, mut look: impl FnMut(&Loaded)) {
        let stock = self.stock.load();
        for (_, entry) in stock.values().flat_map(|shelf| shelf.entries()) {
            entry.slot().look(&mut look);
        }
    }

    /// Bytes of all models in memory, also of those that requests still use after they were unloaded.
    pub fn resident_bytes(&self) -> u64 {
        self.residency.resident_bytes()
    }

    /// Whether everything was loaded, or tried, that is to be loaded at the start.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Loads what is not loaded yet, as far as there is room, and returns when every load was tried.
    /// A failure is the model's own: it is logged, kept for who asks, and the others go on.
    pub async fn load_all(&self) {
        self.load_where(|_| true).await;
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Loads what the settings say is to be loaded at the start.
    pub(crate) async fn load_at_start(&self) {
        self.load_where(Slot::is_pinned).await;
        if self.options.preload {
            self.load_where(|_| true).await;
        }
        self.is_settled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn residency(&self) -> &Arc<Residency> {
        &self.residency
    }

    async fn load_where(&self, is_wanted: impl Fn(&Slot) -> bool) {
        let slots: Vec<_> = {
            let stock = self.stock.load();
            let entries = stock.values().flat_map(|shelf| shelf.entries());
            entries.map(|(_, entry)| entry.slot()).filter(|slot| is_wanted(slot)).collect()
        };
        // A few more than run at once, so that the queue is never empty.
        let at_once =
            self.options.loads_at_once.saturating_add(self.options.downloads_at_once).saturating_mul(2).max(1);
        let loads = stream::iter(slots).map(|slot| async move {
            let _ = self.residency.get(&slot, Urgency::Preload, None).await;
        });
        loads.buffer_unordered(at_once).for_each(|()| async {}).await;
    }

    /// The model, if it is in memory and nothing else is to be done.
    pub(crate) fn resident(&self, name: &str, version: Option<&str>) -> Option<Arc<Loaded>> {
        let stock = self.stock.load();
        let shelf = stock.get(name)?;
        match version {
            Some(version) => shelf.entry(version)?.resident(),
            None => shelf.newest()?.resident(),
        }
    }

    fn shelf(&self, name: &str) -> Result<Arc<Shelf>, Error> {
        let stock = self.stock.load();
        stock.get(name).cloned().ok_or_else(|| unknown_model(name, &stock))
    }

    fn choose(&self, shelf: &Shelf, name: &str, version: Option<&str>) -> Result<Choice, Error> {
        match version {
            Some(version) => {
                let entry = shelf.entry(version).ok_or_else(|| self.unknown_version(name, version, shelf))?;
                Ok(entry.choice())
            }
            None => {
                shelf.choose(&self.residency, self.options.mode).ok_or_else(|| self.unknown_version(name, "", shelf))
            }
        }
    }

    fn unknown_version(&self, name: &str, version: &str, shelf: &Shelf) -> Error {
        let known: Vec<_> = shelf.entries().filter_map(|(version, _)| version.as_ref()).map(Version::as_str).collect();
        let text = if known.is_empty() {
            format!("unknown version '{version}' of model '{name}', which has no versions")
        } else {
            format!("unknown version '{version}' of model '{name}', known: {}", known.join(", "))
        };
        // Whoever has placed the model would place it again if it were not found.
        if self.is_to_be_filled { Error::invalid(text) } else { Error::not_found(text) }
    }
}

/// In the explicit mode a folder that is not there has no models.
fn none_yet(mode: Mode, error: io::Error) -> io::Result<Vec<Found>> {
    if mode == Mode::Explicit && error.kind() == io::ErrorKind::NotFound {
        return Ok(Vec::new());
    }
    Err(error)
}

fn unknown_model(name: &str, stock: &Stock) -> Error {
    if name.is_empty() {
        return Error::not_found("the request names no model");
    }
    let near = names::nearest(name, stock);
    Error::not_found(match near.as_slice() {
        [] => format!("unknown model '{name}', this server has none"),
        near if near.len() == stock.len() => format!("unknown model '{name}', known: {}", near.join(", ")),
        near => format!("unknown model '{name}', {} known, nearest: {}", stock.len(), near.join(", ")),
    })
}
