//! What the terminal shows while it runs.

use std::cell::Cell;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

/// How often a line is written where no terminal overwrites the last one.
const INTERVAL: Duration = Duration::from_secs(20);

/// Lines on the standard error; the tables go to the standard output.
pub struct Progress {
    is_terminal: bool,
    last_line: Cell<Duration>,
}

// === impl Progress ===

impl Progress {
    /// Of this process.
    pub fn on_standard_error() -> Self {
        Self { is_terminal: stderr().is_terminal(), last_line: Cell::new(Duration::ZERO) }
    }

    /// One line that stays.
    pub fn say(&self, text: &str) {
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        // Nobody watches: nothing is lost.
        let _ = writeln!(stderr(), "{clear}    {text}");
    }

    /// How far the rounds are.
    pub fn rounds(&self, rounds: u32, took: Duration, of: Duration) {
        let text = format!("round {rounds}, {:.0} s of about {:.0} s", took.as_secs_f64(), of.as_secs_f64());
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K    {text}");
        } else if took.saturating_sub(self.last_line.get()) > INTERVAL {
            self.last_line.set(took);
            self.say(&text);
        }
    }
}
