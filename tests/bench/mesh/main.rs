//! What a runtime does with many more models than it has room for: `make bench-mesh`.
//!
//! Every part starts real processes of `modelway serve` over the [`models`] that scikit-learn has made, and asks them
//! over the wire; each answer is compared with scikit-learn's ([`load`]). The raw samples go to a file that
//! `tests/bench/report.py` judges.

#![forbid(unsafe_code)]

mod client;
mod cold;
mod density;
mod hits;
mod hot;
mod load;
mod models;
mod question;
mod runtime;
mod storage;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use modelway_bench::progress::Progress;
use modelway_bench::raw::{Raw, Row};
use tokio::runtime::Builder;

use crate::models::Models;
use crate::runtime::Program;

/// Measures a runtime with many more models than it has room for.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long the runtime is under load, in seconds.
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Only these parts.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// The program `modelway`. The mesh of `hits` takes it from the variable only.
    #[arg(long, env = "MODELWAY_PROGRAM", default_value = "target/debug/modelway")]
    modelway: PathBuf,
    /// What `make_models.py` has made.
    #[arg(long, default_value = "target/mesh-models")]
    models: PathBuf,
    /// Where the raw samples go.
    #[arg(long, default_value = "target/bench/raw/mesh.json")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Part {
    /// Requests a second over all models.
    Density,
    /// How long a model takes that is not in memory.
    Cold,
    /// What loads do to a model that is.
    Hot,
    /// What it costs to know what stands in storage.
    Storage,
    /// What several runtimes behind a gateway have in memory.
    Hits,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // One thread for all clients: what it does not take is the runtime's.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (rows, rounds) = runtime.block_on(measure(&arguments))?;
    Raw::new(rows, rounds).write(&arguments.out)
}

async fn measure(arguments: &Arguments) -> Result<(Vec<Row>, u32)> {
    let progress = Progress::on_standard_error();
    let program = Program::new(&arguments.modelway)?;
    let models = Arc::new(Models::read(&arguments.models)?);
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let (mut rows, mut rounds) = (Vec::new(), 0);
    if wants(Part::Density) {
        let measured = density::measure(&program, &models, Duration::from_secs(arguments.seconds), &progress).await?;
        rounds = measured.rounds;
        rows.extend(measured.rows);
    }
    if wants(Part::Cold) {
        progress.say("cold loads, one after another");
        rows.extend(cold::measure(&program, &models).await?);
    }
    if wants(Part::Hot) {
        progress.say("a hot model beside cold loads");
        rows.extend(hot::measure(&program, &models).await?);
    }
    if wants(Part::Storage) {
        progress.say("what stands in storage");
        rows.extend(storage::measure(&program, &models).await?);
    }
    if wants(Part::Hits) {
        rows.extend(hits::measure(&program, &progress).await?);
    }
    Ok((rows, rounds))
}
