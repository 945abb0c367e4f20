//! A place for one version of one model, with its files in one state.
//!
//! When the files change there is a new slot: the old one serves until the new one is loaded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::fingerprint::Fingerprint;
use crate::model::{Device, Signature};
use crate::residency::clock::{Clock, Moment};
use crate::residency::loaded::Loaded;
use crate::storage::Stored;

/// Tells slots apart, also those of one version.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct SlotId(pub(super) u64);

/// What a slot is loaded from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Files in storage.
    Files(Stored),
    /// A program made the model: once unloaded it is gone.
    Memory,
    /// Storage has nothing that could be loaded, for this reason.
    Broken(String),
}

/// What is known of a model before it is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) origin: Origin,
    /// Of its files, whose bytes are the first guess at its size in memory.
    pub(crate) fingerprint: Fingerprint,
    /// Rows that a request may have, if its settings limit them.
    pub(crate) max_batch_size: Option<u64>,
    /// Inputs and outputs as its settings declare them.
    pub(crate) signature: Option<Arc<Signature>>,
}

/// When a model was asked last, shared by its slot and the model in memory.
#[derive(Debug)]
pub(crate) struct Usage {
    clock: Clock,
    last: AtomicU64,
}

/// The place.
pub(crate) struct Slot {
    pub(super) id: SlotId,
    pub(super) description: Description,
    pub(super) usage: Arc<Usage>,
    /// Read by every request; written under the room's lock only.
    pub(super) resident: ArcSwapOption<Loaded>,
    /// When a failed load may be tried again; zero when none failed. Written under the room's lock only.
    pub(super) retry_at: AtomicU64,
    /// Bytes that it had when it was loaded last, else those of its files.
    pub(super) expected_bytes: AtomicU64,
    /// Where it computed when it was loaded last, else what its format expects.
    device: AtomicUsize,
    /// Nanoseconds that its last load took; zero before the first.
    pub(super) load_nanos: AtomicU64,
    is_pinned: AtomicBool,
}

/// Whether a slot's last load failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Failing {
    /// No load failed.
    No,
    /// It failed, and is not tried again yet.
    BackingOff,
    /// It failed, and may be tried again.
    Retriable,
}

// === impl Usage ===

impl Usage {
    fn new(clock: Clock) -> Self {
        Self { clock, last: AtomicU64::new(clock.now().0) }
    }

    /// Notes that the model is used now.
    pub(crate) fn touch(&self) {
        self.last.store(self.clock.now().0, Ordering::Relaxed);
    }

    /// How long ago that was.
    pub(super) fn age(&self) -> Duration {
        self.clock.now().since(self.last())
    }

    pub(super) fn last(&self) -> Moment {
        Moment(self.last.load(Ordering::Relaxed))
    }
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(id: SlotId, description: Description, clock: Clock, is_pinned: bool) -> Self {
        let retry_at = if matches!(description.origin, Origin::Broken(_)) { u64::MAX } else { 0 };
        let expected_bytes = AtomicU64::new(description.fingerprint.bytes());
        Self {
            id,
            description,
            usage: Arc::new(Usage::new(clock)),
            resident: ArcSwapOption::empty(),
            retry_at: AtomicU64::new(retry_at),
            expected_bytes,
            device: AtomicUsize::new(0),
            load_nanos: AtomicU64::new(0),
            is_pinned: AtomicBool::new(is_pinned),
        }
    }

    /// What is known of it before it is loaded.
    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// The model, if it is in memory; counts as a use of it.
    pub(crate) fn resident(&self) -> Option<Arc<Loaded>> {
        let loaded = self.resident.load_full()?;
        self.usage.touch();
        Some(loaded)
    }

    /// Whether the model is in memory.
    pub(crate) fn is_resident(&self) -> bool {
        self.resident.load().is_some()
    }

    /// Looks at the model, if it is in memory, and does not count as a use of it.
    pub(crate) fn look(&self, look: impl FnOnce(&Loaded)) {
        if let Some(loaded) = self.resident.load().as_ref() {
            look(loaded);
        }
    }

    /// Bytes of the model, if it is in memory.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        self.resident.load().as_ref().map(|loaded| loaded.lease().bytes())
    }

    /// Whether its last load failed.
    pub(crate) fn failing(&self) -> Failing {
        match self.retry_at.load(Ordering::Relaxed) {
            0 => Failing::No,
            moment if moment > self.usage.clock.now().0 => Failing::BackingOff,
            _ => Failing::Retriable,
        }
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.is_pinned.load(Ordering::Relaxed)
    }

    pub(crate) fn set_pinned(&self, is_pinned: bool) {
        self.is_pinned.store(is_pinned, Ordering::Relaxed);
    }

    pub(super) fn expected_bytes(&self) -> u64 {
        self.expected_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn expect_bytes(&self, bytes: u64) {
        self.expected_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The device whose memory it takes.
    pub(super) fn device(&self) -> Device {
        match self.device.load(Ordering::Relaxed) {
            0 => Device::Cpu,
            number => Device::Cuda(number - 1),
        }
    }

    pub(super) fn set_device(&self, device: Device) {
        let number = match device {
            Device::Cpu => 0,
            Device::Cuda(number) => number.saturating_add(1),
        };
        self.device.store(number, Ordering::Relaxed);
    }

    /// How long its last load took, if there was one.
    pub(super) fn load_time(&self) -> Option<Duration> {
        Some(self.load_nanos.load(Ordering::Relaxed)).filter(|&nanos| nanos > 0).map(Duration::from_nanos)
    }

    /// `model 'm' version '2'`, for texts.
    pub(super) fn label(&self) -> String {
        label(&self.description.name, self.description.version.as_deref())
    }
}

/// `model 'm' version '2'`, for texts.
pub(crate) fn label(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("model '{name}' version '{version}'"),
        None => format!("model '{name}'"),
    }
}
