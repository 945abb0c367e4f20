//! The decision alone, without a gateway and without WebAssembly: `modelway-bench` runs it and reads its answer.
//!
//! Input, one JSON object on the standard input: `{"configurations": {NAME: ROUTING, …}, "measure": [{"name",
//! "configuration", "paths": […]}, …], "head": [[NAME, VALUE], …], "seconds": N}`: every request has the same header
//! fields but for its path. The paths of a measurement stand in one piece of memory, so that the requests of one model
//! and of many take the same way into the processor.
//! Output, one JSON object: what each configuration takes to load, what each measurement takes per decision. The
//! measurements take turns, like the gateways.

#![deny(unsafe_code)]

mod counting;

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use modelway_decision::{Route, Router, Start};
use serde_json::{Value, json};

type Failure = Box<dyn Error>;
type Head = Vec<(Vec<u8>, Vec<u8>)>;

/// How long one configuration is asked before it is the next one's turn.
const TURN: Duration = Duration::from_millis(5);
const LOADS: usize = 5;
/// Of a turn, the fastest batch of this many counts: in the others the thread was not alone on its processor.
const BATCH: usize = 256;

struct Measurement<'r> {
    name: String,
    router: &'r Router,
    head: Head,
    /// All paths, one after another.
    paths: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    next: usize,
    nanoseconds: Vec<f64>,
}

fn main() -> Result<(), Failure> {
    let input: Value = serde_json::from_reader(std::io::stdin().lock())?;
    let mut routers = BTreeMap::new();
    let mut loads = BTreeMap::new();
    for (name, routing) in input["configurations"].as_object().ok_or("expected `configurations`")? {
        let (router, load) = load(&routing.to_string())?;
        routers.insert(name.clone(), router);
        loads.insert(name.clone(), load);
    }
    let head: Vec<(String, String)> = serde_json::from_value(input["head"].clone())?;
    let head: Head = head.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
    let mut measurements = Vec::new();
    for wanted in input["measure"].as_array().ok_or("expected `measure`")? {
        let name = wanted["name"].as_str().ok_or("expected a `name`")?.to_owned();
        let configuration = wanted["configuration"].as_str().ok_or("expected a `configuration`")?;
        let router = routers.get(configuration).ok_or("an unknown configuration")?;
        let mut measurement = Measurement::new(name, router, head.clone());
        for path in wanted["paths"].as_array().ok_or("expected `paths`")? {
            measurement.add(path.as_str().ok_or("expected a path")?);
        }
        measurements.push(measurement);
    }
    let time = Duration::from_secs(input["seconds"].as_u64().unwrap_or(5));
    let started = Instant::now();
    while started.elapsed() < time {
        for measurement in &mut measurements {
            measurement.turn();
        }
    }
    let mut decisions = serde_json::Map::new();
    for mut measurement in measurements {
        let allocations = measurement.allocations()?;
        let nanoseconds = measurement.nanoseconds;
        decisions.insert(measurement.name, json!({ "nanoseconds": nanoseconds, "allocations": allocations }));
    }
    serde_json::to_writer(std::io::stdout().lock(), &json!({ "loads": loads, "decisions": decisions }))?;
    Ok(())
}

/// Loads a configuration several times: the times, and the bytes that one takes.
fn load(routing: &str) -> Result<(Router, Value), Failure> {
    let mut milliseconds = Vec::new();
    for _ in 0..LOADS {
        let started = Instant::now();
        black_box(Router::from_json(routing.as_bytes())?);
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let before = counting::held_bytes();
    let router = Router::from_json(routing.as_bytes())?;
    let bytes = counting::held_bytes() - before;
    Ok((router, json!({ "milliseconds": milliseconds, "bytes": bytes, "configuration_bytes": routing.len() })))
}

// === impl Measurement ===

impl<'r> Measurement<'r> {
    fn new(name: String, router: &'r Router, mut head: Head) -> Self {
        head.insert(0, (b":path".to_vec(), Vec::with_capacity(256)));
        Self { name, router, head, paths: Vec::new(), ends: Vec::new(), next: 0, nanoseconds: Vec::new() }
    }

    fn add(&mut self, path: &str) {
        self.paths.extend_from_slice(path.as_bytes());
        self.ends.push(self.paths.len());
    }

    fn turn(&mut self) {
        // The processor's caches still hold another's data.
        self.decide(self.ends.len());
        let turn = Instant::now();
        let mut fastest = Duration::MAX;
        while turn.elapsed() < TURN {
            let started = Instant::now();
            self.decide(BATCH);
            fastest = fastest.min(started.elapsed());
        }
        self.nanoseconds.push(fastest.as_secs_f64() * 1e9 / BATCH as f64);
    }

    fn decide(&mut self, count: usize) {
        for _ in 0..count {
            self.take_next_path();
            black_box(self.router.start(black_box(&self.head), true, 0));
        }
    }

    fn take_next_path(&mut self) {
        let start = self.next.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(self.next).copied().unwrap_or(start);
        if let Some((_, path)) = self.head.first_mut() {
            path.clear();
            path.extend_from_slice(self.paths.get(start..end).unwrap_or_default());
        }
        self.next = (self.next + 1) % self.ends.len().max(1);
    }

    /// The most allocations of one decision.
    fn allocations(&mut self) -> Result<u64, Failure> {
        let mut most = 0;
        for _ in 0..self.ends.len() {
            self.take_next_path();
            let before = counting::allocations();
            let start = self.router.start(&self.head, true, 0);
            most = most.max(counting::allocations() - before);
            if !matches!(start, Start::Known(Route::To(_))) {
                return Err(format!("{} is not decided by its headers: {start:?}", self.name).into());
            }
        }
        Ok(most)
    }
}
