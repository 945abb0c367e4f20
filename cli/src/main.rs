//! The `modelway` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod envoy;
mod mesh_file;
mod schema;
mod serve;
mod up;

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
    Serve(serve::Args),
    /// Start a whole mesh on this machine: runtimes, and Envoy with the filter before them.
    Up(up::Args),
    /// Print the JSON Schema of a mesh file.
    Schema(schema::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Up(args) => up::run(&args),
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
