//! `modelway up`: a whole mesh on this machine, from one mesh file.
//!
//! Runtimes and Envoy are child processes. Whatever happens, an error, a signal, a panic or the end
//! of the command, they are stopped before `up` returns.

mod gateway;
mod probe;
mod process;
mod programs;
mod progress;
mod signals;

use std::ffi::OsString;
use std::future::Future;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::Context;
use futures_util::future::select_all;
use tokio::process::{Child, Command};

use self::gateway::Gateway;
use self::process::Process;
use self::programs::Programs;
use self::progress::Progress;
use self::signals::Signals;
use crate::mesh_file::Mesh;

/// Arguments of `modelway up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Mesh file: what the gateway routes and what runs it.
    file: PathBuf,
    /// The filter's module.
    #[arg(
        long,
        env = "MODELWAY_FILTER",
        value_name = "FILE",
        default_value = "target/wasm32-wasip1/wasm/modelway_filter.wasm"
    )]
    filter: PathBuf,
    /// The Envoy to start [default: .tools/venv/bin/envoy, else the one on the PATH].
    #[arg(long, env = "MODELWAY_ENVOY", value_name = "FILE")]
    envoy: Option<PathBuf>,
    /// The gateway's port instead of the mesh file's; 0 takes one that is free.
    #[arg(long)]
    port: Option<u16>,
    /// Show all that Envoy and the runtimes log.
    #[arg(long, short)]
    verbose: bool,
    /// Run this once the mesh is up, stop the mesh with it and return its status. It finds the
    /// gateway in MODELWAY_GATEWAY and Envoy's admin interface in MODELWAY_ADMIN.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What is running. Dropped, it kills what was not stopped.
#[derive(Default)]
struct Running {
    /// In the order they were started.
    processes: Vec<Process>,
    command: Option<Child>,
}

/// Starts the mesh and stays until a signal, or until the command ends.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut mesh = Mesh::read(&args.file)?;
    if let Some(port) = args.port {
        mesh.deployment.gateway.port = port;
    }
    mesh.deployment.gateway.admin_port = 0;
    let programs = Programs::find(args, &mesh.deployment.runtimes)?;
    // One thread: the kernel ties the death signal of a child to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let mut running = Running::default();
        let outcome = tokio::select! {
            signal = signals.next() => Ok(if args.command.is_empty() { ExitCode::SUCCESS } else { signal.exit_code() }),
            outcome = running.start_and_stay(args, &mesh, &programs) => outcome,
        };
        running.stop().await;
        outcome
    })
}

// === impl Running ===

impl Running {
    async fn start_and_stay(&mut self, args: &Args, mesh: &Mesh, programs: &Programs) -> anyhow::Result<ExitCode> {
        let progress = Progress::start();
        gateway::check_port(&mesh.deployment.gateway)?;
        progress.say(&format!("starting {} runtimes and Envoy", mesh.deployment.runtimes.count));
        let runtimes = self.start_runtimes(args, mesh, programs, &progress).await?;

        // Held until the end: Envoy reads the filter's module from where the bootstrap says.
        let folder = tempfile::Builder::new().prefix("modelway-up-").tempdir().context("cannot make a folder")?;
        let mut gateway = Gateway::new(mesh, programs, &runtimes, folder.path())?;
        self.processes.push(Process::start("envoy", gateway.command(args.verbose), true)?);
        self.unless_one_stops(gateway.listen()).await?;
        progress.say(&format!("gateway at {}, its admin interface at {}", gateway.url(), gateway.admin_url()));

        let models = mesh.models();
        self.unless_one_stops(gateway.answers(&models)).await?;
        match models.as_slice() {
            [] => progress.say("ready"),
            models => progress.say(&format!("ready, through the filter, over REST and gRPC: {}", models.join(", "))),
        }
        match args.command.split_first() {
            None => {
                progress.show_examples(&mesh.deployment.examples, &gateway, &models);
                self.unless_one_stops(std::future::pending()).await
            }
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).kill_on_drop(true);
                command.env("MODELWAY_GATEWAY", gateway.url()).env("MODELWAY_ADMIN", gateway.admin_url());
                let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
                self.stay_with(child).await
            }
        }
    }

    async fn start_runtimes(
        &mut self,
        args: &Args,
        mesh: &Mesh,
        programs: &Programs,
        progress: &Progress,
    ) -> anyhow::Result<Vec<SocketAddr>> {
        let first = self.processes.len();
        for number in 1..=mesh.deployment.runtimes.count.get() {
            let command = programs.runtime(&mesh.deployment);
            self.processes.push(Process::start(&format!("runtime-{number}"), command, args.verbose)?);
        }
        let mut addresses = Vec::new();
        for process in self.processes.iter_mut().skip(first) {
            let line = process.line_after("listening on ").await?;
            let address = line.split_whitespace().next().unwrap_or_default();
            addresses.push(address.parse().with_context(|| format!("{} listens on `{line}`", process.name()))?);
        }
        for (index, address) in addresses.iter().enumerate() {
            self.unless_one_stops(probe::runtime_is_ready(*address)).await?;
            progress.say(&format!("runtime-{} ready at {address}", index + 1));
        }
        Ok(addresses)
    }

    /// Runs `work`, unless one of the processes ends first: that is the error then.
    async fn unless_one_stops<T>(&mut self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let ends = self.processes.iter_mut().map(|process| Box::pin(process.ended()));
        tokio::select! {
            result = work => result,
            (error, _, _) = select_all(ends) => Err(error),
        }
    }

    async fn stay_with(&mut self, child: Child) -> anyhow::Result<ExitCode> {
        let child = self.command.insert(child);
        let ends = self.processes.iter_mut().map(|process| Box::pin(process.ended()));
        let status = tokio::select! {
            status = child.wait() => status.context("cannot wait for the command")?,
            (error, _, _) = select_all(ends) => return Err(error),
        };
        Ok(exit_code(status))
    }

    /// Stops all: those who ask first, those who answer last.
    async fn stop(&mut self) {
        if let Some(command) = &mut self.command {
            process::terminate(command).await;
        }
        for process in self.processes.iter_mut().rev() {
            process.stop().await;
        }
    }
}

/// What a shell would report for that status.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
