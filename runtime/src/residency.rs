//! What is in memory: a budget of bytes, loads when they are asked for, evictions when there is no room.
//!
//! A request for a model in memory reads one pointer and writes one time stamp. Everything else goes
//! through the [`Room`], which decides behind a lock and never works behind it: files are read on
//! blocking threads, models are dropped outside of the lock, large ones on blocking threads too.
//!
//! - Loads are single-flight, a bounded number at once, requests before what nobody waits for.
//! - A load that nobody waits for any more is taken out of the queue. A reader that has begun ends.
//! - Bytes are counted until the last request that uses the model has ended and its memory is freed.

mod budget;
mod clock;
mod load;
mod loaded;
mod loaders;
mod meters;
mod options;
mod room;
mod slot;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Refusal};
use crate::fingerprint::Fingerprint;
use crate::formats::Format;
use crate::listing::State;
use crate::model::{Device, Model};

pub use budget::default_memory;
pub(crate) use budget::whole_memory;
use clock::{Clock, Moment};
pub(crate) use loaded::Lease;
pub use loaded::Loaded;
use loaded::{SharedLease, Tenancy};
use loaders::Loaders;
use meters::Meters;
pub(crate) use meters::{MILLISECONDS, Stock};
pub use options::{Mode, ResidencyOptions};
pub(crate) use room::Urgency;
use room::{Joined, LoadEnd, Room, Rules, Settled, Step, Waiter, WaiterId};
use slot::SlotId;
pub(crate) use slot::{Description, Failing, Origin, Slot, label};

/// How long an unload waits until nobody uses the model, before it answers that it is under way.
const UNLOAD_PATIENCE: Duration = Duration::from_secs(5);

/// What is in memory.
pub(crate) struct Residency {
    room: Mutex<Pumped>,
    clock: Clock,
    formats: Vec<Arc<dyn Format>>,
    loaders: Loaders,
    /// Memory that models in memory have in common.
    shared: Mutex<Vec<Weak<SharedLease>>>,
    /// Absent where nobody asks for the numbers.
    meters: OnceLock<Meters>,
    /// Told whenever bytes were freed.
    freed: Notify,
    is_alarm_set: AtomicBool,
    /// Who waits for a load.
    waiting: AtomicUsize,
    /// Where loads run; known from the first one on.
    runtime: OnceLock<Handle>,
}

/// The room, and who does what it decides: one thread at a time, so that an eviction that makes room
/// for a load does not call itself again, deeper and deeper.
struct Pumped {
    room: Room,
    is_pumping: bool,
    is_changed: bool,
}

/// How busy residency is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pressure {
    /// Loads that wait or are under way.
    pub(crate) loads: usize,
    /// What part of each device's budget is taken, the host's first.
    pub(crate) shares: Vec<(Device, f64)>,
}

/// A place in the queue; dropped, it is given up.
struct Ticket<'a> {
    residency: &'a Residency,
    slot: SlotId,
    waiter: WaiterId,
    answer: oneshot::Receiver<Result<Arc<Loaded>, Error>>,
}

// === impl Residency ===

impl Residency {
    pub(crate) fn new(options: &ResidencyOptions, formats: Vec<Arc<dyn Format>>) -> Arc<Self> {
        let rules = Rules {
            mode: options.mode,
            budget: options.memory,
            gpu_budget: options.gpu_memory,
            // Those that wait for files from afar keep no processor busy.
            loads_at_once: options.loads_at_once.max(1).saturating_add(options.downloads_at_once),
            guard_age: options.guard_age,
        };
        Arc::new(Self {
            room: Mutex::new(Pumped { room: Room::new(rules), is_pumping: false, is_changed: false }),
            clock: Clock::start(),
            formats,
            loaders: Loaders::new(options.loads_at_once.max(1)),
            shared: Mutex::default(),
            meters: OnceLock::new(),
            freed: Notify::new(),
            is_alarm_set: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            runtime: OnceLock::new(),
        })
    }

    pub(crate) fn formats(&self) -> &[Arc<dyn Format>] {
        &self.formats
    }

    /// Counts from now on what this registry shows, under ModelMesh's names, too, if they are wanted.
    pub(crate) fn register(
        &self,
        registry: &prometheus::Registry,
        has_modelmesh_names: bool,
    ) -> Result<(), prometheus::Error> {
        let meters = Meters::register(registry, has_modelmesh_names)?;
        // A second server for the same models has numbers of its own, and these stay with the first.
        let _ = self.meters.set(meters);
        Ok(())
    }

    /// Brings the numbers up to date that are not counted as they happen.
    pub(crate) fn take_stock(&self, stock: Stock) {
        let (totals, taken) = {
            let pumped = self.lock();
            (pumped.room.totals(), pumped.room.taken())
        };
        let waiting = self.waiting();
        self.count(|meters| meters.set(&stock, totals, &taken, waiting));
    }

    /// How many callers wait for a load.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The load of this server, for who spreads requests.
    pub(crate) fn pressure(&self) -> Pressure {
        let (totals, taken) = {
            let pumped = self.lock();
            (pumped.room.totals(), pumped.room.taken())
        };
        let shares = taken.iter().map(|(device, taken)| (*device, taken.share())).collect();
        Pressure { loads: totals.queued + totals.loading, shares }
    }

    /// Bytes of models in memory, also of those that requests still use after they were unloaded.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.lock().room.totals().used
    }

    /// A slot, not loaded yet.
    pub(crate) fn slot(&self, description: Description, is_pinned: bool) -> Arc<Slot> {
        let id = SlotId(self.lock().room.number());
        let slot = Slot::new(id, description, self.clock, is_pinned);
        slot.set_device(load::device(&slot.description, &self.formats));
        slot.expect_bytes(load::expected_bytes(&slot.description, &self.formats));
        Arc::new(slot)
    }

    /// A slot with a model that a program made.
    pub(crate) fn adopt(self: &Arc<Self>, name: String, version: Option<String>, model: Arc<dyn Model>) -> Arc<Slot> {
        let about = Description {
            name,
            version,
            origin: Origin::Memory,
            fingerprint: Fingerprint::default(),
            max_batch_size: None,
            signature: None,
        };
        let slot = self.slot(about, true);
        let tenancy = Tenancy(self.lock().room.number());
        let bytes = model.size_bytes();
        let shared = self.share(model.as_ref());
        let lease = Lease::new(model, bytes, slot.id, tenancy, Arc::downgrade(self)).sharing(shared);
        if let Some(loaded) = Loaded::new(slot.description(), "-".to_owned(), slot.usage.clone(), lease) {
            self.lock().room.adopt(&slot, &Arc::new(loaded));
        }
        slot
    }

    /// The model of the slot, loaded first if need be. `deadline` is when the caller stops waiting:
    /// a wait that would be longer is not begun.
    ///
    /// # Errors
    /// The load failed, or there is no room for it, or it would come too late; in the explicit mode
    /// also that nobody has loaded it.
    pub(crate) async fn get(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        urgency: Urgency,
        deadline: Option<Instant>,
    ) -> Result<Arc<Loaded>, Error> {
        if let Some(loaded) = slot.resident() {
            return Ok(loaded);
        }
        let (answer, receiver) = oneshot::channel();
        let (joined, waiter) = {
            let mut pumped = self.lock();
            if let Some(error) = only_by_command(&pumped.room, slot, urgency) {
                drop(pumped);
                return Err(self.counted(error));
            }
            let waiter = WaiterId(pumped.room.number());
            let patience = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let waiting = Waiter { id: waiter, answer };
            (pumped.room.join(slot, urgency, Some(waiting), patience, self.clock.now()), waiter)
        };
        match joined {
            Joined::Resident(loaded) => return Ok(loaded),
            Joined::Refused(error) => {
                self.pump();
                return Err(error);
            }
            Joined::Waiting => {}
        }
        let mut ticket = Ticket { residency: self, slot: slot.id, waiter, answer: receiver };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        self.pump();
        let answer = (&mut ticket.answer).await;
        if urgency == Urgency::Request {
            self.count(|meters| meters.missed(asked.elapsed()));
        }
        match answer {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(ErrorKind::Unavailable, format!("{} is no longer loaded", slot.label()))),
        }
    }

    /// Loads the model when nothing else is to be done, and does not wait for it.
    pub(crate) fn want(self: &Arc<Self>, slot: &Arc<Slot>, urgency: Urgency) {
        let joined = self.lock().room.join(slot, urgency, None, None, self.clock.now());
        drop(joined);
        self.pump();
    }

    /// Takes the model out of memory, and waits a while until its bytes are free.
    pub(crate) async fn unload(self: &Arc<Self>, slot: &Arc<Slot>) {
        self.begin_unload(slot, "unloaded");
        let freed = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // Before the look, so that nothing between the two is missed.
                freed.as_mut().enable();
                if self.lock().room.is_empty(slot.id) {
                    return;
                }
                freed.await;
            }
        };
        // What requests still use is freed with the last of them.
        let _ = tokio::time::timeout(UNLOAD_PATIENCE, freed).await;
    }

    /// Takes the model out of memory; requests in flight keep it until they end.
    pub(crate) fn begin_unload(self: &Arc<Self>, slot: &Slot, why: &str) {
        let settled = self.lock().room.unload(slot);
        if let Some(loaded) = &settled.discarded {
            self.count(Meters::unloaded);
            tracing::info!(
                model = loaded.name(),
                version = loaded.version(),
                digest = loaded.digest(),
                bytes = loaded.lease().bytes(),
                why,
                "model unloaded"
            );
        }
        settle(settled);
        self.pump();
    }

    /// A pinned model is not evicted.
    pub(crate) fn set_pinned(&self, slot: &Arc<Slot>, is_pinned: bool) {
        self.lock().room.set_pinned(slot, is_pinned, self.clock.now());
    }

    pub(crate) fn state(&self, slot: &Slot) -> State {
        self.lock().room.state(slot)
    }

    /// The states of many, with one lock.
    pub(crate) fn states<'a>(&self, slots: impl Iterator<Item = &'a Arc<Slot>>) -> Vec<State> {
        let pumped = self.lock();
        slots.map(|slot| pumped.room.state(slot)).collect()
    }

    /// For the lease of a model whose memory was freed.
    fn released(self: &Arc<Self>, slot: SlotId, tenancy: Tenancy, device: Device, bytes: u64) {
        self.lock().room.released(slot, tenancy, device, bytes);
        self.freed.notify_waiters();
        self.pump();
    }

    /// Does what the room decides until there is nothing to do.
    fn pump(self: &Arc<Self>) {
        if self.runtime.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            let _ = self.runtime.set(runtime);
        }
        {
            let mut pumped = self.lock();
            if pumped.is_pumping {
                pumped.is_changed = true;
                return;
            }
            pumped.is_pumping = true;
        }
        loop {
            let mut steps = Vec::new();
            {
                let mut pumped = self.lock();
                pumped.is_changed = false;
                pumped.room.next(self.clock.now(), &mut steps);
            }
            let mut wake = None;
            for step in steps {
                match step {
                    Step::Wake(moment) => wake = Some(wake.map_or(moment, |earlier: Moment| earlier.min(moment))),
                    step => self.take(step),
                }
            }
            let mut pumped = self.lock();
            if !pumped.is_changed {
                pumped.is_pumping = false;
                drop(pumped);
                if let Some(moment) = wake {
                    self.set_alarm(self.clock.instant(moment));
                }
                return;
            }
        }
    }

    fn take(self: &Arc<Self>, step: Step) {
        match step {
            Step::Load { slot, tenancy, cancelled, queued } => {
                self.count(|meters| meters.left_queue(queued));
                self.start(slot, tenancy, cancelled);
            }
            Step::Evict { loaded, idle } => {
                self.count(|meters| meters.evicted(idle));
                tracing::info!(
                    model = loaded.name(),
                    version = loaded.version(),
                    digest = loaded.digest(),
                    bytes = loaded.lease().bytes(),
                    idle_milliseconds = milliseconds(idle),
                    "model evicted"
                );
            }
            Step::Answer { waiters, error } => {
                for waiter in waiters {
                    let _ = waiter.answer.send(Err(error.clone()));
                }
            }
            Step::Wake(_) => {}
        }
    }

    fn set_alarm(self: &Arc<Self>, at: Instant) {
        let Some(runtime) = self.runtime.get() else { return };
        if self.is_alarm_set.swap(true, Ordering::Relaxed) {
            return;
        }
        let residency = Arc::downgrade(self);
        runtime.spawn(async move {
            tokio::time::sleep_until(at).await;
            if let Some(residency) = residency.upgrade() {
                residency.is_alarm_set.store(false, Ordering::Relaxed);
                residency.pump();
            }
        });
    }

    fn start(self: &Arc<Self>, slot: Arc<Slot>, tenancy: Tenancy, cancelled: CancellationToken) {
        let residency = self.clone();
        let work = async move {
            let began = residency.clock.now();
            let outcome = load::load(&slot, &residency.formats, &residency.loaders, &cancelled).await;
            let took = residency.clock.now().since(began);
            residency.ended(&slot, tenancy, outcome, took);
        };
        match self.runtime.get() {
            Some(runtime) => drop(runtime.spawn(work)),
            // A load is asked for by async code, so there is a runtime.
            None => tracing::error!("a load was asked for outside of an async runtime"),
        }
    }

    /// The lease of what a model has in common with others, counted once for all of them.
    fn share(self: &Arc<Self>, model: &dyn Model) -> Option<Arc<SharedLease>> {
        let memory = model.shared()?;
        let mut leases = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|lease| lease.strong_count() > 0);
        let known = leases.iter().filter_map(Weak::upgrade).find(|lease| lease.is_of(&memory));
        if let Some(lease) = known {
            return Some(lease);
        }
        let (slot, tenancy) = {
            let room = &mut self.lock().room;
            room.share(model.device(), memory.bytes());
            (SlotId(room.number()), Tenancy(room.number()))
        };
        let lease = Arc::new(SharedLease::new(memory, model.device(), slot, tenancy, Arc::downgrade(self)));
        leases.push(Arc::downgrade(&lease));
        Some(lease)
    }

    fn ended(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        tenancy: Tenancy,
        outcome: Result<load::Loadable, LoadEnd>,
        took: Duration,
    ) {
        let Description { name, version, origin, .. } = slot.description();
        let path = match origin {
            Origin::Files(files) => files.path().display().to_string(),
            Origin::Memory | Origin::Broken(_) => String::new(),
        };
        let settled = match outcome {
            Ok(load::Loadable { model, digest, hold }) => {
                let bytes = model.size_bytes();
                let shared = self.share(model.as_ref());
                let lease = Lease::new(model, bytes, slot.id, tenancy, Arc::downgrade(self));
                let lease = lease.sharing(shared).holding(hold);
                let loaded = Loaded::new(slot.description(), digest, slot.usage.clone(), lease).map(Arc::new);
                let settled = self.lock().room.loaded(slot, loaded, took, self.clock.now());
                match &settled.result {
                    Ok(loaded) => {
                        self.count(|meters| meters.loaded(took, bytes));
                        let (digest, milliseconds) = (loaded.digest(), milliseconds(took));
                        let device = loaded.lease().device();
                        tracing::info!(model = name, version, digest, bytes, %device, milliseconds, path, "model loaded");
                    }
                    Err(reason) => {
                        self.count(Meters::load_failed);
                        tracing::warn!(model = name, version, bytes, %reason, path, "model loaded and not kept");
                    }
                }
                settled
            }
            Err(end) => {
                if let LoadEnd::Failed(reason) = &end {
                    self.count(Meters::load_failed);
                    let milliseconds = milliseconds(took);
                    tracing::error!(model = name, version, reason, milliseconds, path, "model failed to load");
                }
                self.lock().room.not_loaded(slot, end, self.clock.now())
            }
        };
        settle(settled);
        self.freed.notify_waiters();
        self.pump();
    }

    /// Counts a request that ends with this error, if another server should take it.
    pub(crate) fn counted(&self, error: Error) -> Error {
        if let Some(refusal) = error.refusal() {
            self.count(|meters| meters.refused(refusal));
        }
        error
    }

    fn count(&self, count: impl FnOnce(&Meters)) {
        if let Some(meters) = self.meters.get() {
            count(meters);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pumped> {
        // Nothing under the lock panics; were it so, the room is still the best there is.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the explicit mode a request waits for a load, and does not begin one.
fn only_by_command(room: &Room, slot: &Slot, urgency: Urgency) -> Option<Error> {
    if room.rules().mode == Mode::OnDemand || urgency != Urgency::Request {
        return None;
    }
    let by_command = || format!("POST /v2/repository/models/{}/load loads it", slot.description.name);
    match room.state(slot) {
        State::Unloaded | State::Unloading => {
            Some(Error::not_found(format!("{} is not loaded, {}", slot.label(), by_command())))
        }
        State::Failed { reason } => {
            let text = format!("{} failed to load: {reason}; once that is mended {}", slot.label(), by_command());
            Some(Error::refused(Refusal::LoadFailed, text))
        }
        State::Queued | State::Loading | State::Ready { .. } => None,
    }
}

fn settle(settled: Settled) {
    for waiter in settled.waiters {
        let _ = waiter.answer.send(settled.result.clone());
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

// === impl Ticket ===

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.residency.waiting.fetch_sub(1, Ordering::Relaxed);
        self.residency.lock().room.leave(self.slot, self.waiter);
    }
}
