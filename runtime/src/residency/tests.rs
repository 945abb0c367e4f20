//! Real loads of real files, on real blocking threads.

use super::*;
use crate::error::Refusal;
use crate::fingerprint::Fingerprint;
use crate::formats::{LoadError, ModelFiles};
use crate::message::InferRequest;
use crate::model::{Context, ModelMetadata, ResponseStream};
use crate::testing::until;
use std::fs;
use std::sync::Condvar;
use std::sync::atomic::AtomicUsize;
use tempfile::TempDir;

/// A model of as many bytes as its file says, which is loaded when it is let.
#[derive(Default)]
struct Weights {
    gate: Mutex<Gate>,
    opened: Condvar,
    loads: AtomicUsize,
}

#[derive(Default)]
struct Gate {
    is_closed: bool,
    under_way: usize,
    most_at_once: usize,
}

struct Weight(ModelMetadata, u64);

impl Model for Weight {
    fn metadata(&self) -> &ModelMetadata {
        &self.0
    }

    fn size_bytes(&self) -> u64 {
        self.1
    }

    fn infer(self: Arc<Self>, _: InferRequest, _: Context) -> ResponseStream {
        Box::pin(futures_util::stream::empty())
    }
}

impl Format for Weights {
    fn name(&self) -> &'static str {
        "weights"
    }

    fn recognises(&self, _: &ModelFiles) -> bool {
        true
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let mut gate = self.gate.lock().unwrap();
        gate.under_way += 1;
        gate.most_at_once = gate.most_at_once.max(gate.under_way);
        let mut gate = self.opened.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.under_way -= 1;
        let text = fs::read_to_string(&files.path).unwrap();
        let bytes = text.parse().map_err(|_| LoadError::Malformed(format!("expected bytes, got '{text}'")))?;
        Ok(Arc::new(Weight(ModelMetadata::default(), bytes)))
    }
}

impl Weights {
    fn close(&self) {
        self.gate.lock().unwrap().is_closed = true;
    }

    fn open(&self) {
        self.gate.lock().unwrap().is_closed = false;
        self.opened.notify_all();
    }

    fn under_way(&self) -> usize {
        self.gate.lock().unwrap().under_way
    }
}

struct House {
    folder: TempDir,
    weights: Arc<Weights>,
    residency: Arc<Residency>,
}

fn house(memory: u64) -> House {
    let options =
        ResidencyOptions { memory, loads_at_once: 2, guard_age: Some(Duration::ZERO), ..ResidencyOptions::default() };
    let weights = Arc::new(Weights::default());
    let residency = Residency::new(&options, vec![weights.clone()]);
    House { folder: TempDir::new().unwrap(), weights, residency }
}

impl House {
    fn slot(&self, name: &str, text: &str) -> Arc<Slot> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        let description = Description {
            name: name.to_owned(),
            version: None,
            fingerprint: Fingerprint::of([path.as_path()]),
            origin: Origin::Files(ModelFiles { path, ..ModelFiles::default() }.into()),
            max_batch_size: None,
            signature: None,
        };
        self.residency.slot(description, false)
    }

    async fn get(&self, slot: &Arc<Slot>) -> Result<Arc<Loaded>, Error> {
        self.residency.get(slot, Urgency::Request, None).await
    }
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_load() {
    let house = house(1000);
    house.weights.close();
    let slot = house.slot("m", "10");
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (residency, slot) = (house.residency.clone(), slot.clone());
            tokio::spawn(async move { residency.get(&slot, Urgency::Request, None).await.unwrap() })
        })
        .collect();
    until(async || house.weights.under_way() == 1).await;
    assert_eq!(house.residency.state(&slot), State::Loading);
    house.weights.open();
    for asked in asking {
        assert_eq!(asked.await.unwrap().name(), "m");
    }
    assert_eq!(house.weights.loads.load(Ordering::SeqCst), 1);
    assert_eq!(house.residency.resident_bytes(), 10);
}

#[tokio::test]
async fn as_many_loads_run_at_once_as_are_allowed() {
    let house = house(1000);
    house.weights.close();
    let slots: Vec<_> = (0..6).map(|number| house.slot(&number.to_string(), "10")).collect();
    let all = futures_util::future::join_all(slots.iter().map(|slot| house.get(slot)));
    let opening = async {
        until(async || house.weights.under_way() == 2).await;
        assert_eq!(house.residency.state(&slots[5]), State::Queued);
        house.weights.open();
    };
    let (loaded, ()) = tokio::join!(all, opening);
    assert!(loaded.iter().all(Result::is_ok));
    assert_eq!(house.weights.gate.lock().unwrap().most_at_once, 2);
}

#[tokio::test]
async fn who_gives_up_leaves_nothing_in_the_queue() {
    let house = house(1000);
    house.weights.close();
    let (a, b, c) = (house.slot("a", "10"), house.slot("b", "10"), house.slot("c", "10"));
    for slot in [&a, &b, &c] {
        let mut waiting = Box::pin(house.get(slot));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    }
    house.weights.open();
    until(async || house.residency.lock().room.totals().loading == 0).await;
    assert_eq!(house.residency.state(&c), State::Unloaded);
    assert_eq!(house.residency.lock().room.totals().queued, 0);
}

#[tokio::test]
async fn a_request_in_flight_keeps_its_model_and_its_bytes_stay_counted() {
    let house = house(20);
    let (a, b) = (house.slot("a", "20"), house.slot("b", "20"));
    let held = house.get(&a).await.unwrap();
    let context = Context::new(CancellationToken::new(), None, held.lease().clone());
    let mut waiting = Box::pin(house.get(&b));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert_eq!(house.residency.state(&a), State::Unloading);
    drop(held);
    // What still computes with the model has the context.
    assert_eq!(house.residency.resident_bytes(), 20);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(context);
    assert_eq!(waiting.await.unwrap().name(), "b");
    assert_eq!(house.residency.resident_bytes(), 20);
    assert_eq!(house.residency.state(&a), State::Unloaded);
}

#[tokio::test]
async fn a_load_that_is_unloaded_meanwhile_is_not_kept() {
    let house = house(1000);
    house.weights.close();
    let slot = house.slot("m", "10");
    let (residency, asked) = (house.residency.clone(), slot.clone());
    let waiting = tokio::spawn(async move { residency.get(&asked, Urgency::Request, None).await });
    until(async || house.weights.under_way() == 1).await;
    house.residency.begin_unload(&slot, "a test");
    assert_eq!(waiting.await.unwrap().err().unwrap().kind(), ErrorKind::Unavailable);
    house.weights.open();
    house.residency.unload(&slot).await;
    assert_eq!(house.residency.state(&slot), State::Unloaded);
    assert_eq!(house.residency.resident_bytes(), 0);
}

#[tokio::test]
async fn many_small_models_make_room_for_a_large_one() {
    let house = house(2000);
    for number in 0..2000 {
        house.get(&house.slot(&number.to_string(), "1")).await.unwrap();
    }
    assert_eq!(house.residency.resident_bytes(), 2000);
    house.get(&house.slot("large", "2000")).await.unwrap();
    assert_eq!(house.residency.resident_bytes(), 2000);
    assert_eq!(house.weights.loads.load(Ordering::SeqCst), 2001);
}

#[tokio::test]
async fn a_broken_model_is_refused_with_its_reason() {
    let house = house(1000);
    let slot = house.slot("m", "rubbish");
    for _ in 0..2 {
        let error = house.get(&slot).await.err().unwrap();
        assert_eq!(error.refusal(), Some(Refusal::LoadFailed));
        assert!(error.message().starts_with("model 'm' failed to load: expected bytes, got 'rubbish'"));
    }
    assert_eq!(house.weights.loads.load(Ordering::SeqCst), 1);
}
