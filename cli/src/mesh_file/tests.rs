use modelway_decision::config::ByteSize;

use super::*;

fn parse(text: &str) -> anyhow::Result<Mesh> {
    Mesh::parse(&Source::parse(FilePath::new("/meshes/first/mesh.yaml"), text.to_owned())?)
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
    assert_eq!(
        mesh.routing,
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
    assert_eq!(mesh.models(), ["digits"]);
}

#[test]
fn the_deployment_has_defaults_and_its_models_stand_beside_the_file() {
    let mesh = parse("apiVersion: modelway/v1alpha1\ndeployment: {models: ../shelf, gateway: {bufferLimit: 64KiB}}\n")
        .expect("valid");
    assert_eq!(mesh.deployment.models, FilePath::new("/meshes/first/../shelf"));
    assert_eq!(mesh.deployment.gateway.port, 8008);
    assert_eq!(mesh.deployment.gateway.buffer_limit, ByteSize(65536));
    assert_eq!(mesh.deployment.runtimes.count.get(), 2);
}

#[test]
fn another_api_version_is_refused() {
    let message = refusal("apiVersion: v2\nrouting: {}\n");
    assert!(message.contains("apiVersion: expected `modelway/v1alpha1`, got `v2`"), "{message}");
}

#[test]
fn an_unknown_field_of_the_deployment_is_refused_with_its_place() {
    let message = refusal("apiVersion: modelway/v1alpha1\ndeployment:\n  runtimes: {counts: 2}\n");
    assert!(message.contains("deployment.runtimes.counts: unknown field"), "{message}");
    assert!(message.contains("did you mean `count`?"), "{message}");
}

#[test]
fn a_readiness_that_is_no_path_is_refused() {
    let message = refusal(
        "apiVersion: modelway/v1alpha1\ndeployment:\n  service: {healthPath: ready}\n  pools: {gpu: {healthPath: \"\"}}\n",
    );
    assert!(message.contains("deployment.service.healthPath: expected a path such as /v2/health/ready"), "{message}");
    assert!(message.contains("deployment.pools.gpu.healthPath: expected a path"), "{message}");
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
    assert!(message.contains("routing.models[0].variants[0].wieght"), "{message}");
    assert!(message.contains("did you mean `weight`?"), "{message}");
}

#[test]
fn all_faults_of_both_sections_and_of_the_file_are_told_at_once() {
    let message = refusal(
        "apiVersion: modelway/v1alpha1\nruoting: 1\nrouting: {models: [{nam: a}]}\ndeployment: {istio: {namespace: A}, module: {url: ftp}}\n",
    );
    let expected = [
        "ruoting: unknown field `ruoting`",
        "did you mean `routing`?",
        "routing.models[0].nam: unknown field `nam`",
        "deployment.module.url: expected oci://",
        "deployment.istio.namespace: expected at most 63",
    ];
    assert!(expected.iter().all(|part| message.contains(part)), "{message}");
}
