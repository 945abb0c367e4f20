//! Lines for the gateway's log.

use super::abi;

/// A level by the ABI's number.
#[derive(Clone, Copy)]
enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

pub(crate) fn info(text: &str) {
    log(Level::Info, text);
}

pub(crate) fn warn(text: &str) {
    log(Level::Warn, text);
}

pub(crate) fn error(text: &str) {
    log(Level::Error, text);
}

/// Has a panic say where and why in the gateway's log before the instance dies of it.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| log(Level::Critical, &panic.to_string())));
}

fn log(level: Level, text: &str) {
    // There is nowhere to tell that it was refused.
    let _ = abi::log(level as i32, text.as_bytes());
}
