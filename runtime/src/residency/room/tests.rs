mod devices;

use super::*;
use crate::fingerprint::Fingerprint;
use crate::formats::ModelFiles;
use crate::residency::clock::Clock;
use crate::residency::loaded::Lease;
use crate::residency::slot::Description;
use crate::testing::RowSum;
use std::sync::Weak;
use tokio::sync::oneshot;

/// A room, and what a residency would do around it, by hand.
struct Hall {
    room: Room,
    clock: Clock,
}

/// An evicted model and its bytes, to be freed.
struct Out(Arc<Loaded>, Arc<Slot>);

type Answer = oneshot::Receiver<Result<Arc<Loaded>, Error>>;

fn hall(budget: u64, loads_at_once: usize, guard_age: Duration) -> Hall {
    let rules = Rules { mode: Mode::OnDemand, budget, gpu_budget: None, loads_at_once, guard_age: Some(guard_age) };
    Hall { room: Room::new(rules), clock: Clock::start() }
}

impl Hall {
    fn slot(&mut self, name: &str, bytes: u64) -> Arc<Slot> {
        let description = Description {
            name: name.to_owned(),
            version: None,
            origin: Origin::Files(ModelFiles { path: name.into(), ..ModelFiles::default() }.into()),
            fingerprint: Fingerprint::default(),
            max_batch_size: None,
            signature: None,
        };
        let slot = Slot::new(SlotId(self.room.number()), description, self.clock, false);
        slot.expected_bytes.store(bytes, Ordering::Relaxed);
        Arc::new(slot)
    }

    fn ask(&mut self, slot: &Arc<Slot>, urgency: Urgency) -> (WaiterId, Answer) {
        let (answer, receiver) = oneshot::channel();
        let id = WaiterId(self.room.number());
        let joined = self.room.join(slot, urgency, Some(Waiter { id, answer }), None, self.clock.now());
        assert!(matches!(joined, Joined::Waiting));
        (id, receiver)
    }

    fn steps(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.room.next(self.clock.now(), &mut steps);
        steps
    }

    /// Which loads are begun now.
    fn begun(&mut self) -> Vec<String> {
        let name = |step| match step {
            Step::Load { slot, .. } => Some(slot.description.name.clone()),
            _ => None,
        };
        self.steps().into_iter().filter_map(name).collect()
    }

    fn finish(&mut self, slot: &Arc<Slot>, bytes: u64) -> Settled {
        self.finish_on(slot.device(), slot, bytes)
    }

    fn finish_on(&mut self, device: Device, slot: &Arc<Slot>, bytes: u64) -> Settled {
        let tenancy = Tenancy(self.room.number());
        let lease = Lease::new(RowSum::on(device), bytes, slot.id, tenancy, Weak::new());
        let loaded = Loaded::new(&slot.description, "-".to_owned(), slot.usage.clone(), lease).map(Arc::new);
        self.room.loaded(slot, loaded, Duration::from_millis(1), self.clock.now())
    }

    /// Loads it without anything else happening.
    fn load(&mut self, name: &str, bytes: u64) -> Arc<Slot> {
        let slot = self.slot(name, bytes);
        drop(self.ask(&slot, Urgency::Request));
        assert_eq!(self.begun(), [name]);
        assert!(self.finish(&slot, bytes).result.is_ok());
        slot
    }

    fn evicted(&mut self, slots: &[Arc<Slot>]) -> Vec<Out> {
        let mut out = Vec::new();
        for step in self.steps() {
            if let Step::Evict { loaded, .. } = step {
                let slot = slots.iter().find(|slot| slot.description.name == loaded.name()).unwrap().clone();
                out.push(Out(loaded, slot));
            }
        }
        out
    }

    fn free(&mut self, Out(loaded, slot): Out) {
        let (tenancy, bytes) = (loaded.lease().tenancy().unwrap(), loaded.lease().bytes());
        let device = loaded.lease().device();
        drop(loaded);
        self.room.released(slot.id, tenancy, device, bytes);
    }
}

fn names(out: &[Out]) -> Vec<&str> {
    out.iter().map(|out| out.0.name()).collect()
}

async fn pass(milliseconds: u64) {
    tokio::time::advance(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn requests_go_before_replacements_and_these_before_preloads_and_equals_in_their_order() {
    let mut hall = hall(1000, 1, Duration::ZERO);
    let slots: Vec<_> = ["first", "preload", "replacement", "b", "a"].map(|name| hall.slot(name, 1)).to_vec();
    let mut answers = Vec::new();
    for (slot, urgency) in
        slots.iter().zip([Urgency::Request, Urgency::Preload, Urgency::Replacement, Urgency::Request, Urgency::Request])
    {
        answers.push(hall.ask(slot, urgency));
    }
    let mut order = Vec::new();
    while let [begun] = hall.begun().as_slice() {
        hall.finish(slots.iter().find(|slot| slot.description.name == *begun).unwrap(), 1);
        order.push(begun.clone());
    }
    assert_eq!(order, ["first", "b", "a", "replacement", "preload"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_makes_a_waiting_preload_urgent_and_shares_its_load() {
    let mut hall = hall(1000, 1, Duration::ZERO);
    let (busy, early, late) = (hall.slot("busy", 1), hall.slot("early", 1), hall.slot("late", 1));
    let _busy = hall.ask(&busy, Urgency::Request);
    let _early = hall.ask(&early, Urgency::Preload);
    let (_, mut preload) = hall.ask(&late, Urgency::Preload);
    let (_, mut request) = hall.ask(&late, Urgency::Request);
    assert_eq!(hall.begun(), ["busy"]);
    hall.finish(&busy, 1);
    assert_eq!(hall.begun(), ["late"]);
    let settled = hall.finish(&late, 1);
    assert_eq!(settled.waiters.len(), 2);
    for waiter in settled.waiters {
        let _ = waiter.answer.send(settled.result.clone());
    }
    assert!(preload.try_recv().unwrap().is_ok() && request.try_recv().unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_load_that_nobody_waits_for_leaves_the_queue_and_one_under_way_is_told() {
    let mut hall = hall(1000, 1, Duration::ZERO);
    let (under_way, queued, preload) = (hall.slot("under way", 1), hall.slot("queued", 1), hall.slot("preload", 1));
    let (first, _a) = hall.ask(&under_way, Urgency::Request);
    let (second, _b) = hall.ask(&queued, Urgency::Request);
    let (third, _c) = hall.ask(&preload, Urgency::Preload);
    let steps = hall.steps();
    let [Step::Load { cancelled, .. }] = steps.as_slice() else { panic!("expected one load") };
    hall.room.leave(queued.id, second);
    hall.room.leave(preload.id, third);
    assert_eq!(hall.room.state(&queued), State::Unloaded);
    assert_eq!(hall.room.state(&preload), State::Queued);
    hall.room.leave(under_way.id, first);
    assert!(cancelled.is_cancelled());
    // Someone else comes before the loader has noticed.
    let (_, _answer) = hall.ask(&under_way, Urgency::Request);
    assert!(hall.room.not_loaded(&under_way, LoadEnd::Cancelled, hall.clock.now()).waiters.is_empty());
    assert_eq!(hall.begun(), ["under way"]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_comes_again_is_wanted_by_those_who_wanted_it_before() {
    let mut hall = hall(1000, 2, Duration::ZERO);
    let (asked, wanted) = (hall.slot("asked", 1), hall.slot("wanted", 1));
    for slot in [&asked, &wanted] {
        let (first, _answer) = hall.ask(slot, Urgency::Request);
        hall.begun();
        hall.room.leave(slot.id, first);
    }
    // Someone comes before the loader has noticed: one who waits, and one who does not.
    let (second, _answer) = hall.ask(&asked, Urgency::Request);
    assert!(matches!(hall.room.join(&wanted, Urgency::Preload, None, None, hall.clock.now()), Joined::Waiting));
    for slot in [&asked, &wanted] {
        hall.room.not_loaded(slot, LoadEnd::Cancelled, hall.clock.now());
    }
    hall.room.leave(asked.id, second);
    assert_eq!(hall.room.state(&asked), State::Unloaded);
    assert_eq!(hall.begun(), ["wanted"]);
}

#[tokio::test(start_paused = true)]
async fn the_longest_unused_makes_room_by_bytes() {
    let mut hall = hall(100, 1, Duration::ZERO);
    let mut slots = Vec::new();
    for name in ["a", "b", "c", "d"] {
        slots.push(hall.load(name, 25));
        pass(10).await;
    }
    // Used since: the list has to be put right.
    slots[0].resident().unwrap();
    pass(10).await;
    let large = hall.slot("large", 40);
    let _answer = hall.ask(&large, Urgency::Request);
    let out = hall.evicted(&slots);
    assert_eq!(names(&out), ["b", "c"]);
    // Their bytes count until they are freed, and nothing more is evicted meanwhile.
    assert_eq!(hall.room.totals().used, 100);
    assert!(hall.evicted(&slots).is_empty());
    for out in out {
        hall.free(out);
    }
    assert_eq!(hall.begun(), ["large"]);
    assert!(hall.finish(&large, 40).result.is_ok());
    assert_eq!(hall.room.totals(), Totals { used: 90, ..Totals::default() });
}

#[tokio::test(start_paused = true)]
async fn a_model_in_use_makes_room_after_the_idle_ones_and_comes_back_to_who_asks_for_it() {
    let mut hall = hall(50, 1, Duration::ZERO);
    let mut slots = Vec::new();
    for name in ["in use", "idle"] {
        slots.push(hall.load(name, 25));
        pass(10).await;
    }
    let in_use = slots[0].resident.load_full().unwrap();
    let large = hall.slot("large", 50);
    let _answer = hall.ask(&large, Urgency::Request);
    let mut out = hall.evicted(&slots);
    assert_eq!(names(&out), ["idle", "in use"]);
    hall.free(out.remove(0));
    assert!(hall.begun().is_empty());
    assert_eq!(hall.room.state(&slots[0]), State::Unloading);
    let joined = hall.room.join(&slots[0], Urgency::Request, None, None, hall.clock.now());
    assert!(matches!(joined, Joined::Resident(same) if Arc::ptr_eq(&same, &in_use)));
    assert_eq!(hall.room.state(&slots[0]), State::Ready { size_bytes: 25 });
    assert_eq!(hall.room.totals().used, 25);
}

#[tokio::test(start_paused = true)]
async fn what_was_used_just_now_or_is_pinned_stays_and_the_request_is_refused() {
    let mut hall = hall(50, 1, Duration::from_secs(10));
    let (a, b) = (hall.load("a", 25), hall.load("b", 25));
    hall.room.set_pinned(&a, true, hall.clock.now());
    let slots = [a.clone(), b.clone()];
    let c = hall.slot("c", 20);
    let _answer = hall.ask(&c, Urgency::Request);
    let steps = hall.steps();
    let [Step::Answer { error, .. }] = steps.as_slice() else { panic!("expected a refusal") };
    assert_eq!(error.refusal(), Some(Refusal::NoRoom));
    assert_eq!(
        error.message(),
        "no room for model 'c' (20 bytes): of the memory budget of 50 bytes all is taken by models that are pinned or were used just now"
    );
    assert_eq!(hall.room.state(&c), State::Unloaded);
    pass(10_001).await;
    let _answer = hall.ask(&c, Urgency::Request);
    let out = hall.evicted(&slots);
    assert_eq!(names(&out), ["b"]);
    for out in out {
        hall.free(out);
    }
    hall.begun();
    hall.finish(&c, 20);
    pass(10_001).await;
    // Unpinned it may go again.
    hall.room.set_pinned(&a, false, hall.clock.now());
    let d = hall.slot("d", 25);
    let _answer = hall.ask(&d, Urgency::Request);
    assert_eq!(names(&hall.evicted(&[a, c])), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_preload_evicts_nothing_and_what_can_never_fit_is_refused() {
    let mut hall = hall(50, 1, Duration::ZERO);
    let a = hall.load("a", 40);
    pass(10).await;
    let (preload, giant) = (hall.slot("preload", 20), hall.slot("giant", 51));
    let _preload = hall.ask(&preload, Urgency::Preload);
    let _giant = hall.ask(&giant, Urgency::Request);
    let refusals: Vec<_> = hall
        .steps()
        .into_iter()
        .map(|step| match step {
            Step::Answer { error, .. } => error.refusal().unwrap(),
            _ => panic!("expected refusals"),
        })
        .collect();
    assert_eq!(refusals, [Refusal::TooLarge, Refusal::NoRoom]);
    assert!(a.is_resident());
}

#[tokio::test(start_paused = true)]
async fn a_model_larger_than_expected_makes_others_leave_or_is_not_kept() {
    let mut hall = hall(100, 2, Duration::ZERO);
    let a = hall.load("a", 50);
    pass(10).await;
    let (b, c) = (hall.slot("b", 10), hall.slot("c", 10));
    let _answers = [hall.ask(&b, Urgency::Request), hall.ask(&c, Urgency::Request)];
    assert_eq!(hall.begun(), ["b", "c"]);
    assert_eq!(hall.room.totals(), Totals { used: 50, reserved: 20, queued: 0, loading: 2 });
    assert!(hall.finish(&b, 90).result.is_ok());
    let out = hall.evicted(&[a]);
    assert_eq!(names(&out), ["a"]);
    for out in out {
        hall.free(out);
    }
    // Now b stays: it was used just now by whoever waited for it.
    hall.room.rules.guard_age = Some(Duration::from_secs(1));
    let settled = hall.finish(&c, 30);
    assert_eq!(settled.result.err().unwrap().refusal(), Some(Refusal::NoRoom));
    let discarded = settled.discarded.unwrap();
    assert_eq!(hall.room.totals().used, 120);
    hall.free(Out(discarded, c.clone()));
    assert_eq!(hall.room.totals().used, 90);
    assert_eq!(c.expected_bytes(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_failed_load_is_not_tried_again_before_its_pause_is_over_and_pauses_grow() {
    let mut hall = hall(100, 1, Duration::ZERO);
    let slot = hall.slot("m", 10);
    for pause in [1, 2, 4, 8] {
        let _answer = hall.ask(&slot, Urgency::Request);
        assert_eq!(hall.begun(), ["m"]);
        let settled = hall.room.not_loaded(&slot, LoadEnd::Failed("rubbish".to_owned()), hall.clock.now());
        assert_eq!(settled.result.err().unwrap().message(), "model 'm' failed to load: rubbish");
        assert_eq!(hall.room.state(&slot), State::Failed { reason: "rubbish".to_owned() });
        pass(pause * 1000 - 1).await;
        let joined = hall.room.join(&slot, Urgency::Request, None, None, hall.clock.now());
        let Joined::Refused(error) = joined else { panic!("expected a refusal") };
        assert_eq!(error.message(), "model 'm' failed to load: rubbish (tried again in 1 s)");
        pass(1).await;
    }
    // A command does not wait for the pause.
    let _answer = hall.ask(&slot, Urgency::Request);
    hall.begun();
    hall.room.not_loaded(&slot, LoadEnd::Failed("rubbish".to_owned()), hall.clock.now());
    let _answer = hall.ask(&slot, Urgency::Command);
    assert_eq!(hall.begun(), ["m"]);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_is_told_at_once() {
    let mut hall = hall(1000, 1, Duration::ZERO);
    let known = hall.load("known", 1);
    let loaded = hall.room.unload(&known).discarded.unwrap();
    hall.free(Out(loaded, known.clone()));
    hall.room.mean_load = Some(Duration::from_millis(100));
    let ahead: Vec<_> = (0..5).map(|number| hall.slot(&number.to_string(), 1)).collect();
    let _answers: Vec<_> = ahead.iter().map(|slot| hall.ask(slot, Urgency::Request)).collect();
    hall.begun();
    let patience = |milliseconds| Some(Duration::from_millis(milliseconds));
    let now = hall.clock.now();
    // Four in the queue and one under way, a tenth of a second each.
    let Joined::Refused(error) = hall.room.join(&known, Urgency::Request, None, patience(400), now) else {
        panic!("expected a refusal")
    };
    assert_eq!(error.refusal(), Some(Refusal::Deadline));
    assert!(error.message().contains("would be loaded in about 0.501 s"), "{}", error.message());
    assert_eq!(hall.room.state(&known), State::Unloaded);
    // A load that is longer than the deadline all by itself is begun for those who come later.
    let slow = hall.slot("slow", 1);
    assert!(matches!(hall.room.join(&slow, Urgency::Request, None, patience(50), now), Joined::Refused(_)));
    assert_eq!(hall.room.state(&slow), State::Queued);
    assert!(matches!(hall.room.join(&known, Urgency::Request, None, patience(1000), now), Joined::Waiting));
}

#[tokio::test(start_paused = true)]
async fn a_load_waits_for_bytes_that_requests_still_hold_but_not_for_ever() {
    let mut hall = hall(50, 1, Duration::ZERO);
    let a = hall.load("a", 50);
    let held = a.resident.load_full().unwrap();
    let out = hall.room.unload(&a).discarded.unwrap();
    drop(out);
    let b = hall.slot("b", 10);
    let _answer = hall.ask(&b, Urgency::Request);
    assert!(matches!(hall.steps().as_slice(), [Step::Wake(_)]));
    pass(2_001).await;
    assert!(matches!(hall.steps().as_slice(), [Step::Answer { .. }]));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn in_the_explicit_mode_nothing_is_evicted() {
    let mut hall = hall(50, 1, Duration::ZERO);
    hall.room.rules.mode = Mode::Explicit;
    let a = hall.load("a", 50);
    pass(1000).await;
    let b = hall.slot("b", 10);
    let _answer = hall.ask(&b, Urgency::Command);
    let steps = hall.steps();
    let [Step::Answer { error, .. }] = steps.as_slice() else { panic!("expected a refusal") };
    assert!(error.message().contains("nothing is evicted for it"), "{}", error.message());
    assert!(a.is_resident());
}
