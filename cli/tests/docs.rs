//! Runs every example of docs/cli.md, in order, in a copy of docs/cli, and compares what it prints.
//!
//! `UPDATE_DOCS=1 cargo test -p modelway --test docs` writes what they print into the page.

#![allow(clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// What a shell prints, standard output and standard error together.
fn printed(command: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_modelway"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a folder").display());
    let mut shell = Command::new("sh");
    shell.current_dir(folder).env("PATH", path).args(["-c", &format!("exec 2>&1\n{command}")]);
    String::from_utf8(shell.output().expect("a shell").stdout).expect("text")
}

/// The page with what its commands print.
fn with_outputs(page: &str, folder: &Path) -> String {
    let mut text = String::new();
    let mut is_console = false;
    for line in page.lines() {
        if line == "```console" {
            is_console = true;
        } else if line == "```" {
            is_console = false;
        } else if is_console && !line.starts_with("$ ") {
            continue;
        }
        text.push_str(line);
        text.push('\n');
        if let Some(command) = line.strip_prefix("$ ").filter(|_| is_console) {
            text.push_str(&printed(command, folder));
        }
    }
    text
}

#[test]
fn every_example_prints_what_the_page_says() {
    let folder = TempDir::new().expect("a folder");
    for file in std::fs::read_dir(docs().join("cli")).expect("the examples").flatten() {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).expect("a copy");
    }
    let page = std::fs::read_to_string(docs().join("cli.md")).expect("the page");
    let real = with_outputs(&page, folder.path());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(docs().join("cli.md"), real).expect("written");
        return;
    }
    for (written, real) in page.lines().zip(real.lines()) {
        assert_eq!(written, real, "docs/cli.md: UPDATE_DOCS=1 cargo test -p modelway --test docs");
    }
    assert_eq!(page.lines().count(), real.lines().count());
}

#[test]
fn every_file_of_the_examples_is_used_by_one() {
    let page = std::fs::read_to_string(docs().join("cli.md")).expect("the page");
    for file in std::fs::read_dir(docs().join("cli")).expect("the examples").flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        assert!(page.contains(&name), "docs/cli/{name} is used by no example");
    }
}
