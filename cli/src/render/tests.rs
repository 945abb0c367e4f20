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

const DESTINATIONS: &str = "
apiVersion: modelway/v1alpha1
routing:
  headerNames: {affinity: x-ring, pool: x-pool}
  rewrite: Headers
  models:
  - name: a
    variants: [{name: x}, {name: large, pool: gpu}, {name: far, cluster: far-away}, {name: next, weight: 0, cluster: runtimes}]
    shadow: {variant: next}
deployment:
  module: {url: oci://registry.example.com/filter}
  pools: {gpu: {host: gpu.example.com, port: 9000}}
  clusters: {far-away: {host: far.example.com}}
";

fn destinations() -> Mesh {
    Mesh::parse(&Source::parse(Path::new("mesh.yaml"), DESTINATIONS.to_owned()).expect("YAML")).expect("valid")
}

#[test]
fn pools_clusters_and_shadows_have_routes_in_envoy() {
    let files = rendered(&destinations(), Target::Envoy, Tier::Body).expect("a configuration");
    let written: Value = serde_saphyr::from_str(&files[0].text).expect("YAML");
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let routes = written.pointer(&format!("{manager}/route_config/virtual_hosts/0/routes")).and_then(Value::as_array);
    let routes = routes.expect("routes");
    let goal = |route: &Value| route["route"].get("cluster").or(route["route"].get("cluster_header")).cloned();
    let goals: Vec<_> = routes.iter().filter_map(goal).collect();
    assert_eq!(goals, ["x-modelway-cluster", "pool-gpu", "runtimes"]);
    assert_eq!(routes[1]["match"]["headers"][0]["name"], "x-pool");
    for route in routes {
        assert_eq!(route["route"]["hash_policy"][0]["header"]["header_name"], "x-ring");
        let mirror = &route["route"]["request_mirror_policies"][0];
        assert_eq!(mirror["cluster_header"], "x-modelway-shadow-cluster");
        assert!(mirror.to_string().contains("%REQ(x-modelway-shadow-target)%"));
    }
    let clusters = written["static_resources"]["clusters"].as_array().expect("clusters");
    let names: Vec<_> = clusters.iter().map(|cluster| &cluster["name"]).collect();
    assert_eq!(names, ["runtimes", "pool-gpu", "far-away"]);
}

#[test]
fn pools_clusters_and_shadows_have_routes_in_istio() {
    let files = rendered(&destinations(), Target::Istio, Tier::Body).expect("manifests");
    let documents = |name: &str| -> Vec<Value> {
        let file = files.iter().find(|file| file.name == name).expect("the file");
        serde_saphyr::from_multiple(&file.text).expect("YAML")
    };
    let service = &documents("virtual-service.yaml")[1];
    assert_eq!(service["spec"]["http"][0]["match"][0]["headers"]["x-pool"]["exact"], "gpu");
    assert_eq!(service["spec"]["http"][0]["route"][0]["destination"]["host"], "gpu.example.com");
    assert_eq!(service["spec"]["http"][1]["name"], "models");
    let rules = documents("destination-rule.yaml");
    assert_eq!((rules.len(), &rules[1]["spec"]["host"]), (2, &Value::from("gpu.example.com")));
    let tuning = &documents("gateway-tuning.yaml")[0];
    let patches = tuning["spec"]["configPatches"].as_array().expect("patches");
    let operations: Vec<_> = patches.iter().map(|patch| (&patch["applyTo"], &patch["patch"]["operation"])).collect();
    let expected = [
        ("HTTP_ROUTE", "MERGE"),
        ("HTTP_ROUTE", "MERGE"),
        ("CLUSTER", "MERGE"),
        ("CLUSTER", "MERGE"),
        ("HTTP_ROUTE", "INSERT_FIRST"),
    ];
    assert!(
        operations.iter().zip(expected).all(|(found, expected)| *found.0 == expected.0 && *found.1 == expected.1),
        "{operations:?}"
    );
    assert!(patches[0]["patch"]["value"]["route"]["request_mirror_policies"].is_array());
    assert_eq!(patches[4]["patch"]["value"]["route"]["cluster_header"], "x-modelway-cluster");
}

#[test]
fn what_a_destination_rule_has_no_field_for_stands_in_an_envoy_filter() {
    let files = rendered(&destinations(), Target::Istio, Tier::Body).expect("manifests");
    let file = files.iter().find(|file| file.name == "gateway-tuning.yaml").expect("the file");
    let tuning: Value = serde_saphyr::from_str(&file.text).expect("YAML");
    let patches = &tuning["spec"]["configPatches"];
    let policy = &patches[0]["patch"]["value"]["route"]["retry_policy"];
    assert_eq!(policy["retriable_headers"][0]["name"], "x-modelway-refused");
    let [ours, gpu] = [2, 3].map(|patch: usize| &patches[patch]["patch"]["value"]);
    assert_eq!(ours["health_checks"][0]["http_health_check"]["path"], "/v2/health/ready");
    assert!(ours["typed_extension_protocol_options"].to_string().contains("connection_keepalive"));
    assert_eq!(patches[3]["match"]["cluster"], serde_json::json!({"service": "gpu.example.com", "portNumber": 9000}));
    assert_eq!(gpu["common_lb_config"], ours["common_lb_config"]);
    // Whose servers these are, and what they speak, nobody has said.
    assert!(gpu.get("health_checks").is_none() && gpu.get("typed_extension_protocol_options").is_none(), "{gpu}");
}
