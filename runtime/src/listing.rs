//! What a catalogue says of its models.

/// A model and version, and what has become of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listing {
    /// The model's name.
    pub name: String,
    /// Absent when the model has no versions.
    pub version: Option<String>,
    /// What has become of it.
    pub state: State,
}

/// What has become of a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// In storage, not in memory.
    Unloaded,
    /// To be loaded, when it is its turn and there is room.
    Queued,
    /// Being loaded.
    Loading,
    /// In memory.
    Ready {
        /// Bytes of memory that it keeps.
        size_bytes: u64,
    },
    /// Could not be loaded.
    Failed {
        /// What was found, where, and what was expected.
        reason: String,
    },
    /// No longer to be asked; requests in flight still use it.
    Unloading,
}

// === impl Listing ===

impl Listing {
    /// Whether it is in memory.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// The protocol's word for the state, and why if it is not ready.
    pub(crate) fn state_and_reason(&self) -> (&'static str, Option<&str>) {
        match &self.state {
            State::Unloaded => ("UNAVAILABLE", Some("unloaded")),
            State::Queued => ("LOADING", Some("queued")),
            State::Loading => ("LOADING", None),
            State::Ready { .. } => ("READY", None),
            State::Failed { reason } => ("UNAVAILABLE", Some(reason)),
            State::Unloading => ("UNLOADING", None),
        }
    }
}
