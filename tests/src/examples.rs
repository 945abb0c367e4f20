//! The mesh files that the documentation shows: what they promise is what the cases check.

use serde_json::Value;

use crate::host::repository;

/// The `routing` section of `docs/examples/NAME.yaml`.
///
/// # Panics
/// Where there is no such file, or it is no YAML.
#[allow(clippy::panic)]
pub fn routing(name: &str) -> Value {
    let path = repository().join("docs/examples").join(name).with_extension("yaml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut file: Value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file["routing"].take()
}
