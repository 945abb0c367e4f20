//! A model in memory, and the bytes that it holds.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use http::HeaderValue;
use tokio::runtime::Handle;

use crate::metrics::Account;
use crate::model::{Device, Model, ModelMetadata, SharedMemory};
use crate::residency::Residency;
use crate::residency::slot::{Description, SlotId, Usage};
use crate::storage::Hold;

/// Freeing as many bytes takes long enough to hold up an async thread.
const LARGE: u64 = 1 << 20;

/// A model in memory.
pub struct Loaded {
    name: String,
    version: Option<String>,
    digest: String,
    served: HeaderValue,
    max_batch_size: Option<u64>,
    /// Where the settings declare inputs or outputs, which most do not.
    metadata: Option<Box<ModelMetadata>>,
    model: Arc<dyn Model>,
    usage: Arc<Usage>,
    /// Its numbers: filled by the first request, so that counting needs no look-up.
    pub(crate) account: OnceLock<Account>,
    /// Dropped after the model.
    lease: Arc<Lease>,
}

/// A model's bytes in the budget. Whoever computes with the model holds it; when the last one lets
/// go the model is freed, and then its bytes.
pub(crate) struct Lease {
    model: Option<Arc<dyn Model>>,
    bytes: Option<Bytes>,
    /// Memory that it has in common with other models.
    shared: Option<Arc<SharedLease>>,
    /// Files that the model still reads.
    hold: Option<Hold>,
}

/// Memory that models have in common, counted until the last of their leases is dropped.
pub(super) struct SharedLease {
    /// Before the bytes, so that they count until it is freed.
    memory: Option<Arc<SharedMemory>>,
    bytes: Option<Bytes>,
}

/// One load of a slot: a later load of the same slot is another tenancy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Tenancy(pub(super) u64);

/// Bytes that are counted until this is dropped.
struct Bytes {
    count: u64,
    device: Device,
    slot: SlotId,
    tenancy: Tenancy,
    residency: Weak<Residency>,
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn new(about: &Description, digest: String, usage: Arc<Usage>, lease: Lease) -> Option<Self> {
        let model = lease.model.clone()?;
        Some(Self {
            served: served(&about.name, about.version.as_deref(), &digest),
            name: about.name.clone(),
            version: about.version.clone(),
            max_batch_size: about.max_batch_size,
            metadata: about.signature.as_deref().map(|declared| Box::new(model.metadata().with(declared))),
            digest,
            model,
            usage,
            account: OnceLock::new(),
            lease: Arc::new(lease),
        })
    }

    /// The model's name in storage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version; absent when it has none.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The first 12 hexadecimal digits of the model file's SHA-256; `-` for a model without a file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The value of `x-modelway-served`: `model/version@digest`, with `-` for no version.
    pub fn served(&self) -> &HeaderValue {
        &self.served
    }

    /// The model itself. What computes with it longer than this value lives keeps a
    /// [`Context`](crate::Context) of the request, so that its memory stays counted.
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.model
    }

    /// What is told of it: what it says of itself, with the inputs and outputs that its settings declare.
    pub(crate) fn metadata(&self) -> &ModelMetadata {
        self.metadata.as_deref().unwrap_or_else(|| self.model.metadata())
    }

    /// Rows that a request may have, if the model's settings limit them.
    pub(crate) fn max_batch_size(&self) -> Option<u64> {
        self.max_batch_size
    }

    pub(crate) fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Notes that it is used now.
    pub(crate) fn touch(&self) {
        self.usage.touch();
    }

    /// How long it was not used.
    pub(crate) fn unused(&self) -> Duration {
        self.usage.age()
    }
}

/// Percent-encodes what a header or gRPC metadata value cannot carry.
fn served(name: &str, version: Option<&str>, digest: &str) -> HeaderValue {
    let mut text = String::new();
    for byte in format!("{name}/{}@{digest}", version.unwrap_or("-")).bytes() {
        match byte {
            b'%' => text.push_str("%25"),
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

// === impl Lease ===

impl Lease {
    pub(super) fn new(
        model: Arc<dyn Model>,
        count: u64,
        slot: SlotId,
        tenancy: Tenancy,
        residency: Weak<Residency>,
    ) -> Self {
        let device = model.device();
        Self {
            model: Some(model),
            bytes: Some(Bytes { count, device, slot, tenancy, residency }),
            shared: None,
            hold: None,
        }
    }

    /// The same for a model that has memory in common with others.
    pub(super) fn sharing(mut self, shared: Option<Arc<SharedLease>>) -> Self {
        self.shared = shared;
        self
    }

    /// The same for a model that still reads its files.
    pub(super) fn holding(mut self, hold: Option<Hold>) -> Self {
        self.hold = hold;
        self
    }

    pub(super) fn tenancy(&self) -> Option<Tenancy> {
        self.bytes.as_ref().map(|bytes| bytes.tenancy)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.as_ref().map_or(0, |bytes| bytes.count)
    }

    /// The device whose memory it takes.
    pub(super) fn device(&self) -> Device {
        self.bytes.as_ref().map_or(Device::Cpu, |bytes| bytes.device)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_large = self.bytes() >= LARGE || self.shared.is_some();
        let (model, bytes, hold) = (self.model.take(), self.bytes.take(), self.hold.take());
        let shared = self.shared.take();
        let free = move || {
            drop(model);
            drop(shared);
            drop(hold);
            drop(bytes);
        };
        if !is_large {
            return free();
        }
        match Handle::try_current() {
            // From a worker: a thread that gives way would start others that do.
            Ok(runtime) => drop(runtime.spawn(async move { drop(tokio::task::spawn_blocking(free)) })),
            Err(_) => free(),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

// === impl SharedLease ===

impl SharedLease {
    pub(super) fn new(
        memory: Arc<SharedMemory>,
        device: Device,
        slot: SlotId,
        tenancy: Tenancy,
        residency: Weak<Residency>,
    ) -> Self {
        let bytes = Bytes { count: memory.bytes(), device, slot, tenancy, residency };
        Self { memory: Some(memory), bytes: Some(bytes) }
    }

    /// Whether it is the lease of this memory.
    pub(super) fn is_of(&self, memory: &Arc<SharedMemory>) -> bool {
        self.memory.as_ref().is_some_and(|own| Arc::ptr_eq(own, memory))
    }
}

impl Drop for SharedLease {
    fn drop(&mut self) {
        drop(self.memory.take());
        drop(self.bytes.take());
    }
}

// === impl Bytes ===

impl Drop for Bytes {
    fn drop(&mut self) {
        if let Some(residency) = self.residency.upgrade() {
            residency.released(self.slot, self.tenancy, self.device, self.count);
        }
    }
}
