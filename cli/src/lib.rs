//! The program `modelway` as a library: [`run`] is its `main`, for a binary with model types of your own.
//!
//! Who has a model that no format reads, rules, a call into another library, a few lines of arithmetic, writes two
//! implementations: [`BatchModel`](runtime::BatchModel), a batch in and a batch out, and [`Format`], which says which
//! files are such a model and loads them. The binary then has all that `modelway` has, with them in it: REST and
//! gRPC, residency, storage, KServe ModelMesh's interface, `up` and the rest. A whole one:
//!
//! ```no_run
//! use std::path::PathBuf;
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use modelway::runtime::formats::{Format, LoadError, ModelFiles};
//! use modelway::runtime::{BatchModel, Batched, Error, InferRequest, Model, ModelMetadata, Parameters, Tensor, TensorData};
//!
//! /// Multiplies every number by the one in its file.
//! struct Scale(f32, ModelMetadata);
//!
//! impl BatchModel for Scale {
//!     fn metadata(&self) -> &ModelMetadata { &self.1 }
//!     fn size_bytes(&self) -> u64 { (size_of::<Self>() + self.1.heap_bytes()) as u64 }
//!     fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
//!         let [input] = request.inputs.as_slice() else { return Err(Error::invalid("expected one input")) };
//!         let TensorData::Fp32(values) = input.data() else { return Err(Error::invalid("expected FP32")) };
//!         let scaled = TensorData::Fp32(values.iter().map(|value| value * self.0).collect());
//!         Ok((vec![Tensor::new("scaled", input.shape().to_vec(), scaled)?], Parameters::new()))
//!     }
//! }
//!
//! /// Files such as `double.scale`, which hold a number.
//! struct ScaleFormat;
//!
//! impl Format for ScaleFormat {
//!     fn name(&self) -> &'static str { "scale" }
//!     fn recognises(&self, files: &ModelFiles) -> bool { files.is_format(self.name(), &["scale"]) }
//!     fn load(&self, files: &ModelFiles) -> Result<Arc<dyn Model>, LoadError> {
//!         let text = files.read_text()?;
//!         let factor = text.trim().parse().map_err(|_| files.malformed("expected a number"))?;
//!         Ok(Arc::new(Batched::new(Scale(factor, ModelMetadata::default()))))
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     modelway::run([Arc::new(ScaleFormat) as Arc<dyn Format>])
//! }
//! ```
//!
//! `docs/custom-models.md` goes through it, and has a model that streams; `examples/text-labeller` is a whole program
//! with its tests.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
/// The model server, with all that a model type of your own needs.
pub use modelway_runtime as runtime;
use modelway_runtime::formats::Format;

mod check;
mod completions;
mod decide;
mod explain;
mod faults;
mod mesh_file;
mod output;
mod render;
mod request;
mod schema;
mod serve;
mod simulate;
mod source;
mod split;
mod stand_in;
mod up;
mod weights;
mod yaml;

/// The examples of the page, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/custom-models.md")]
struct CustomModels;

/// A model service mesh: a gateway filter and a model server.
#[derive(Debug, Parser)]
#[command(name = "modelway", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of a folder over REST and gRPC.
    Serve(Box<serve::Args>),
    /// Start a whole mesh on this machine: runtimes, and Envoy with the filter before them.
    Up(up::Args),
    /// Tell all that is wrong with mesh files, what their rules and keys need, and what is hardly meant.
    Check(check::Args),
    /// Tell where one request goes, and why.
    Explain(Box<explain::Args>),
    /// Tell who would get what, of many users or of a log, and who would move.
    Simulate(simulate::Args),
    /// Write the manifests for Istio, or the configuration of a plain Envoy, from a mesh file.
    Render(render::Args),
    /// Give variants other weights, in the file, and change nothing else in it.
    SetWeight(weights::SetArgs),
    /// Give one variant all of a model's split.
    Promote(weights::PromoteArgs),
    /// Go back to the weights before the last `set-weight` or `promote`.
    Rollback(weights::RollbackArgs),
    /// Print a script that completes this program's arguments in a shell.
    Completions(completions::Args),
    /// Print the JSON Schema of a mesh file.
    Schema(schema::Args),
}

/// The whole program: reads the command line and the environment, does what they say, and tells how it ended.
///
/// `formats` are model types of your own. They are asked before the built-in ones whether a model is theirs, so that
/// they can also take over files that a built-in format would read.
pub fn run(formats: impl IntoIterator<Item = Arc<dyn Format>>) -> ExitCode {
    let called = match stand_in::Call::read(std::env::args_os(), std::env::vars_os()) {
        Ok(called) => called,
        Err(error) => {
            report(&error);
            return ExitCode::FAILURE;
        }
    };
    let matches = called.settings.apply(Cli::command()).get_matches_from(&called.arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Serve(args) => serve::run(*args, called.settings.ignored(), formats).map(|()| ExitCode::SUCCESS),
        Command::Up(args) => up::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Simulate(args) => simulate::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Completions(args) => completions::run(&args, &mut Cli::command()).map(|()| ExitCode::SUCCESS),
        Command::Render(args) => render::run(&args).map(|()| ExitCode::SUCCESS),
        Command::SetWeight(args) => weights::set(&args).map(|()| ExitCode::SUCCESS),
        Command::Promote(args) => weights::promote(&args).map(|()| ExitCode::SUCCESS),
        Command::Rollback(args) => weights::rollback(&args).map(|()| ExitCode::SUCCESS),
        Command::Schema(args) => schema::run(&args).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// The last word before a failing exit: the error and its causes on one line.
#[allow(clippy::print_stderr)]
fn report(error: &anyhow::Error) {
    eprintln!("modelway: {error:#}");
}
