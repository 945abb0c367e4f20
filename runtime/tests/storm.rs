//! Many clients, more models than there is room for, and everything at once.

// What helps a test may fail it.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use modelway_runtime::formats::{Format, LoadError, ModelFiles};
use modelway_runtime::{
    BatchModel, Batched, Catalogue, Context, Error, InferRequest, InferResponse, Loaded, Model, ModelMetadata,
    Parameters, ResidencyOptions, Tensor, TensorData,
};
use tempfile::TempDir;

/// Longer than anything here takes, shorter than a test run that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a model keeps besides its number.
const WEIGHTS: usize = 1000;

/// Answers with its own number. Counts how many of its kind are in memory.
struct Numbered {
    metadata: ModelMetadata,
    number: i64,
    weights: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

struct NumberedFormat {
    /// Turns of a loop that a load takes.
    turns: u64,
    alive: Arc<AtomicUsize>,
}

impl BatchModel for Numbered {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        self.weights.len() as u64
    }

    fn is_quick(&self, request: &InferRequest) -> bool {
        request.inputs.len() == 1
    }

    fn predict(&self, _: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
        let tensor = Tensor::new("number", vec![1], TensorData::Int64(vec![self.number]))?;
        Ok((vec![tensor], Parameters::new()))
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Format for NumberedFormat {
    fn name(&self) -> &'static str {
        "numbered"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.path.extension().is_some_and(|extension| extension == "number")
    }

    fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
        let text = fs::read_to_string(&files.path)
            .map_err(|error| LoadError::Read { path: files.path.clone(), reason: error.to_string() })?;
        let number =
            text.trim().parse().map_err(|_| LoadError::Malformed(format!("expected a number, got {text:?}")))?;
        for turn in 0..self.turns {
            std::hint::black_box(turn);
        }
        self.alive.fetch_add(1, Ordering::SeqCst);
        let weights = vec![0; WEIGHTS];
        Ok(Arc::new(Batched::new(Numbered {
            metadata: ModelMetadata::default(),
            number,
            weights,
            alive: self.alive.clone(),
        })))
    }
}

/// So that a failure can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn write_model(folder: &Path, number: usize) {
    // As many bytes as it has in memory, so that the first guess is good.
    fs::write(folder.join(format!("m{number}.number")), format!("{number:<WEIGHTS$}")).unwrap();
}

async fn ask(loaded: &Arc<Loaded>, is_quick: bool) -> Result<InferResponse, Error> {
    let input = Tensor::new("x", vec![1], TensorData::Bool(vec![true]))?;
    let inputs = if is_quick { vec![input] } else { vec![input.clone(), input] };
    let request = InferRequest { inputs, ..InferRequest::default() };
    let mut responses = loaded.model().clone().infer(request, Context::default());
    responses.next().await.unwrap_or_else(|| Err(Error::internal("no response")))
}

fn open(folder: &TempDir, turns: u64, options: ResidencyOptions) -> (Arc<Catalogue>, Arc<AtomicUsize>) {
    let alive = Arc::new(AtomicUsize::new(0));
    let format = NumberedFormat { turns, alive: alive.clone() };
    (Arc::new(Catalogue::open(folder.path(), vec![Arc::new(format)], options).unwrap()), alive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_ends_with_every_answer_right_or_refused_and_with_nothing_in_memory() {
    const MODELS: usize = 500;
    const ROOM: u64 = 50;
    const CLIENTS: u64 = 64;
    // `MODELWAY_STORM_SECONDS=120` for the long form.
    let seconds = std::env::var("MODELWAY_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let folder = TempDir::new().unwrap();
    (0..MODELS).for_each(|number| write_model(folder.path(), number));
    fs::write(folder.path().join("broken.number"), "rubbish").unwrap();
    let options = ResidencyOptions {
        memory: ROOM * WEIGHTS as u64,
        loads_at_once: 4,
        poll_interval: None,
        ..ResidencyOptions::default()
    };
    let memory = options.memory;
    let (catalogue, alive) = open(&folder, 1000, options);
    let end = Instant::now() + Duration::from_secs(seconds);
    let counts: Arc<[AtomicU64; 4]> = Arc::default();
    let clients = (0..CLIENTS).map(|client| {
        let (catalogue, counts) = (catalogue.clone(), counts.clone());
        tokio::spawn(async move {
            let mut random = Random(client + 0x9e37_79b9_7f4a_7c15);
            while Instant::now() < end {
                // Squared, so that some are asked much more often.
                let number = random.below(MODELS as u64) * random.below(MODELS as u64) / MODELS as u64;
                let name = format!("m{number}");
                let outcome = match random.below(100) {
                    0 => catalogue.unload(&name).await.map(|()| 0),
                    1 => catalogue.load(&name, None).await.map(|()| 0),
                    2 => catalogue.find("broken", None).await.map(|_| panic!("it is broken")),
                    kind => {
                        let is_quick = kind % 2 == 0;
                        let work = async {
                            let loaded = catalogue.find(&name, None).await?;
                            let response = ask(&loaded, is_quick).await?;
                            assert_eq!(response.outputs[0].data(), &TensorData::Int64(vec![number as i64]));
                            Ok::<_, Error>(1)
                        };
                        // Some give up, at any moment of it.
                        let budget = Duration::from_micros(random.below(3000));
                        if kind < 13 { tokio::time::timeout(budget, work).await.unwrap_or(Ok(2)) } else { work.await }
                    }
                };
                match outcome {
                    Ok(kind) => counts[kind].fetch_add(1, Ordering::Relaxed),
                    Err(error) => {
                        let is_unloaded = error.message().contains("unloaded");
                        assert!(error.refusal().is_some() || is_unloaded, "{:?}: {error}", error.kind());
                        counts[3].fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        tokio::time::timeout(PATIENCE + Duration::from_secs(seconds), client).await.expect("a deadlock").unwrap();
    }
    let [commands, answers, given_up, refused] = [0, 1, 2, 3].map(|kind| counts[kind].load(Ordering::Relaxed));
    println!("{answers} answers, {refused} refusals, {given_up} given up, {commands} commands");
    assert!(answers > 1000 && given_up > 10 && refused > 10 && commands > 10);
    assert!(catalogue.resident_bytes() <= memory, "{} bytes", catalogue.resident_bytes());

    for name in catalogue.names() {
        tokio::time::timeout(PATIENCE, catalogue.unload(&name)).await.expect("a deadlock").unwrap();
    }
    let nothing_is_left = async {
        while catalogue.resident_bytes() != 0 || alive.load(Ordering::SeqCst) != 0 {
            tokio::task::yield_now().await;
        }
    };
    let left = || (catalogue.resident_bytes(), alive.load(Ordering::SeqCst));
    tokio::time::timeout(PATIENCE, nothing_is_left).await.unwrap_or_else(|_| panic!("left: {:?}", left()));
}

#[tokio::test]
async fn fifty_cold_loads_leave_the_only_async_thread_to_a_hot_model() {
    let folder = TempDir::new().unwrap();
    (0..51).for_each(|number| write_model(folder.path(), number));
    // Tens of milliseconds a load.
    let (catalogue, _) = open(&folder, 30_000_000, ResidencyOptions { memory: 1 << 20, ..ResidencyOptions::default() });
    let hot = async |catalogue: &Catalogue| {
        let started = Instant::now();
        let response = ask(&catalogue.find("m0", None).await.unwrap(), true).await.unwrap();
        assert_eq!(response.outputs[0].data(), &TensorData::Int64(vec![0]));
        started.elapsed()
    };
    hot(&catalogue).await;
    let began = Instant::now();
    let cold: Vec<_> = (1..51)
        .map(|number| {
            let catalogue = catalogue.clone();
            tokio::spawn(async move { catalogue.find(&format!("m{number}"), None).await.map(|_| ()) })
        })
        .collect();
    let mut times = Vec::new();
    while !cold.iter().all(tokio::task::JoinHandle::is_finished) {
        times.push(hot(&catalogue).await);
        tokio::task::yield_now().await;
    }
    let whole = began.elapsed();
    for cold in cold {
        cold.await.unwrap().unwrap();
    }
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    println!("{} answers in the {whole:?} of 50 loads, p99 {p99:?}", times.len());
    // One load on the async thread would hold up a request for as long as itself.
    assert!(times.len() > 50 && p99 < whole / 50, "{} answers, p99 {p99:?} of {whole:?}", times.len());
}
