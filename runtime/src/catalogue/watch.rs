//! Looking through storage from time to time.
//!
//! Network file systems and mounted volumes send no events, so this is what finds changes. Someone
//! may be in the middle of copying a file: what differs between two looks is not touched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::background;
use crate::catalogue::Catalogue;
use crate::catalogue::changes::{Earlier, remembered};
use crate::catalogue::scan::{self, Found};

/// A look takes at most this part of the time, whatever the interval: storage can be slow.
const LOOKS_PART: u32 = 20;

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
        let (Some(interval), Some(_)) = (self.options.poll_interval, &self.folder) else { return };
        let mut took = Duration::ZERO;
        loop {
            tokio::time::sleep(interval.max(took.saturating_mul(LOOKS_PART))).await;
            let started = Instant::now();
            let catalogue = self.clone();
            background::run("storage-look", move || catalogue.poll_here()).await;
            took = started.elapsed();
            tracing::debug!(
                microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                "looked through storage"
            );
        }
    }

    /// Looks through storage once. What is the same as in the look before, and not what is served,
    /// is taken over: new models can be asked, changed ones are loaded beside the old and take their
    /// place, those that are gone are unloaded. A folder that cannot be read changes nothing.
    pub async fn poll(&self) {
        let mut seen = self.seen.lock().await;
        let found = self.look(scan::scan).await;
        self.take_over_look(&mut seen, found);
    }

    /// The same on this thread.
    fn poll_here(&self) {
        let Some(folder) = &self.folder else { return };
        let mut seen = self.seen.blocking_lock();
        let found = scan::scan(folder, self.residency.formats());
        let found = found.or_else(|error| super::none_yet(self.options.mode, error));
        self.take_over_look(&mut seen, found);
    }

    fn take_over_look(&self, seen: &mut Seen, found: io::Result<Vec<Found>>) {
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if !seen.is_lost {
                    tracing::error!(%error, "cannot read the models folder, its models are served as they were");
                }
                seen.is_lost = true;
                return;
            }
        };
        seen.is_lost = false;
        let is_in_line = self.is_in_line_with(&found);
        // After two such looks, what is remembered of the last one is what was found.
        if !(is_in_line && seen.is_in_line) {
            let earlier = std::mem::replace(&mut seen.earlier, remembered(&found));
            self.take_over(found, Some(&earlier));
        }
        seen.is_in_line = is_in_line;
    }

    /// Looks for one model, and takes over what is found at once.
    pub(super) async fn look_for(&self, name: &str) -> io::Result<()> {
        let _seen = self.seen.lock().await;
        let owned = name.to_owned();
        let found = self.look(move |folder, formats| scan::scan_model(folder, &owned, formats)).await?;
        self.take_over_model(name, found);
        Ok(())
    }

    /// On a thread where blocking is allowed.
    async fn look(
        &self,
        look: impl FnOnce(&std::path::Path, &[Arc<dyn crate::formats::Format>]) -> io::Result<Vec<Found>> + Send + 'static,
    ) -> io::Result<Vec<Found>> {
        let Some(folder) = self.folder.clone() else { return Ok(Vec::new()) };
        let (residency, mode) = (self.residency.clone(), self.options.mode);
        let task = tokio::task::spawn_blocking(move || {
            look(&folder, residency.formats()).or_else(|error| super::none_yet(mode, error))
        });
        task.await.unwrap_or_else(|fault| Err(io::Error::other(fault)))
    }
}
