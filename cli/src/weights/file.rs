//! A file that is replaced as a whole, or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

/// Replaces the file's text, unless it is no longer the text that was read.
pub(super) fn replace(file: &Path, read: &str, text: &str) -> anyhow::Result<()> {
    // A link stays a link: what it leads to is replaced.
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    let cannot = || format!("cannot write {}", file.display());
    let folder = file.parent().context("a file without a folder")?;
    let mut new = tempfile::Builder::new().prefix(".modelway-").tempfile_in(folder).with_context(cannot)?;
    new.write_all(text.as_bytes()).with_context(cannot)?;
    new.as_file().set_permissions(std::fs::metadata(&file)?.permissions()).with_context(cannot)?;
    new.as_file().sync_all().with_context(cannot)?;
    if std::fs::read_to_string(&file)? != read {
        bail!("{} was changed by somebody else just now: run this again", file.display());
    }
    new.persist(&file).with_context(cannot)?;
    Ok(())
}
