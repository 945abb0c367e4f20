use super::*;

fn parse(text: &str) -> anyhow::Result<Mesh> {
    Mesh::parse(text, Path::new("/meshes/first"))
}

fn refusal(text: &str) -> String {
    format!("{:#}", parse(text).expect_err("the file should be refused"))
}

#[test]
fn the_routing_section_reaches_the_filter_word_for_word() {
    let mesh = parse(
        r#"
apiVersion: modelway/v1alpha1
routing:
  models:
  - name: digits
    variants:
    - {name: stable, model: digits-v1, weight: 90, version: "2"}
    rules:
    - {name: beta, match: {headers: [{name: x-beta, value: "true"}]}, variant: stable}
  - name: tenant-a/*
  unknownModels: Reject
"#,
    )
    .expect("valid");
    let routing: serde_json::Value = serde_json::from_str(&mesh.routing_json).expect("JSON");
    assert_eq!(
        routing,
        serde_json::json!({
            "models": [
                {
                    "name": "digits",
                    "variants": [{"name": "stable", "model": "digits-v1", "weight": 90, "version": "2"}],
                    "rules": [{
                        "name": "beta",
                        "match": {"headers": [{"name": "x-beta", "value": "true"}]},
                        "variant": "stable"
                    }],
                },
                {"name": "tenant-a/*"},
            ],
            "unknownModels": "Reject",
        })
    );
    assert_eq!(mesh.models, ["digits"]);
}

#[test]
fn the_deployment_has_defaults_and_its_models_stand_beside_the_file() {
    let mesh = parse("apiVersion: modelway/v1alpha1\ndeployment: {models: ../shelf, gateway: {bufferLimit: 64KiB}}\n")
        .expect("valid");
    assert_eq!(mesh.deployment.models, Path::new("/meshes/first/../shelf"));
    assert_eq!(mesh.deployment.gateway.port, 8008);
    assert_eq!(mesh.deployment.gateway.buffer_limit, ByteSize(65536));
    assert_eq!(mesh.deployment.runtimes.count.get(), 2);
}

#[test]
fn another_api_version_is_refused() {
    assert_eq!(refusal("apiVersion: v2\n"), "apiVersion: expected `modelway/v1alpha1`, got `v2`");
}

#[test]
fn an_unknown_field_of_the_deployment_is_refused_with_its_place() {
    let message = refusal("apiVersion: modelway/v1alpha1\ndeployment:\n  runtimes: {counts: 2}\n");
    assert!(message.contains("counts"), "{message}");
    assert!(message.contains("count"), "{message}");
    assert!(message.contains('3'), "the line: {message}");
}

#[test]
fn a_mesh_without_runtimes_is_refused() {
    let message = refusal("apiVersion: modelway/v1alpha1\ndeployment: {runtimes: {count: 0}}\n");
    assert!(message.contains("nonzero"), "{message}");
}

#[test]
fn a_fault_in_the_routing_is_told_with_its_path_in_the_file() {
    let text = "apiVersion: modelway/v1alpha1\nrouting: {models: [{name: a, variants: [{name: b, wieght: 1}]}]}\n";
    let message = refusal(text);
    assert!(message.starts_with("routing.models[0].variants[0]"), "{message}");
    assert!(message.contains("did you mean `weight`?"), "{message}");
}

#[test]
fn the_demo_and_its_istio_manifests_carry_the_same_routing() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = |name: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(repository.join("istio").join(name)).expect("the manifest");
        serde_saphyr::from_str(&text).expect("YAML")
    };
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).expect("JSON") };
    let routing = json(&Mesh::read(&repository.join("tests/demo/mesh.yaml")).expect("valid").routing_json);

    assert_eq!(manifest("wasm-plugin.yaml")["spec"]["pluginConfig"], routing);
    let filter = manifest("envoy-filter.yaml");
    let configuration = filter.pointer("/spec/configPatches/0/patch/value/typed_config/config/configuration/value");
    assert_eq!(json(configuration.and_then(|value| value.as_str()).expect("the filter's configuration")), routing);
}
