//! What `up` tells while it starts.

use std::io::Write;
use std::time::Instant;

use super::gateway::Gateway;

/// Lines on standard error, each with the time since the start; standard output is the command's.
pub(crate) struct Progress {
    started: Instant,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub(crate) fn say(&self, what: &str) {
        write_line(&format!("[{:6.2} s] {what}", self.started.elapsed().as_secs_f64()));
    }

    /// What to try, and how to stop.
    pub(crate) fn show_examples(&self, examples: &[String], gateway: &Gateway, models: &[String]) {
        let url = gateway.url();
        write_line("\nTry, from another shell:\n");
        for example in examples {
            write_line(&format!("{}\n", example.trim_end().replace("$MODELWAY_GATEWAY", &url)));
        }
        if examples.is_empty() {
            let path = models.first().map_or("/v2".to_owned(), |model| format!("/v2/models/{model}"));
            write_line(&format!("curl {url}{path}\n"));
        }
        write_line("Ctrl-C stops it.");
    }
}

fn write_line(line: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}
