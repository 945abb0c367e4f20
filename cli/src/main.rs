//! The `modelway` binary: the formats of this build, and no others.

use std::process::ExitCode;

fn main() -> ExitCode {
    modelway::run([])
}
