//! The other commands of the program, and its manners.

use std::path::Path;

use crate::process::text_labeller;

#[test]
fn it_has_modelways_other_commands() {
    let mesh = Path::new(env!("CARGO_MANIFEST_DIR")).join("mesh.yaml");
    let output = text_labeller().arg("check").arg(mesh).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
