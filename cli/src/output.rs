//! How a command tells what it found.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

/// The choice between words and JSON.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Output {
    /// What is written to standard output.
    #[arg(long = "output", short = 'o', value_enum, default_value_t = Form::Text, value_name = "FORM")]
    form: Form,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// One JSON document, for programs.
    Json,
}

// === impl Output ===

impl Output {
    /// Writes to standard output, as JSON or as `text` has it.
    pub(crate) fn show(self, json: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let written = match self.form {
            Form::Text => text(),
            Form::Json => format!("{}\n", serde_json::to_string_pretty(json)?),
        };
        print(&written)
    }
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A remark beside the output.
#[allow(clippy::print_stderr)]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
