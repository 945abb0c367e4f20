//! What can be set of what is in memory.

use std::time::Duration;

use super::budget::default_memory;

/// Who decides what is in memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Requests: a model is loaded when it is asked for, and evicted when there is no room.
    #[default]
    OnDemand,
    /// Commands only: nothing is loaded or evicted without one.
    Explicit,
}

/// What can be set.
#[derive(Clone, Debug)]
pub struct ResidencyOptions {
    /// Who decides what is in memory.
    pub mode: Mode,
    /// Bytes of the host's memory that all models may have together.
    pub memory: u64,
    /// Bytes of each CUDA device's memory that the models on it may have together. `None`: none.
    pub gpu_memory: Option<u64>,
    /// Loads that run at once.
    pub loads_at_once: usize,
    /// Loads besides those that may be waiting for their files.
    pub downloads_at_once: usize,
    /// A model that was used in this time is not evicted. `None`: twice the mean time of a load.
    pub guard_age: Option<Duration>,
    /// Names of models that are loaded at the start and never evicted.
    pub pinned: Vec<String>,
    /// Whether all models are loaded at the start, as far as there is room.
    pub preload: bool,
    /// How often storage is looked through for changes; `None`: never.
    pub poll_interval: Option<Duration>,
    /// What a model is whose `model-settings.json` names no implementation, in MLServer's words, for instance
    /// `mlserver_sklearn.SKLearnModel`. `None`: what its files look like.
    pub default_implementation: Option<String>,
}

// === impl ResidencyOptions ===

impl Default for ResidencyOptions {
    fn default() -> Self {
        // One thread stays for requests, where there are several.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            mode: Mode::default(),
            memory: default_memory(),
            gpu_memory: None,
            loads_at_once: threads.saturating_sub(1).max(1),
            downloads_at_once: 0,
            guard_age: None,
            pinned: Vec::new(),
            preload: false,
            poll_interval: Some(Duration::from_secs(5)),
            default_implementation: None,
        }
    }
}
