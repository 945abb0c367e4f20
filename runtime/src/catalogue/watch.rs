//! Looking through storage from time to time.
//!
//! Network file systems and mounted volumes send no events, so this is what finds changes; where there are events, they
//! only make a look come sooner. Someone may be in the middle of copying a file: what differs between two looks is not
//! touched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::background;
use crate::catalogue::Catalogue;
use crate::catalogue::changes::{Earlier, remembered};
use crate::catalogue::scan::{self, Found};
use crate::storage::{LOOK, Source, StorageError, Tree};

/// A look through folders takes at most this part of the time, whatever the interval: file systems can be slow. One at
/// a store waits most of its time for answers.
const LOOKS_PART: u32 = 20;

/// After an event, and between the two looks that it makes come sooner: who writes a file here is heard again.
const SETTLING: Duration = Duration::from_secs(1);

/// What is known of storage.
#[derive(Default)]
pub(super) struct Seen {
    /// From the last look.
    earlier: Earlier,
    /// The last look has found what was served.
    is_in_line: bool,
    /// The folder could not be read, which was said.
    is_lost: bool,
}

// === impl Seen ===

impl Seen {
    /// After a first look, which was taken over as it was.
    pub(super) fn first(found: &[Found]) -> Self {
        Self { earlier: remembered(found), is_in_line: false, is_lost: false }
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// Looks through storage until it is dropped; returns where there is nothing to look for. With thousands of models
    /// a look and what follows from it take long enough to hold up requests: they have a thread of their own.
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
            let is_unsettled = self.poll_aside().await;
            let took = started.elapsed();
            let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(microseconds, "looked through storage");
            let settling = if is_told { Some(SETTLING) } else { source.settling_time() };
            let wanted = settling.filter(|_| is_unsettled).map_or(interval, |settling| settling.min(interval));
            least = if source.is_remote() { Duration::ZERO } else { took.saturating_mul(LOOKS_PART) };
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
        let found = self.look(source, None, scan::scan).await;
        self.take_over_look(&mut seen, found)
    }

    /// The same, with what follows from the look on a thread of its own.
    async fn poll_aside(self: &Arc<Self>) -> bool {
        let Some(source) = &self.source else { return false };
        // The thread goes on where nobody waits for it any more.
        let mut seen = self.seen.clone().lock_owned().await;
        let found = self.look(source, None, scan::scan).await;
        let catalogue = self.clone();
        let taken_over = background::run(LOOK, move || catalogue.take_over_look(&mut seen, found));
        taken_over.await.unwrap_or(false)
    }

    fn take_over_look(&self, seen: &mut Seen, found: Result<Vec<Found>, StorageError>) -> bool {
        let found = match found {
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
        let is_in_line = self.is_in_line_with(&found);
        // After two such looks, what is remembered of the last one is what was found.
        let is_unsettled = if is_in_line && seen.is_in_line {
            false
        } else {
            let now = remembered(&found);
            let is_unsettled = seen.earlier != now;
            let earlier = std::mem::replace(&mut seen.earlier, now);
            self.take_over(found, Some(&earlier));
            is_unsettled
        };
        seen.is_in_line = is_in_line;
        is_unsettled
    }

    /// Looks for one model, and takes over what is found at once.
    pub(super) async fn look_for(&self, source: &Source, name: &str) -> Result<(), StorageError> {
        let mut seen = self.seen.lock().await;
        // What is remembered of the last look is no longer what is served.
        seen.is_in_line = false;
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
