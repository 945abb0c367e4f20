//! Each device's memory is a budget of its own.

use super::*;
use proptest::prelude::*;

const GPU: Device = Device::Cuda(0);
const OTHER_GPU: Device = Device::Cuda(1);

/// Room on the host and on each CUDA device.
fn hall_with_gpus(budget: u64, gpu_budget: u64, loads_at_once: usize) -> Hall {
    let mut hall = hall(budget, loads_at_once, Duration::ZERO);
    hall.room.rules.gpu_budget = Some(gpu_budget);
    hall
}

impl Hall {
    fn slot_on(&mut self, device: Device, name: &str, bytes: u64) -> Arc<Slot> {
        let slot = self.slot(name, bytes);
        slot.set_device(device);
        slot
    }

    fn load_on(&mut self, device: Device, name: &str, bytes: u64) -> Arc<Slot> {
        let slot = self.slot_on(device, name, bytes);
        drop(self.ask(&slot, Urgency::Request));
        assert_eq!(self.begun(), [name]);
        assert!(self.finish(&slot, bytes).result.is_ok());
        slot
    }

    fn used(&self, device: Device) -> u64 {
        let taken = self.room.taken();
        taken.iter().find(|(it, _)| *it == device).map_or(0, |(_, taken)| taken.used)
    }

    fn refusal(&mut self) -> Error {
        let steps = self.steps();
        let [Step::Answer { error, .. }] = steps.as_slice() else { panic!("expected a refusal") };
        error.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn room_on_one_device_is_made_by_what_is_on_it() {
    let mut hall = hall_with_gpus(100, 100, 1);
    let mut slots = Vec::new();
    for (device, name) in [(Device::Cpu, "host"), (GPU, "gpu"), (OTHER_GPU, "other gpu"), (GPU, "gpu, later")] {
        slots.push(hall.load_on(device, name, 50));
        pass(10).await;
    }
    let large = hall.slot_on(GPU, "large", 60);
    let _answer = hall.ask(&large, Urgency::Request);
    let out = hall.evicted(&slots);
    // The one on the host and the one beside were unused for longer.
    assert_eq!(names(&out), ["gpu", "gpu, later"]);
    for out in out {
        hall.free(out);
    }
    assert_eq!(hall.begun(), ["large"]);
    hall.finish(&large, 60);
    assert_eq!([Device::Cpu, GPU, OTHER_GPU].map(|device| hall.used(device)), [50, 60, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_waits_for_bytes_of_one_device_does_not_hold_up_those_to_others() {
    let mut hall = hall_with_gpus(100, 50, 2);
    let gpu = hall.load_on(GPU, "gpu", 50);
    let held = gpu.resident.load_full().unwrap();
    drop(hall.room.unload(&gpu).discarded);
    let (blocked, free) = (hall.slot_on(GPU, "blocked", 50), hall.slot_on(Device::Cpu, "free", 50));
    let _answers = [hall.ask(&blocked, Urgency::Request), hall.ask(&free, Urgency::Request)];
    assert_eq!(hall.begun(), ["free"]);
    assert_eq!(hall.room.state(&blocked), State::Queued);
    hall.free(Out(held, gpu));
    assert_eq!(hall.begun(), ["blocked"]);
}

#[tokio::test(start_paused = true)]
async fn a_model_for_a_device_without_a_budget_is_refused_with_the_option_that_gives_one() {
    let mut hall = hall(100, 1, Duration::ZERO);
    let slot = hall.slot("m", 10);
    let _answer = hall.ask(&slot, Urgency::Request);
    assert_eq!(hall.begun(), ["m"]);
    // Only the loaded model says where it computes.
    let settled = hall.finish_on(GPU, &slot, 10);
    let error = settled.result.err().unwrap();
    let text = "model 'm' is for cuda:0, of whose memory models have none here: give them some with --gpu-memory";
    assert_eq!((error.message(), error.refusal()), (text, Some(Refusal::TooLarge)));
    hall.free(Out(settled.discarded.unwrap(), slot.clone()));
    assert_eq!(hall.room.totals(), Totals::default());
    // From then on it is not loaded to find that out.
    let _answer = hall.ask(&slot, Urgency::Request);
    assert_eq!(hall.refusal().message(), text);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_device_and_its_option() {
    let mut hall = hall_with_gpus(1000, 50, 1);
    let large = hall.slot_on(GPU, "large", 51);
    let _answer = hall.ask(&large, Urgency::Request);
    let text = "model 'large' needs 51 bytes, the memory budget of cuda:0 is 50: raise --gpu-memory";
    assert_eq!(hall.refusal().message(), text);
    hall.load_on(GPU, "pinned", 40).set_pinned(true);
    let more = hall.slot_on(GPU, "more", 20);
    let _answer = hall.ask(&more, Urgency::Request);
    assert_eq!(
        hall.refusal().message(),
        "no room for model 'more' (20 bytes): of the memory budget of cuda:0 of 50 bytes all is taken by models that are pinned or were used just now"
    );
}

/// Something that happens to one of a few models.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ask,
    /// A load ends with this many bytes, on this device.
    Finish(u64, usize),
    Unload,
    Use,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Ask),
        4 => (0_u64..60, 0_usize..3).prop_map(|(bytes, device)| Event::Finish(bytes, device)),
        1 => Just(Event::Unload),
        2 => Just(Event::Use),
    ]
}

fn devices(number: usize) -> Device {
    [Device::Cpu, GPU, OTHER_GPU].get(number).copied().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_bytes_are_counted_on_their_device_and_evicted_for_it_alone(
        events in proptest::collection::vec((0_usize..9, event()), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut hall = hall_with_gpus(100, 80, 3);
            // Each expected on a device, where it need not be in the end.
            let slots: Vec<_> = (0..9).map(|number| hall.slot_on(devices(number % 3), &number.to_string(), 20)).collect();
            let mut under_way = Vec::new();
            for (number, event) in events {
                tokio::time::advance(Duration::from_millis(1)).await;
                let slot = &slots[number];
                let mut out = Vec::new();
                match event {
                    Event::Ask => drop(hall.room.join(slot, Urgency::Request, None, None, hall.clock.now())),
                    Event::Finish(bytes, device) if under_way.contains(&number) => {
                        under_way.retain(|other| *other != number);
                        let settled = hall.finish_on(devices(device), slot, bytes);
                        out.extend(settled.discarded.map(|loaded| Out(loaded, slot.clone())));
                    }
                    Event::Finish(..) => {}
                    Event::Unload => out.extend(hall.room.unload(slot).discarded.map(|loaded| Out(loaded, slot.clone()))),
                    Event::Use => drop(slot.resident()),
                }
                // As the residency does: until nothing is left to do.
                loop {
                    let is_queued = |slot: &&Arc<Slot>| hall.room.state(slot) == State::Queued;
                    let mut wanted: Vec<_> = slots.iter().filter(is_queued).map(|slot| slot.device()).collect();
                    let is_over = |taken: &Taken| taken.used + taken.reserved > taken.budget;
                    wanted.extend(hall.room.taken().iter().filter(|(_, taken)| is_over(taken)).map(|(on, _)| *on));
                    let steps = hall.steps();
                    if steps.is_empty() && out.is_empty() {
                        break;
                    }
                    let mut is_idle = out.is_empty();
                    for step in steps {
                        match step {
                            Step::Load { slot, .. } => {
                                under_way.push(slot.description.name.parse().unwrap());
                                is_idle = false;
                            }
                            Step::Evict { loaded, .. } => {
                                assert!(wanted.contains(&loaded.lease().device()), "nobody wanted room there");
                                let slot = slots.iter().find(|slot| slot.description.name == loaded.name());
                                out.push(Out(loaded, slot.unwrap().clone()));
                                is_idle = false;
                            }
                            Step::Answer { .. } => is_idle = false,
                            Step::Wake(_) => {}
                        }
                    }
                    for out in out.drain(..) {
                        hall.free(out);
                    }
                    if is_idle {
                        break;
                    }
                }
                for device in [Device::Cpu, GPU, OTHER_GPU] {
                    let on_it = |slot: &&Arc<Slot>| slot.device() == device;
                    let resident: u64 = slots.iter().filter(on_it).filter_map(|slot| slot.resident_bytes()).sum();
                    assert_eq!(hall.used(device), resident, "{device} after {event:?} of {number}");
                    let budget = hall.room.rules.budget_of(device).unwrap();
                    assert!(resident <= budget, "{resident} of {budget} bytes on {device}");
                }
            }
        });
    }
}
