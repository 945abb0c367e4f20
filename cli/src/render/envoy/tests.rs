use super::*;
use crate::source::Source;

fn mesh() -> Mesh {
    parsed("apiVersion: modelway/v1alpha1\nrouting: {models: []}\ndeployment: {gateway: {port: 18008}}\n")
}

fn parsed(text: &str) -> Mesh {
    Mesh::parse(&Source::parse(Path::new("mesh.yaml"), text.to_owned()).expect("YAML")).expect("valid")
}

fn made() -> Value {
    let runtimes = Servers::runtimes(&[4001, 4002].map(|port| SocketAddr::from(([127, 0, 0, 1], port))));
    let text = configuration(&mesh(), &runtimes, Path::new("/filter.wasm"));
    serde_saphyr::from_str(&text).expect("YAML")
}

#[test]
fn the_filter_gets_the_routing_word_for_word_and_may_hold_headers() {
    let bootstrap = made();
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let config = bootstrap.pointer(&format!("{filters}/0/typed_config/config")).expect("the filter");
    let routing = config["configuration"]["value"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    assert_eq!(routing, Some(json!({"models": []})));
    assert_eq!(config["allow_on_headers_stop_iteration"], true);
    assert_eq!(config["failure_policy"], "FAIL_RELOAD");
    assert_eq!(config["vm_config"]["code"]["local"]["filename"], "/filter.wasm");
    let last = bootstrap.pointer(&format!("{filters}/1/name")).expect("the router comes last");
    assert_eq!(last, "envoy.filters.http.router");
}

#[test]
fn every_runtime_is_an_endpoint_of_the_one_cluster() {
    let bootstrap = made();
    let endpoints = bootstrap.pointer("/static_resources/clusters/0/load_assignment/endpoints/0/lb_endpoints");
    let ports: Vec<&Value> = endpoints
        .and_then(Value::as_array)
        .expect("endpoints")
        .iter()
        .map(|endpoint| &endpoint["endpoint"]["address"]["socket_address"]["port_value"])
        .collect();
    assert_eq!(ports, [4001, 4002]);
}

#[test]
fn the_listener_takes_port_and_buffer_limit_of_the_file() {
    let bootstrap = made();
    let listener = bootstrap.pointer("/static_resources/listeners/0").expect("the listener");
    assert_eq!(listener["address"]["socket_address"]["port_value"], 18008);
    assert_eq!(listener["per_connection_buffer_limit_bytes"], 32 * 1024);
}

#[test]
fn every_remark_stands_above_what_it_is_about() {
    let variants = "[{name: x}, {name: next, weight: 0, cluster: runtimes}]";
    let shadowed =
        format!("rewrite: Headers\nmodels: [{{name: a, variants: {variants}, shadow: {{variant: next}}}}]\n");
    let text = configuration(&parsed(&shadowed), &Servers::runtimes(&[]), Path::new("/filter.wasm"));
    for comment in &COMMENTS {
        assert!(text.contains(comment.text), "`{}` is no path of the configuration", comment.path);
    }
}

#[test]
fn a_service_is_found_by_its_name() {
    let service: Service = serde_json::from_value(json!({"host": "runtimes.example.com"})).expect("a service");
    assert_eq!(cluster(RUNTIMES, &Servers::of(&service))["type"], "STRICT_DNS");
    assert_eq!(made()["static_resources"]["clusters"][0]["type"], "STATIC");
}

#[test]
fn a_server_is_asked_for_its_readiness_where_it_has_one_and_in_the_http_that_it_speaks() {
    let service = |said: Value| serde_json::from_value::<Service>(said).expect("a service");
    let of_runtimes = |said| cluster(RUNTIMES, &Servers::of_runtimes(&service(said)))["health_checks"].clone();
    let of_others = |said| cluster("pool-gpu", &Servers::of(&service(said)))["health_checks"].clone();
    let asked = |checks: &Value| checks[0]["http_health_check"].clone();
    let default = of_runtimes(json!({}));
    assert_eq!(asked(&default), json!({"path": "/v2/health/ready", "codec_client_type": "HTTP2"}));
    let other = json!({"healthPath": "/health", "http": "AsClient"});
    let expected = json!({"path": "/health", "codec_client_type": "HTTP1"});
    assert_eq!([asked(&of_runtimes(other.clone())), asked(&of_others(other))], [expected.clone(), expected]);
    // A server that is not Modelway's may be unready for one of its models, or have no such path.
    assert_eq!([of_runtimes(json!({"healthPath": null})), of_others(json!({}))], [Value::Null, Value::Null]);
    // While there is no traffic Envoy would look once a minute.
    assert_eq!(default[0]["no_traffic_interval"], "1s");
}

#[test]
fn no_answer_ejects_a_runtime() {
    let cluster = cluster(RUNTIMES, &Servers::runtimes(&[]));
    let detection = cluster["outlier_detection"].as_object().expect("outlier detection");
    assert_eq!(detection["split_external_local_origin_errors"], true);
    let enforced: Vec<_> = detection.iter().filter(|(name, _)| name.starts_with("enforcing_")).collect();
    assert_eq!(enforced.len(), 4);
    assert!(enforced.iter().all(|(_, percent)| **percent == 0), "{enforced:?}");
}
