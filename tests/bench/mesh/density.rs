//! Requests a second over many more models than there is room for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use modelway_bench::cpu::CpuClock;
use modelway_bench::progress::Progress;
use modelway_bench::raw::{Of, Row, Side};
use modelway_tests::ideal_lru::IdealLru;
use modelway_tests::zipf::Zipf;

use crate::client::Client;
use crate::load::{Load, Run};
use crate::models::Models;
use crate::runtime::{Program, Runtime};

/// The n-th most popular model is asked 1/n times as often as the first: no model is hot by itself, and none is idle.
const EXPONENT: f64 = 1.0;
/// Of the models' bytes, what there is room for.
const ROOM: f64 = 0.25;
const CONNECTIONS: usize = 16;
/// What ModelMesh has published: requests a second on 8 vCPU and 64 GB.
const PUBLISHED: f64 = 1000.0;
/// The runtime and its clients have them together.
const CORES: f64 = 2.0;
/// Ten times that.
const RATE: u32 = 10_000;
/// How long one round saturates the runtime, and how long it keeps the rate.
const TURN: Duration = Duration::from_secs(2);
/// Models of which the size in memory is taken.
const SAMPLED: usize = 500;

/// The rows, and the rounds that they are of.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) rounds: u32,
}

/// One list a row.
#[derive(Default)]
struct Samples {
    rate: Vec<f64>,
    saturated_median: Vec<f64>,
    saturated_p99: Vec<f64>,
    paced_median: Vec<f64>,
    paced_p99: Vec<f64>,
    paced_rate: Vec<f64>,
    hit_ratio: Vec<f64>,
    ideal_hit_ratio: Vec<f64>,
    runtime_cpu: Vec<f64>,
    client_cpu: Vec<f64>,
}

/// A runtime under this traffic, and what an ideal cache would do with it.
struct Bench<'a> {
    models: &'a Arc<Models>,
    runtime: &'a Runtime,
    load: Load,
    ideal: IdealLru,
    loads: f64,
}

pub(crate) async fn measure(
    program: &Program,
    models: &Arc<Models>,
    time: Duration,
    progress: &Progress,
) -> Result<Measured> {
    let mean_bytes = mean_bytes(program, models).await?;
    let memory = (mean_bytes * models.count() as f64 * ROOM) as u64;
    let empty = program.serve(TempDir::new()?.path(), &[]).await?.memory("VmRSS")?;
    let runtime = program.serve(&models.folder(), &["--memory", &memory.to_string()]).await?;
    let registered = (runtime.memory("VmRSS")? - empty) / models.count() as f64;
    let mut bench = Bench::new(models, &runtime).await?;
    progress.say("filling the memory");
    bench.fill().await?;
    let mut samples = Samples::default();
    let began = std::time::Instant::now();
    let mut rounds = 0;
    while rounds < 3 || began.elapsed() < time {
        rounds += 1;
        bench.round(&mut samples).await?;
        progress.rounds(rounds, began.elapsed(), time);
    }
    let peak = runtime.memory("VmHWM")?;
    let ready = runtime.metric("modelway_models{state=\"ready\"}").await?;
    let resident = runtime.metric("modelway_resident_bytes").await?;
    ensure!(resident <= memory as f64, "{resident} bytes in memory, the budget is {memory}");
    let count = models.count();
    let name = |what: &str| format!("mesh density: {what}");
    let all = format!("{count} models, room for {:.0} % of their bytes, Zipf {EXPONENT}", ROOM * 100.0);
    let ours = |what: &str, samples: Vec<f64>| Side::new(format!("{all}; {what}"), samples);
    let published = vec![PUBLISHED; samples.rate.len()];
    let closed = format!("{CONNECTIONS} connections, half REST, half gRPC, each asks when it has its answer");
    let paced = format!("{RATE} requests a second, from when each was due");
    let at_start = "VmRSS at the start, less that of a runtime without models";
    let both = samples.runtime_cpu.iter().zip(&samples.client_cpu);
    let carried = both.map(|(runtime, client)| CORES * 1e6 / (runtime + client)).collect();
    let rows = vec![
        Row::against(
            &name(&format!("{count} models, a quarter in memory, REST and gRPC")),
            "requests/s",
            Of::OursToPeer,
            ours(&closed, samples.rate),
            Side::new("ModelMesh's published figure, on 8 vCPU and 64 GB", published),
        )
        .goal(">= 10"),
        Row::alone(&name("p99 at 10,000 requests/s"), "ms", ours(&paced, samples.paced_p99)).goal("<= 5"),
        Row::alone(&name("median at 10,000 requests/s"), "ms", ours(&paced, samples.paced_median)),
        Row::alone(&name("answered of 10,000 requests/s"), "requests/s", ours(&paced, samples.paced_rate)),
        Row::alone(&name("p99, saturated"), "ms", ours(&closed, samples.saturated_p99)).goal("<= 5"),
        Row::alone(&name("median, saturated"), "ms", ours(&closed, samples.saturated_median)),
        Row::against(
            &name("hit ratio, against an ideal LRU"),
            "of requests",
            Of::OursToPeer,
            ours("requests without a load", samples.hit_ratio),
            Side::new("one LRU of the same part of all bytes on the same trace", samples.ideal_hit_ratio),
        ),
        Row::alone(&name("what two cores carry, by the CPU below"), "requests/s", ours(&closed, carried)),
        Row::alone(&name("CPU of the runtime"), "µs per request", ours(&closed, samples.runtime_cpu)),
        Row::alone(&name("CPU of the clients"), "µs per request", ours(&closed, samples.client_cpu)),
        Row::alone(&name("peak memory of the process"), "MB", Side::one("VmHWM, limit 4 GiB", peak / 1e6))
            .goal("<= 4294"),
        Row::alone(&name("memory of a model that is not loaded"), "KB", Side::one(at_start, registered / 1e3)),
        Row::alone(
            &name("memory of a model that is loaded"),
            "KB",
            Side::one("as it measures itself", mean_bytes / 1e3),
        ),
        Row::alone(&name("models in memory at the end"), "models", Side::one("by its metrics", ready)),
    ];
    Ok(Measured { rows, rounds })
}

/// Of some of the models, as the runtime measures them.
async fn mean_bytes(program: &Program, models: &Arc<Models>) -> Result<f64> {
    let runtime = program.serve(&models.folder(), &["--memory", "1GiB", "--poll-interval", "0"]).await?;
    let mut client = Client::rest(runtime.address(), models.rows()).await?;
    let step = (models.count() / SAMPLED).max(1);
    for question in (0..models.count()).step_by(step).filter_map(|model| models.question(model, 0)) {
        client.ask(&question).await?;
    }
    Ok(runtime.metric("modelway_resident_bytes").await? / runtime.loads().await?)
}

// === impl Bench ===

impl<'a> Bench<'a> {
    async fn new(models: &'a Arc<Models>, runtime: &'a Runtime) -> Result<Self> {
        let trace = Zipf::new(models.count(), EXPONENT, 1);
        let asked = models.clone();
        let ask = Box::new(move |model, drawn: usize| asked.question(model, drawn % asked.pictures()));
        let load = Load::connect(runtime.address(), CONNECTIONS, models.rows(), trace, ask).await?;
        let ideal = IdealLru::new((models.file_bytes().iter().sum::<u64>() as f64 * ROOM) as u64);
        Ok(Self { models, runtime, load, ideal, loads: 0.0 })
    }

    /// Until as much was evicted as there is room for.
    async fn fill(&mut self) -> Result<()> {
        while self.loads < self.models.count() as f64 * ROOM * 2.0 {
            let run = self.load.saturate(TURN).await?;
            self.account(&run).await?;
        }
        Ok(())
    }

    async fn round(&mut self, samples: &mut Samples) -> Result<()> {
        let (runtime, client) = (self.runtime.cpu(), CpuClock::of_this_thread()?);
        let before = (runtime.read_now()?, client.read_now()?);
        let run = self.load.saturate(TURN).await?;
        let after = (runtime.read_now()?, client.read_now()?);
        let requests = run.times.len() as f64;
        samples.rate.push(run.rate());
        samples.saturated_median.push(run.quantile(0.5));
        samples.saturated_p99.push(run.quantile(0.99));
        samples.runtime_cpu.push((after.0 - before.0) as f64 / 1e3 / requests);
        samples.client_cpu.push((after.1 - before.1) as f64 / 1e3 / requests);
        let (ratio, ideal) = self.account(&run).await?;
        samples.hit_ratio.push(ratio);
        samples.ideal_hit_ratio.push(ideal);
        let run = self.load.pace(TURN, RATE).await?;
        samples.paced_median.push(run.quantile(0.5));
        samples.paced_p99.push(run.quantile(0.99));
        samples.paced_rate.push(run.rate());
        self.account(&run).await?;
        Ok(())
    }

    /// The hit ratios of a run: the runtime's, and that of the ideal cache.
    async fn account(&mut self, run: &Run) -> Result<(f64, f64)> {
        let before = self.loads;
        self.loads = self.runtime.loads().await?;
        self.ideal.count_from_here();
        for &model in &run.asked {
            let bytes = self.models.file_bytes().get(model).copied().unwrap_or_default();
            self.ideal.ask(model, bytes);
        }
        Ok((1.0 - (self.loads - before) / run.asked.len() as f64, self.ideal.hit_ratio()))
    }
}
