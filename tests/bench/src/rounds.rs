//! The interleaved run: every gateway with every workload in turn, round after round, so that whatever the machine does
//! meanwhile happens to all of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cpu::CpuClock;
use crate::envoy::Envoy;
use crate::load::Load;
use crate::plan::{Plan, Variant};
use crate::progress::Progress;
use crate::upstream::Upstream;

/// How long one gateway is asked before it is the next one's turn.
const TURN: Duration = Duration::from_millis(60);
/// Of a turn, what is not counted: the processor's caches still hold the gateway before.
const UNCOUNTED: f64 = 0.15;
/// Before the first round: V8 has compiled what is hot, buffers have grown.
const WARM_UP: Duration = Duration::from_millis(400);
const FEWEST_IN_A_TURN: usize = 4;
const FEWEST_ROUNDS: usize = 9;

/// Variant and workload.
pub(crate) type CellName = (String, String);

/// Microseconds of processor time per request, one number a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    /// Of the gateway.
    pub(crate) gateway: Vec<f64>,
    /// Of the server beside it, where there is one.
    pub(crate) beside: Vec<f64>,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) rounds: u32,
    pub(crate) cells: BTreeMap<CellName, Samples>,
    /// Bytes of each gateway after the run.
    pub(crate) resident: BTreeMap<String, u64>,
    /// From the start to the first request.
    pub(crate) started_in: BTreeMap<String, Duration>,
}

struct Cell {
    name: CellName,
    load: Load,
    clock: CpuClock,
    beside: Option<CpuClock>,
    requests: usize,
}

/// Runs the plan for about as long as `time`.
pub(crate) async fn run(plan: &Plan, upstream: &Upstream, time: Duration, progress: &Progress) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut gateways = Vec::new();
    let mut cells = Vec::new();
    for variant in &plan.variants {
        progress.say(&format!("starting {}", variant.name));
        let envoy = Envoy::start(&variant.filters, upstream.address())
            .await
            .with_context(|| format!("cannot start {}", variant.name))?;
        measured.started_in.insert(variant.name.clone(), envoy.started_in());
        cells.extend(
            warmed_up(variant, &envoy, upstream).await.with_context(|| format!("{}: {}", variant.name, envoy.log()))?,
        );
        gateways.push((variant.name.clone(), envoy));
    }
    let started = Instant::now();
    let mut rounds = 0;
    loop {
        for cell in &mut cells {
            let samples = measured.cells.entry(cell.name.clone()).or_default();
            cell.turn(samples).await.with_context(|| format!("{} / {}", cell.name.0, cell.name.1))?;
        }
        rounds += 1;
        let took = started.elapsed();
        progress.rounds(rounds, took, time);
        // Another round must fit, so that no run is much longer than asked.
        let next_ends = took + took / rounds;
        if next_ends > time && rounds as usize >= FEWEST_ROUNDS {
            break;
        }
    }
    measured.rounds = rounds;
    for (name, envoy) in &gateways {
        measured.resident.insert(name.clone(), envoy.resident_bytes()?);
    }
    Ok(measured)
}

async fn warmed_up(variant: &Variant, envoy: &Envoy, upstream: &Upstream) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    for asked in &variant.workloads {
        let mut load = Load::connect(envoy.address(), &asked.workload).await?;
        load.run(FEWEST_IN_A_TURN).await?;
        load.probe().await?;
        asked.expected.check(&upstream.last_probe()?, &asked.workload).with_context(|| asked.workload.name.clone())?;
        let requests = per_turn(&mut load).await?;
        cells.push(Cell {
            name: (variant.name.clone(), asked.workload.name.clone()),
            load,
            clock: envoy.cpu(),
            beside: variant.beside.clone(),
            requests,
        });
    }
    Ok(cells)
}

/// How many requests a turn takes, learned while the gateway warms up.
async fn per_turn(load: &mut Load) -> Result<usize> {
    let started = Instant::now();
    let mut batch = FEWEST_IN_A_TURN;
    loop {
        let before = Instant::now();
        let sent = load.run(batch).await?;
        let took = before.elapsed().max(Duration::from_micros(1));
        let fitting = (sent as f64 * TURN.as_secs_f64() / took.as_secs_f64()) as usize;
        batch = fitting.clamp(FEWEST_IN_A_TURN, batch * 2);
        if started.elapsed() > WARM_UP {
            return Ok(batch);
        }
    }
}

// === impl Cell ===

impl Cell {
    async fn turn(&mut self, samples: &mut Samples) -> Result<()> {
        self.load.run((self.requests as f64 * UNCOUNTED) as usize).await?;
        let before = self.clock.read().await?;
        let beside_before = match &self.beside {
            Some(clock) => Some(clock.read().await?),
            None => None,
        };
        let sent = self.load.run(self.requests).await? as f64;
        samples.gateway.push(self.clock.read().await?.saturating_sub(before) as f64 / 1_000.0 / sent);
        if let (Some(clock), Some(before)) = (&self.beside, beside_before) {
            samples.beside.push(clock.read().await?.saturating_sub(before) as f64 / 1_000.0 / sent);
        }
        Ok(())
    }
}
