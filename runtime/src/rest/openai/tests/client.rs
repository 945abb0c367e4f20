//! OpenAI's own client, a Python program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::testing::Ruler;

/// Python starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// With the `openai` package, as `make setup` installs it.
fn python() -> PathBuf {
    let installed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python");
    let python = std::env::var_os("MODELWAY_PYTHON").map_or_else(installed, PathBuf::from);
    assert!(python.exists(), "no Python at {}: run `make setup`, or name one in MODELWAY_PYTHON", python.display());
    python
}

#[tokio::test]
async fn the_official_client_gets_texts_streams_vectors_and_errors() {
    let catalogue = Catalogue::of([
        ("org/bird", Some("1".to_owned()), Parrot::new().model()),
        ("org/ruler", None, Ruler::new().model()),
        ("sum", None, RowSum::model()),
    ]);
    let server = start_with(catalogue, &Options::default()).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/openai_client.py");
    for prefix in PREFIXES {
        let mut command = tokio::process::Command::new(python());
        let base_url = format!("http://{}{prefix}", server.address);
        command.arg(&script).args([&base_url, "org/bird", "--chat", "--other", "sum", "--embedder", "org/ruler"]);
        command.kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the client hangs").unwrap();
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{base_url}\n{told}{errors}");
    }
    server.stopped().await;
}
