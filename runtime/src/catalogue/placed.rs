//! Models that somebody else places: which stand where, and which are in memory, is not this server's to say.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::catalogue::Catalogue;
use crate::catalogue::scan::{self, Place};
use crate::error::{Error, ErrorKind};
use crate::fingerprint::Fingerprint;
use crate::formats::Format;
use crate::residency::{Mode, Residency, ResidencyOptions};
use crate::storage::{Folder, Source};

// === impl Catalogue ===

impl Catalogue {
    /// No models yet: they come by [`Self::place`] and go by [`Self::take_away`], and nothing else loads or evicts them.
    pub fn to_be_filled(formats: Vec<Arc<dyn Format>>, options: ResidencyOptions) -> Self {
        let options = ResidencyOptions { mode: Mode::Explicit, preload: false, poll_interval: None, ..options };
        Self {
            stock: ArcSwap::default(),
            residency: Residency::new(&options, formats),
            options,
            source: None,
            seen: Arc::default(),
            is_settled: true.into(),
            is_to_be_filled: true,
        }
    }

    /// Makes what stands at this path a model of this name and loads it. Returns the model's bytes when it can be
    /// asked. `format` counts where no settings beside the files say otherwise. Dropped, it gives up the load,
    /// unless others wait for it, too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for files that cannot be loaded, [`ErrorKind::Exhausted`] when there is no room.
    pub async fn place(&self, name: &str, path: &Path, format: Option<&str>) -> Result<u64, Error> {
        self.place_from(&Source::Folder(Folder::new(path)), name, format).await
    }

    /// The same for what stands in a store.
    pub(crate) async fn place_from(&self, source: &Source, name: &str, format: Option<&str>) -> Result<u64, Error> {
        let place = Place { name: name.to_owned(), format: format.map(str::to_owned) };
        let found = self.look(source, None, move |tree, formats| Ok(scan::scan_place(tree, &place, formats))).await;
        let found = found.map_err(|error| Error::invalid(format!("model '{name}' cannot be loaded: {error}")))?;
        {
            let _seen = self.seen.lock().await;
            self.take_over_model(name, found);
        }
        if let Err(error) = self.load_shelf(name, None).await {
            self.forget_failed(name).await;
            return Err(error);
        }
        self.placed_bytes(name).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, format!("model '{name}' was unloaded while it was being loaded"))
        })
    }

    /// Unloads the model and forgets it. Returns when its memory is free, or after some seconds when requests still
    /// use it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a model that there is not.
    pub async fn take_away(&self, name: &str) -> Result<(), Error> {
        let shelf = {
            let _seen = self.seen.lock().await;
            self.remove_from_stock(name)
        };
        let Some(shelf) = shelf else { return Err(Error::not_found(format!("model '{name}' is not loaded"))) };
        self.unload_shelf(&shelf).await;
        Ok(())
    }

    /// Bytes of the model in memory, if it is.
    pub fn placed_bytes(&self, name: &str) -> Option<u64> {
        let stock = self.stock.load();
        let slots = stock.get(name)?.entries().map(|(_, entry)| entry.slot());
        let sizes: Vec<u64> = slots.filter_map(|slot| slot.resident_bytes()).collect();
        (!sizes.is_empty()).then(|| sizes.iter().sum())
    }

    /// Whether there is no model, and none that is still leaving memory.
    pub fn is_empty(&self) -> bool {
        self.stock.load().is_empty() && self.residency.resident_bytes() == 0
    }

    /// Bytes of the files at this path; 0 where there are none.
    pub(crate) async fn bytes_on_disk(&self, path: &Path) -> u64 {
        let path = path.to_owned();
        let task = tokio::task::spawn_blocking(move || Fingerprint::of([path.as_path()]).bytes());
        task.await.unwrap_or_default()
    }

    pub(crate) fn options(&self) -> &ResidencyOptions {
        &self.options
    }

    /// A model whose load failed is no model, unless it is in memory from before.
    async fn forget_failed(&self, name: &str) {
        let _seen = self.seen.lock().await;
        let is_resident = self.stock.load().get(name).is_some_and(|shelf| shelf.is_resident());
        if !is_resident && let Some(shelf) = self.remove_from_stock(name) {
            for (_, entry) in shelf.entries() {
                self.residency.begin_unload(&entry.slot(), "its load failed");
            }
        }
    }

    fn remove_from_stock(&self, name: &str) -> Option<Arc<crate::catalogue::shelf::Shelf>> {
        let (stock, shelf) = self.stock.load().without(name)?;
        self.stock.store(Arc::new(stock));
        Some(shelf)
    }
}
