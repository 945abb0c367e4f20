//! A model file that takes as long to read as the test likes.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Somebody writes the model for whoever reads the file, as often as that is done.
pub(crate) struct Writer {
    ended: Sender<()>,
    thread: JoinHandle<()>,
}

/// Makes a file whose reader waits until somebody writes.
pub(crate) fn make(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

// === impl Writer ===

impl Writer {
    pub(crate) fn start(path: PathBuf, model: &Path) -> Self {
        let model = std::fs::read(model).expect("a model");
        let (ended, until) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            while until.recv_timeout(Duration::from_millis(2)) == Err(RecvTimeoutError::Timeout) {
                let _ = write(&path, &model);
            }
        });
        Self { ended, thread }
    }

    pub(crate) fn stop(self) {
        self.ended.send(()).expect("the writer waits for it");
        self.thread.join().expect("it wrote");
    }
}

/// Fails where nobody reads.
fn write(path: &Path, mut bytes: &[u8]) -> std::io::Result<()> {
    /// Linux's `O_NONBLOCK`.
    const NONBLOCK: i32 = 0o4000;
    let mut pipe = std::fs::File::options().write(true).custom_flags(NONBLOCK).open(path)?;
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
