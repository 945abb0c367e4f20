//! Where in a document the routing stands.

use serde_json::Value;

use super::Form;
use crate::yaml::Path;

/// The Wasm filter's message; what stands in `configuration` is the filter's own.
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What the document is and the path to its routing; `None` where it has none.
pub(super) fn locate(document: &Value) -> Option<(Form, Path)> {
    let group = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match document.get("kind").and_then(Value::as_str) {
        Some("WasmPlugin") => Some((Form::WasmPlugin, Path::parse("spec.pluginConfig"))),
        Some("EnvoyFilter") => envoy_filter(document).map(|path| (Form::EnvoyFilter, path)),
        Some(_) => None,
        None if group.starts_with("modelway/") || document.get("routing").is_some() => {
            Some((Form::MeshFile, Path::parse("routing")))
        }
        None => Some((Form::Routing, Path::default())),
    }
}

fn envoy_filter(document: &Value) -> Option<Path> {
    let patches = document.pointer("/spec/configPatches")?.as_array()?;
    let is_wasm = |patch: &Value| patch.pointer("/patch/value/typed_config/@type").is_some_and(|kind| kind == WASM);
    let index = patches.iter().position(is_wasm)?;
    let in_patch = Path::parse("patch.value.typed_config.config.configuration.value");
    Some(Path::parse(&format!("spec.configPatches[{index}]")).join(&in_patch))
}
