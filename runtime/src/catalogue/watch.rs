//! Looking through storage from time to time.
//!
//! Network file systems and mounted volumes send no events, so this is what finds changes; where there are events, they
//! only make a look come sooner. Someone may be in the middle of copying a file: what differs between two looks is not
//! touched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::catalogue::Catalogue;
use crate::catalogue::changes::{Earlier, remembered};
use crate::catalogue::scan::{self, Found};
use crate::storage::{Source, StorageError, Tree};

/// A look takes at most this part of the time, whatever the interval: storage can be slow.
const LOOKS_PART: u32 = 20;

/// After an event, and between the two looks that it makes come sooner: who writes a file here is heard again.
const SETTLING: Duration = Duration::from_secs(1);

/// What is known of storage.
#[derive(Default)]
pub(super) struct Seen {
    /// From the last look.
    earlier: Earlier,
    /// The folder could not be read, which was said.
    is_lost: bool,
}

// === impl Seen ===

impl Seen {
    /// After a first look, which was taken over as it was.
    pub(super) fn first(found: &[Found]) -> Self {
        Self { earlier: remembered(found), is_lost: false }
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// Looks through storage until it is dropped; returns where there is nothing to look for.
    pub(crate) async fn watch(self: Arc<Self>) {
        let (Some(interval), Some(source)) = (self.options.poll_interval, &self.source) else { return };
        let mut events = source.events();
        let (mut pause, mut least) = (interval, Duration::ZERO);
        loop {
            let is_told = tokio::select! {
                () = tokio::time::sleep(pause) => false,
                () = events.changed() => true,
            };
            if is_told {
                tokio::time::sleep(SETTLING.min(interval).max(least)).await;
            }
            let started = Instant::now();
            let is_unsettled = self.poll().await;
            let settling = if is_told { Some(SETTLING) } else { source.settling_time() };
            let wanted = settling.filter(|_| is_unsettled).map_or(interval, |settling| settling.min(interval));
            least = started.elapsed().saturating_mul(LOOKS_PART);
            pause = wanted.max(least);
        }
    }

    /// Looks through storage once. What is the same as in the look before, and not what is served,
    /// is taken over: new models can be asked, changed ones are loaded beside the old and take their
    /// place, those that are gone are unloaded. Storage that cannot be read changes nothing. Returns whether something
    /// waits for the next look.
    pub async fn poll(&self) -> bool {
        let Some(source) = &self.source else { return false };
        let mut seen = self.seen.lock().await;
        let found = match self.look(source, None, scan::scan).await {
            Ok(found) => found,
            Err(error) => {
                if !seen.is_lost {
                    tracing::error!(%error, "cannot look through storage, its models are served as they were");
                }
                seen.is_lost = true;
                return false;
            }
        };
        if std::mem::take(&mut seen.is_lost) {
            tracing::info!("storage can be looked through again");
        }
        let now = remembered(&found);
        let is_unsettled = seen.earlier != now;
        let earlier = std::mem::replace(&mut seen.earlier, now);
        self.take_over(found, Some(&earlier));
        is_unsettled
    }

    /// Looks for one model, and takes over what is found at once.
    pub(super) async fn look_for(&self, source: &Source, name: &str) -> Result<(), StorageError> {
        let _seen = self.seen.lock().await;
        let owned = name.to_owned();
        let mut found = Vec::new();
        if scan::is_plain(name) {
            found = self
                .look(source, Some(name), move |tree, formats| Ok(scan::scan_folder_of(tree, &owned, formats)))
                .await?;
        }
        if found.is_empty() {
            // A file, or the settings of another entry say that it is this model.
            found = self.look(source, None, scan::scan).await?;
            found.retain(|found| found.name == name);
        }
        self.take_over_model(name, found);
        Ok(())
    }

    /// On a thread where blocking is allowed.
    pub(super) async fn look(
        &self,
        source: &Source,
        below: Option<&str>,
        look: impl FnOnce(&dyn Tree, &[Arc<dyn crate::formats::Format>]) -> io::Result<Vec<Found>> + Send + 'static,
    ) -> Result<Vec<Found>, StorageError> {
        let (residency, mode) = (self.residency.clone(), self.options.mode);
        let found = source.look(below, move |tree| {
            look(tree, residency.formats())
                .or_else(|error| super::none_yet(mode, error))
                .map_err(|error| StorageError::new(format!("cannot read {}: {error}", tree.root().display())))
        });
        found.await?
    }
}
