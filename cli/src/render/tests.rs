use serde_json::Value;

use super::*;
use crate::source::{Form, Source};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn demo() -> Mesh {
    Mesh::read(&repository().join("tests/demo/mesh.yaml")).expect("valid")
}

#[test]
fn the_committed_manifests_are_what_render_writes() {
    for tier in [Tier::Body, Tier::Header] {
        for file in rendered(&demo(), Target::Istio, tier).expect("manifests") {
            let committed = std::fs::read_to_string(repository().join("istio").join(file.name)).unwrap_or_default();
            assert!(
                committed == file.text,
                "istio/{} is out of step with tests/demo/mesh.yaml: run `make docs`",
                file.name
            );
        }
    }
}

#[test]
fn both_carriers_of_the_filter_carry_the_routing_and_pass_the_check() {
    for (tier, form) in [(Tier::Body, Form::EnvoyFilter), (Tier::Header, Form::WasmPlugin)] {
        let files = rendered(&demo(), Target::Istio, tier).expect("manifests");
        let text = files.iter().map(|file| file.text.as_str()).collect::<Vec<_>>().join("---\n");
        let source = Source::parse(Path::new("-"), text).expect("YAML");
        let section = source.only_section().expect("one routing");
        assert_eq!((section.form, &section.routing), (form, &demo().routing));
        assert!(Mesh::parse(&source).is_ok());
    }
}

#[test]
fn every_name_and_number_of_the_deployment_has_its_place() {
    let text = "
apiVersion: modelway/v1alpha1
deployment:
  gateway: {requestBufferLimit: 1MiB}
  module: {url: https://example.com/filter.wasm, sha256: a123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef}
  service: {host: runtimes.team-a.svc.cluster.local, port: 9000}
  istio: {name: team-a, namespace: models, gatewayNamespace: gateways, gatewaySelector: {app: edge}, gatewayPort: 8080, hosts: [a.example.com]}
";
    let mesh = Mesh::parse(&Source::parse(Path::new("mesh.yaml"), text.to_owned()).expect("YAML")).expect("valid");
    let mut all = String::new();
    for tier in [Tier::Body, Tier::Header] {
        for file in rendered(&mesh, Target::Istio, tier).expect("manifests") {
            let documents: Vec<Value> = serde_saphyr::from_multiple(&file.text).expect("YAML");
            for document in documents {
                let namespace = document.pointer("/metadata/namespace").and_then(Value::as_str).expect("a namespace");
                let kind = document["kind"].as_str().expect("a kind");
                let is_at_the_gateway = matches!(kind, "EnvoyFilter" | "WasmPlugin");
                assert_eq!(namespace, if is_at_the_gateway { "gateways" } else { "models" }, "{kind}");
            }
            all.push_str(&file.text);
        }
    }
    let expected = [
        "sha256: a123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "host: runtimes.team-a.svc.cluster.local",
        "number: 9000",
        "number: 8080",
        "request_body_buffer_limit: 1048576",
        "app: edge",
        "name: team-a-runtime",
        "gateways: [team-a]",
        "hosts: [a.example.com]",
    ];
    for part in expected {
        assert!(all.contains(part), "no `{part}` in:\n{all}");
    }
    for of_the_demo in ["modelway-runtime", "istio-system", "ingressgateway"] {
        assert!(!all.contains(of_the_demo), "`{of_the_demo}` in:\n{all}");
    }
}

#[test]
fn without_a_module_there_is_nothing_to_apply() {
    let text = "apiVersion: modelway/v1alpha1\n".to_owned();
    let mesh = Mesh::parse(&Source::parse(Path::new("mesh.yaml"), text).expect("YAML")).expect("valid");
    let error = rendered(&mesh, Target::Istio, Tier::Body).map(|_| ()).expect_err("no module").to_string();
    assert!(error.starts_with("deployment.module.url is missing"), "{error}");
    assert!(rendered(&mesh, Target::Envoy, Tier::Body).is_ok());
}
