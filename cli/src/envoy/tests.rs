use super::*;
use crate::mesh_file::Deployment;

fn mesh() -> Mesh {
    let mut deployment = Deployment::default();
    deployment.gateway.port = 18008;
    Mesh { routing_json: r#"{"models":[]}"#.to_owned(), models: Vec::new(), deployment }
}

fn made() -> Value {
    let runtimes = [SocketAddr::from(([127, 0, 0, 1], 4001)), SocketAddr::from(([127, 0, 0, 1], 4002))];
    bootstrap(&mesh(), &runtimes, Path::new("/filter.wasm"))
}

#[test]
fn the_filter_gets_the_routing_word_for_word_and_may_hold_headers() {
    let bootstrap = made();
    let filters = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters";
    let config = bootstrap.pointer(&format!("{filters}/0/typed_config/config")).expect("the filter");
    assert_eq!(config["configuration"]["value"], r#"{"models":[]}"#);
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
