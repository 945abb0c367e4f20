//! Writes the inputs that the fuzzers begin with: a folder for each target under the folder named.

use std::path::PathBuf;

// What is built with coverage calls into it.
use libfuzzer_sys as _;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("expected the folder to write to"));
    };
    for (target, inputs) in modelway_fuzz::seeds::all() {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), input)?;
        }
    }
    Ok(())
}
