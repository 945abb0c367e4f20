//! The HTTP filters before the router: ours, an empty module, and what people use instead.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

/// The header that the peers set, by the name that the body-based router gave it.
pub(crate) const PEER_HEADER: &str = "x-gateway-model-name";

/// Looks for the model as cheaply as Lua can: no JSON parser, one pattern over the body.
const LUA: &str = r#"
function envoy_on_request(request)
  local body = request:body()
  if body == nil then return end
  local model = string.match(body:getBytes(0, body:length()), '"model_name"%s*:%s*"([^"]*)"')
  if model ~= nil then
    request:headers():replace("x-gateway-model-name", model)
    request:clearRouteCache()
  end
end
"#;

/// A chain of filters, and what it needs besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpFilters {
    pub(crate) chain: Vec<Value>,
    pub(crate) external_processor: Option<SocketAddr>,
}

// === impl HttpFilters ===

impl HttpFilters {
    /// None at all.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// A WebAssembly module with this configuration.
    pub(crate) fn wasm(module: &Path, configuration: &str) -> Self {
        let config = json!({
            "name": "modelway",
            "root_id": "modelway",
            "allow_on_headers_stop_iteration": true,
            "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": configuration },
            "vm_config": {
                "runtime": "envoy.wasm.runtime.v8",
                "code": { "local": { "filename": module.to_string_lossy() } },
            },
        });
        Self { chain: vec![filter("wasm", "wasm.v3.Wasm", json!({ "config": config }))], external_processor: None }
    }

    /// Envoy's own: a member of the JSON body to metadata, and from there to a header.
    pub(crate) fn json_to_metadata() -> Self {
        let rule = json!({
            "selectors": [{ "key": "model_name" }],
            "on_present": { "metadata_namespace": "bench", "key": "model" },
            "on_missing": { "metadata_namespace": "bench", "key": "model", "value": "missing" },
        });
        let to_metadata = filter(
            "json_to_metadata",
            "json_to_metadata.v3.JsonToMetadata",
            json!({ "request_rules": { "rules": [rule] } }),
        );
        let to_header = json!({ "append": {
            "header": { "key": PEER_HEADER, "value": "%DYNAMIC_METADATA(bench:model)%" },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        } });
        let mutation = filter(
            "header_mutation",
            "header_mutation.v3.HeaderMutation",
            json!({ "mutations": { "request_mutations": [to_header] } }),
        );
        Self { chain: vec![to_metadata, mutation], external_processor: None }
    }

    /// A Lua script that reads the body.
    pub(crate) fn lua() -> Self {
        let script = json!({ "default_source_code": { "inline_string": LUA } });
        Self { chain: vec![filter("lua", "lua.v3.Lua", script)], external_processor: None }
    }

    /// A body-based router over external processing, in the mode of its charts.
    pub(crate) fn external_processor(address: SocketAddr) -> Self {
        let processing = json!({
            "grpc_service": { "envoy_grpc": { "cluster_name": "external-processor" }, "timeout": "10s" },
            "message_timeout": "10s",
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "FULL_DUPLEX_STREAMED",
                "request_trailer_mode": "SEND",
                "response_header_mode": "SKIP",
                "response_body_mode": "NONE",
                "response_trailer_mode": "SKIP",
            },
        });
        Self {
            chain: vec![filter("ext_proc", "ext_proc.v3.ExternalProcessor", processing)],
            external_processor: Some(address),
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // Written out at the call.
fn filter(name: &str, kind: &str, config: Value) -> Value {
    let mut config = config;
    if let Some(config) = config.as_object_mut() {
        config.insert("@type".to_owned(), json!(format!("type.googleapis.com/envoy.extensions.filters.http.{kind}")));
    }
    json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
}
