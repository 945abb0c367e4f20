//! What Triton's repository API asks of a catalogue.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::shelf::{Entry, Shelf};
use crate::error::{Error, ErrorKind, Refusal};
use crate::residency::Urgency;

// === impl Catalogue ===

impl Catalogue {
    /// Loads a model as it stands in storage now, and returns when it can be asked: the versions
    /// that its `config.pbtxt` selects, else the highest. If its files have changed, the new ones take
    /// the place of the old; if they cannot be loaded, the old ones go on serving.
    ///
    /// `pin` says whether it may be evicted; `None` leaves that as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a model that does not stand in storage,
    /// [`ErrorKind::InvalidArgument`] for one that cannot be loaded, [`ErrorKind::Exhausted`] when
    /// there is no room.
    pub async fn load(&self, name: &str, pin: Option<bool>) -> Result<(), Error> {
        if let Some(source) = &self.source {
            let cannot_look =
                |error| Error::new(ErrorKind::Unavailable, format!("cannot look through storage: {error}"));
            self.look_for(source, name).await.map_err(cannot_look)?;
        }
        self.load_shelf(name, pin).await
    }

    /// Loads what is to be served of a model, as the stock has it.
    pub(super) async fn load_shelf(&self, name: &str, pin: Option<bool>) -> Result<(), Error> {
        let shelf = self.shelf(name)?;
        let wanted: Vec<Arc<Entry>> = if shelf.has_policy {
            shelf.entries().rev().map(|(_, entry)| entry.clone()).collect()
        } else {
            shelf.newest().cloned().into_iter().collect()
        };
        for entry in wanted {
            let slot = entry.next().unwrap_or_else(|| entry.slot());
            if let Some(pin) = pin {
                self.residency.set_pinned(&slot, pin);
            }
            self.residency.get(&slot, Urgency::Command, None).await.map_err(as_answer_to_a_command)?;
            entry.promote(&slot, &self.residency);
        }
        Ok(())
    }

    /// Takes all versions of a model out of memory, and no longer keeps them there if they were
    /// pinned. Returns when the memory is free, or after some seconds when requests still use it.
    /// On demand the next request loads it again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a model that does not stand in storage.
    pub async fn unload(&self, name: &str) -> Result<(), Error> {
        let shelf = self.shelf(name)?;
        self.unload_shelf(&shelf).await;
        Ok(())
    }

    pub(super) async fn unload_shelf(&self, shelf: &Shelf) {
        for (_, entry) in shelf.entries() {
            let slots = [Some(entry.slot()), entry.next()];
            for slot in slots.into_iter().flatten() {
                self.residency.set_pinned(&slot, false);
                self.residency.unload(&slot).await;
            }
        }
    }
}

/// There is no other server to be tried by whoever gave a command to this one.
fn as_answer_to_a_command(error: Error) -> Error {
    match error.refusal() {
        Some(Refusal::LoadFailed) => Error::new(ErrorKind::InvalidArgument, error.message().to_owned()),
        _ => error,
    }
}
