//! What a catalogue says of its models.

/// A model and version, and whether it can be asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listing {
    /// The model's name.
    pub name: String,
    /// Absent when the model has no versions.
    pub version: Option<String>,
    /// Whether it can be asked.
    pub state: State,
}

/// What has become of a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// In memory.
    Ready {
        /// Bytes of memory that it keeps.
        size_bytes: u64,
    },
    /// Not in memory yet.
    Loading,
    /// Could not be loaded.
    Failed {
        /// What was found, where, and what was expected.
        reason: String,
    },
}
