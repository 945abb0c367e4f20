//! `modelway simulate`: who would get what, of many users or of a log, and who would move.

mod chi_squared;
mod crowd;
mod expected;
mod log;
mod movement;
mod plot;
mod report;
mod tally;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;
use modelway_decision::Route;
use modelway_decision::config::Timestamp;
use serde::Serialize;

use self::movement::{Movement, Moves};
use self::tally::{Share, Tally};
use crate::decide::decide;
use crate::faults;
use crate::mesh_file::Mesh;
use crate::output::{Output, say};
use crate::request::{self, Request};

/// Arguments of `modelway simulate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mesh file, or another file that holds a routing.
    file: PathBuf,
    /// How many users ask for each model, each with a key of its own.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "log")]
    users: u64,
    /// Requests instead of users: a JSON object a line, `{method, path, headers, body}`; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Only this model; may come several times. Default: all that are listed.
    #[arg(long = "model", value_name = "NAME", conflicts_with = "log")]
    models: Vec<String>,
    /// A header that every user sends, `name: value`.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", conflicts_with = "log")]
    headers: Vec<String>,
    /// Another configuration that would replace it: who moves.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// When they ask, for ramps: 2026-11-23T09:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Begins the draws of requests without a key.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A plot of the shares, and of who moves.
    #[arg(long, value_enum)]
    plot: Option<Plot>,
    /// Where the SVG goes.
    #[arg(long, value_name = "FILE", default_value = "simulate.svg")]
    plot_file: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Plot {
    /// A file, `--plot-file`.
    Svg,
    /// Bars behind the report.
    Terminal,
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Simulated {
    requests: u64,
    /// Requests that are no calls for a model.
    passed: u64,
    /// Requests that the gateway answers itself, with the first of its answers.
    answered: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_answer: Option<String>,
    shares: Vec<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    movements: Option<Vec<Movement>>,
}

/// Simulates and reports.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mesh = Mesh::read(&args.file)?;
    let other = args.against.as_deref().map(Mesh::read).transpose()?;
    let now = args.at.map_or_else(request::now, |at| at.nanoseconds);
    let mut simulation = Simulation::new(&mesh, other.as_ref(), now, args.seed);
    match &args.log {
        Some(file) => log::requests(file, |mut request| {
            request.head.now = now;
            simulation.add(&request);
        })?,
        None => {
            let models = chosen_models(&mesh, &args.models)?;
            simulation.progress.total = Some(args.users * models.len() as u64);
            for model in models {
                let crowd = crowd::Crowd::of(&mesh, model, &args.headers, now)?;
                for number in 0..args.users {
                    simulation.add(&crowd.request(number));
                }
            }
        }
    }
    let simulated = simulation.finish();
    if args.plot == Some(Plot::Svg) {
        let svg = plot::svg(&simulated);
        std::fs::write(&args.plot_file, svg).with_context(|| format!("cannot write {}", args.plot_file.display()))?;
        say(&format!("wrote {}", args.plot_file.display()));
    }
    args.output.show(&simulated, || {
        let bars = if args.plot == Some(Plot::Terminal) { plot::terminal(&simulated) } else { String::new() };
        report::text(&simulated) + &bars
    })
}

fn chosen_models(mesh: &Mesh, names: &[String]) -> anyhow::Result<Vec<usize>> {
    let models = || mesh.config.models.iter();
    if names.is_empty() {
        if mesh.config.models.is_empty() {
            bail!("no models are listed: there is nothing to simulate");
        }
        return Ok((0..mesh.config.models.len()).collect());
    }
    let position = |name: &String| {
        let is_it = |model: &modelway_decision::config::ModelEntry| model.name == *name || model.aliases.contains(name);
        models().position(is_it).with_context(|| {
            let meant = faults::nearest(name, models().map(|model| model.name.as_str()));
            let meant = meant.map(|name| format!(", did you mean '{name}'?")).unwrap_or_default();
            format!("there is no model '{name}'{meant}")
        })
    };
    names.iter().map(position).collect()
}

struct Simulation<'m> {
    mesh: &'m Mesh,
    tally: Tally,
    other: Option<(&'m Mesh, Moves)>,
    now: u64,
    seed: u64,
    requests: u64,
    passed: u64,
    answered: u64,
    first_answer: Option<String>,
    progress: Progress,
}

// === impl Simulation ===

impl<'m> Simulation<'m> {
    fn new(mesh: &'m Mesh, other: Option<&'m Mesh>, now: u64, seed: u64) -> Self {
        Self {
            mesh,
            tally: Tally::default(),
            other: other.map(|other| (other, Moves::default())),
            now,
            seed,
            requests: 0,
            passed: 0,
            answered: 0,
            first_answer: None,
            progress: Progress::new(),
        }
    }

    fn add(&mut self, request: &Request) {
        self.requests += 1;
        let random = draw(self.seed, self.requests);
        let before = decide(&self.mesh.router, request, random, |route, _| match route {
            Route::Pass => {
                self.passed += 1;
                None
            }
            Route::Reply(reply) => {
                self.answered += 1;
                self.first_answer.get_or_insert_with(|| format!("{} {}", reply.status, reply.message));
                None
            }
            Route::To(decision) => {
                self.tally.add(decision);
                Some(movement::Place::of(decision))
            }
        });
        if let Some((other, moves)) = &mut self.other {
            let after = decide(&other.router, request, random, |route, _| match route {
                Route::To(decision) => Some(movement::Place::of(decision)),
                _ => None,
            });
            moves.add(before.as_ref(), after.as_ref());
        }
        self.progress.tell(self.requests);
    }

    fn finish(self) -> Simulated {
        let movements = self.other.map(|(other, moves)| moves.finish(&self.mesh.config, &other.config, self.now));
        Simulated {
            requests: self.requests,
            passed: self.passed,
            answered: self.answered,
            first_answer: self.first_answer,
            shares: self.tally.shares(&self.mesh.config, self.now),
            movements,
        }
    }
}

/// A line a second for whoever watches.
struct Progress {
    total: Option<u64>,
    is_watched: bool,
    last: Instant,
}

// === impl Progress ===

impl Progress {
    fn new() -> Self {
        Self { total: None, is_watched: std::io::stderr().is_terminal(), last: Instant::now() }
    }

    fn tell(&mut self, done: u64) {
        // The clock costs more than a decision.
        if !self.is_watched || !done.is_multiple_of(8192) || self.last.elapsed() < Duration::from_secs(1) {
            return;
        }
        self.last = Instant::now();
        match self.total {
            Some(total) => say(&format!("{done} of {total} requests")),
            None => say(&format!("{done} requests")),
        }
    }
}

/// The draw of a request of this number (SplitMix64).
fn draw(seed: u64, number: u64) -> u64 {
    let state = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
