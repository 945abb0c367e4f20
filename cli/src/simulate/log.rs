//! Requests of a log: a JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use crate::request::{Request, from_json};

/// Hands every request of the file to `take`; an error tells the line.
pub(super) fn requests(file: &Path, mut take: impl FnMut(Request)) -> anyhow::Result<()> {
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
    };
    for (number, line) in reader.lines().enumerate() {
        let place = || format!("{}:{}", file.display(), number + 1);
        let line = line.with_context(place)?;
        if !line.trim().is_empty() {
            take(from_json(line.as_bytes()).with_context(place)?);
        }
    }
    Ok(())
}
