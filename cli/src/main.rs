//! The `modelway` binary.

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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

fn main() -> ExitCode {
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
        Command::Serve(args) => serve::run(*args, called.settings.ignored()).map(|()| ExitCode::SUCCESS),
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
