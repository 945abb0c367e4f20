//! The signals that end a mesh.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C, a polite kill, and a terminal that closes.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// The signal that came.
pub(crate) struct Received(SignalKind);

// === impl Signals ===

impl Signals {
    /// From here on these signals no longer end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Received {
        tokio::select! {
            _ = self.interrupt.recv() => Received(SignalKind::interrupt()),
            _ = self.terminate.recv() => Received(SignalKind::terminate()),
            _ = self.hangup.recv() => Received(SignalKind::hangup()),
        }
    }
}

// === impl Received ===

impl Received {
    /// What a shell reports for a process that the signal ended.
    pub(crate) fn exit_code(&self) -> ExitCode {
        u8::try_from(128 + self.0.as_raw_value()).map_or(ExitCode::FAILURE, ExitCode::from)
    }
}
