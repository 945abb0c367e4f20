//! Envoy's transcoder from REST to gRPC, with the runtime's own service bound to the paths of the protocol.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::repository;

/// Which REST calls become which methods: method, verb, the path below the model, the name's field, the version's.
const BINDINGS: [(&str, &str, &str, [&str; 2]); 3] = [
    ("ModelInfer", "post", "/infer", ["model_name", "model_version"]),
    ("ModelReady", "get", "/ready", ["name", "version"]),
    ("ModelMetadata", "get", "", ["name", "version"]),
];

/// The filter's configuration. Where `refuses_collisions`, a body may not have a member that the path binds.
pub(super) fn transcoder(refuses_collisions: bool) -> Result<Value> {
    Ok(json!({
        "name": "envoy.filters.http.grpc_json_transcoder",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
            "proto_descriptor_bin": STANDARD.encode(descriptors()?),
            "services": ["inference.GRPCInferenceService"],
            "convert_grpc_status": true,
            "request_validation_options": { "reject_binding_body_field_collisions": refuses_collisions },
            "max_request_body_size": 64 << 20,
            "max_response_body_size": 64 << 20,
        },
    }))
}

/// The runtime's service, annotated, as a set of descriptors.
fn descriptors() -> Result<Vec<u8>> {
    let plain = std::fs::read_to_string(repository().join("runtime/proto/inference.proto"))?;
    let directory = TempDir::new()?;
    std::fs::write(directory.path().join("inference.proto"), annotated(plain)?)?;
    let rules = repository().join("tests/data/transcoder");
    let mut compiler = protox::Compiler::new([directory.path(), &rules])?;
    compiler.include_imports(true).open_file("inference.proto").context("the annotated service does not compile")?;
    Ok(compiler.encode_file_descriptor_set())
}

fn annotated(mut proto: String) -> Result<String> {
    let package = "package inference;";
    ensure!(proto.contains(package), "the service has another package");
    proto = proto.replacen(package, &format!("{package}\nimport \"google/api/annotations.proto\";"), 1);
    for (method, verb, below, [name, version]) in BINDINGS {
        let body = if verb == "post" { "body: \"*\"" } else { "" };
        let start = proto.find(&format!("rpc {method}(")).with_context(|| format!("there is no method {method}"))?;
        let end = proto.get(start..).and_then(|rest| rest.find("{}")).context("the method has a body")? + start;
        let options = format!(
            "{{ option (google.api.http) = {{ {verb}: \"/v2/models/{{{name}}}{below}\" {body} additional_bindings {{ \
             {verb}: \"/v2/models/{{{name}}}/versions/{{{version}}}{below}\" {body} }} }}; }}"
        );
        proto.replace_range(end..end + 2, &options);
    }
    Ok(proto)
}
