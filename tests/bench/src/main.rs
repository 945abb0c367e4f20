//! What the filter costs: `make bench`.
//!
//! Three parts: the module by itself ([`module`]), the decision by itself ([`decision`]), and gateways with our filter,
//! with none and with what people use instead, in one interleaved run ([`rounds`]). The raw samples go to a file that
//! `tests/bench/report.py` judges.

#![forbid(unsafe_code)]

mod bodies;
mod decision;
mod empty_module;
mod envoy;
mod ext_proc;
mod gateway_rows;
mod http_filters;
mod load;
mod module;
mod plan;
mod rounds;
mod routing;
mod threads;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use modelway_bench::{cpu, progress, raw};
use modelway_tests::host::filter_path;
use tokio::runtime::Builder;

use crate::ext_proc::Processor;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::raw::Raw;
use crate::rounds::Measured;
use crate::upstream::Upstream;

/// Measures what the filter costs a gateway, against Envoy without it and against what people use instead.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long the gateways are measured; 0: not at all.
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 200)]
    seconds: u64,
    /// Only gateways and workloads with one of these words in "variant / workload"; with it the other parts are left out.
    #[arg(long)]
    only: Vec<String>,
    /// Another module (.wasm or .wat) to be measured beside ours, any number of times.
    #[arg(long)]
    module: Vec<PathBuf>,
    /// How many requests the module must stand without growing; 0: not asked.
    #[arg(long, default_value_t = 1_000_000)]
    long_life: usize,
    /// The program that measures the decision; without it that part is left out.
    #[arg(long)]
    decision: Option<PathBuf>,
    /// The build of the filter whose allocator counts; without it that part is left out.
    #[arg(long)]
    counted: Option<PathBuf>,
    /// Where the raw samples go.
    #[arg(long, default_value = "target/bench/raw/filter.json")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let progress = Progress::on_standard_error();
    let mut rows = Vec::new();
    let runs_all = arguments.only.is_empty();
    if runs_all {
        rows.extend(module::rows(&filter_path(), arguments.counted.as_deref(), arguments.long_life, &progress)?);
    }
    if let Some(program) = arguments.decision.as_deref().filter(|_| runs_all) {
        progress.say("the decision by itself");
        rows.extend(decision::rows(program)?);
    }
    let measured = if arguments.seconds > 0 { gateways(&arguments, &progress)? } else { Measured::default() };
    let modules: Vec<String> =
        arguments.module.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    rows.extend(gateway_rows::rows_of_modules(&measured, &modules));
    rows.splice(0..0, gateway_rows::rows(&measured));
    Raw::new(rows, measured.rounds).write(&arguments.out)
}

fn gateways(arguments: &Arguments, progress: &Progress) -> Result<Measured> {
    let upstream = Upstream::start()?;
    let processor = Processor::start()?;
    let mut plan = Plan::new(&filter_path(), &processor)?;
    for module in &arguments.module {
        plan.add_module(module)?;
    }
    plan.only(&arguments.only);
    ensure!(!plan.variants.is_empty(), "no gateway and no workload has one of {:?} in its name", arguments.only);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(rounds::run(&plan, &upstream, Duration::from_secs(arguments.seconds), progress))
}
