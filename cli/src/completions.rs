//! `modelway completions`: scripts that complete arguments in a shell.

use clap::Command;
use clap_complete::Shell;

use crate::output;

/// Arguments of `modelway completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For bash: `source <(modelway completions bash)`.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args, command: &mut Command) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "modelway", &mut script);
    output::print(&String::from_utf8(script)?)
}
