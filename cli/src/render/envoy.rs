//! The configuration of a plain Envoy: one listener, the filter, one route, one cluster of runtimes.
//!
//! `up` starts Envoy with what this writes, so what `render` writes is what the demo runs on.
//!
//! Every limit that Envoy would otherwise default is spelled out, because its defaults are those of
//! a proxy for small, short requests: 15 s a route, three retries at a time, 1,024 requests.

pub(super) mod routes;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};

use super::destinations::{Destinations, RUNTIMES};
use crate::mesh_file::{Mesh, Service, UpstreamHttp};
use crate::yaml::{self, Comment};

/// The name of the listener, by which its port is found again.
pub(crate) const LISTENER: &str = "gateway";

const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions";

const COMMENTS: [Comment; 14] = [
    Comment {
        path: "static_resources.listeners[0].enable_reuse_port",
        text: "Otherwise a second gateway would share the port in silence.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].request_body_buffer_limit",
        text: "A request larger than its buffer cannot be sent again to another runtime.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.timeout",
        text: "A stream of tokens has no length known beforehand; the idle timeout ends a dead one.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config.allow_on_headers_stop_iteration",
        text: "The body tier: hold the headers until the body has told the model.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config.config.configuration.value",
        text: "The routing section of the mesh file.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.request_mirror_policies",
        text: "Copies for shadows: with the headers of the shadow's variant, and nobody gets their answers.",
    },
    Comment {
        path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].retry_policy.host_selection_retry_max_attempts",
        text: "Neighbours on the ring are often the same runtime again; with few attempts a full one would be asked twice.",
    },
    Comment {
        path: "static_resources.clusters[0].common_lb_config.consistent_hashing_lb_config",
        text: "No runtime gets more than one and a half times its share: a hot model spreads.",
    },
    Comment {
        path: "static_resources.clusters[0].common_lb_config.healthy_panic_threshold",
        text: "In per cent: where none is healthy, any is tried; above that, never one that is not.",
    },
    Comment {
        path: "static_resources.clusters[0].common_lb_config.update_merge_window",
        text: "Workers hear of a runtime that is not healthy at once; by Envoy's default a second later.",
    },
    Comment {
        path: "static_resources.clusters[0].ignore_health_on_host_removal",
        text: "What discovery no longer names is gone, even if it still answers.",
    },
    Comment {
        path: "static_resources.clusters[0].health_checks",
        text: "A runtime that is to stop fails this first, and goes on until it is noticed (`modelway serve --drain-grace`).",
    },
    Comment {
        path: "static_resources.clusters[0].outlier_detection",
        text: "For connections that fail or break only. Answers never eject: what a bad model answers would follow it from runtime to runtime.",
    },
    Comment {
        path: "static_resources.clusters[0].typed_extension_protocol_options",
        text: "A frozen runtime keeps its TCP connections: only the keepalive notices.",
    },
];

/// The model servers behind one cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Servers {
    hosts: Vec<Host>,
    http: UpstreamHttp,
    /// Path of their readiness, if they have one.
    health_path: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Host {
    /// A name or an address.
    name: String,
    port: u16,
}

/// The whole configuration as YAML, for `runtimes` and the module at `filter`.
pub(crate) fn configuration(mesh: &Mesh, runtimes: &Servers, filter: &Path) -> String {
    yaml::write(&bootstrap(mesh, runtimes, filter), &COMMENTS)
}

fn bootstrap(mesh: &Mesh, runtimes: &Servers, filter: &Path) -> Value {
    json!({
        "admin": {"address": socket_address(SocketAddr::from(([127, 0, 0, 1], mesh.deployment.gateway.admin_port)))},
        "overload_manager": {"resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"),
                "max_active_downstream_connections": 10_000,
            },
        }]},
        "static_resources": {
            "listeners": [listener(mesh, filter)],
            "clusters": clusters(mesh, runtimes),
        },
    })
}

fn listener(mesh: &Mesh, filter: &Path) -> Value {
    let gateway = &mesh.deployment.gateway;
    json!({
        "name": LISTENER,
        "address": socket_address(SocketAddr::new(gateway.address, gateway.port)),
        "enable_reuse_port": false,
        "per_connection_buffer_limit_bytes": gateway.buffer_limit.0,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": LISTENER,
                "codec_type": "AUTO",
                "use_remote_address": true,
                "normalize_path": true,
                "merge_slashes": true,
                "server_header_transformation": "PASS_THROUGH",
                "stream_idle_timeout": "300s",
                "http2_protocol_options": {
                    "max_concurrent_streams": 100,
                    "initial_stream_window_size": 65_536,
                    "initial_connection_window_size": 1_048_576,
                    "connection_keepalive": {"interval": "30s", "timeout": "5s"},
                },
                "route_config": route_config(mesh),
                "http_filters": [
                    {"name": "modelway", "typed_config": wasm(mesh, filter)},
                    {
                        "name": "envoy.filters.http.router",
                        "typed_config": {"@type": format!("{EXTENSIONS}.filters.http.router.v3.Router")},
                    },
                ],
            },
        }]}],
    })
}

fn wasm(mesh: &Mesh, filter: &Path) -> Value {
    json!({
        "@type": format!("{EXTENSIONS}.filters.http.wasm.v3.Wasm"),
        "config": {
            "name": "modelway",
            "root_id": "modelway",
            "failure_policy": "FAIL_RELOAD",
            "allow_on_headers_stop_iteration": true,
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": yaml::json(&mesh.routing),
            },
            "vm_config": {
                "vm_id": "modelway",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": filter}},
            },
        },
    })
}

fn route_config(mesh: &Mesh) -> Value {
    json!({
        "name": LISTENER,
        "virtual_hosts": [{
            "name": "models",
            "domains": ["*"],
            "retry_policy": routes::retry_policy(),
            "routes": routes::routes(mesh),
        }],
    })
}

/// The cluster of the runtimes, and those of pools and others that the deployment names.
fn clusters(mesh: &Mesh, runtimes: &Servers) -> Vec<Value> {
    let destinations = Destinations::of(mesh);
    let pools = destinations.pools().map(|(name, service)| cluster(&pool_cluster(name), &Servers::of(service)));
    let others = destinations.clusters().map(|(name, service)| cluster(name, &Servers::of(service)));
    [cluster(RUNTIMES, runtimes)].into_iter().chain(pools).chain(others).collect()
}

fn pool_cluster(pool: &str) -> String {
    format!("pool-{pool}")
}

fn cluster(name: &str, servers: &Servers) -> Value {
    let hosts = &servers.hosts;
    let are_addresses = hosts.iter().all(|host| host.name.parse::<IpAddr>().is_ok());
    let address = |host: &Host| json!({"socket_address": {"address": host.name, "port_value": host.port}});
    let endpoints: Vec<Value> = hosts.iter().map(|host| json!({"endpoint": {"address": address(host)}})).collect();
    let mut cluster = json!({
        "name": name,
        "type": if are_addresses { "STATIC" } else { "STRICT_DNS" },
        "connect_timeout": "1s",
        "lb_policy": "RING_HASH",
        "ring_hash_lb_config": {"minimum_ring_size": 1024},
        "common_lb_config": load_balancing(),
        "circuit_breakers": {"thresholds": [{
            "max_connections": 10_000,
            "max_pending_requests": 10_000,
            "max_requests": 10_000,
            "max_retries": 1_000,
        }]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol_options(servers.http),
        },
        "outlier_detection": outlier_detection(),
        "ignore_health_on_host_removal": true,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    });
    if let Some(path) = &servers.health_path {
        cluster["health_checks"] = json!([health_check(path, servers.http)]);
    }
    cluster
}

/// What of the load balancing has no field in Istio's DestinationRule.
pub(super) fn load_balancing() -> Value {
    json!({
        "consistent_hashing_lb_config": {"hash_balance_factor": 150},
        "healthy_panic_threshold": {"value": 1},
        "update_merge_window": "0s",
    })
}

/// Asks for the readiness every second. An answer other than 200 counts at once, silence after two times.
pub(super) fn health_check(path: &str, http: UpstreamHttp) -> Value {
    let codec = if http == UpstreamHttp::Http2 { "HTTP2" } else { "HTTP1" };
    json!({
        "timeout": "2s",
        "interval": "1s",
        // Envoy's default is a minute while there are no requests.
        "no_traffic_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": path, "codec_client_type": codec},
    })
}

fn outlier_detection() -> Value {
    json!({
        "split_external_local_origin_errors": true,
        "consecutive_local_origin_failure": 5,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 50,
    })
}

pub(super) fn protocol_options(http: UpstreamHttp) -> Value {
    // Also before a request on a connection that was idle for so long.
    let keepalive = json!({"interval": "3s", "timeout": "3s", "connection_idle_interval": "1s"});
    let http2 = json!({"connection_keepalive": keepalive});
    let (kind, options) = match http {
        UpstreamHttp::Http2 => ("explicit_http_config", json!({"http2_protocol_options": http2})),
        UpstreamHttp::Http1 => ("explicit_http_config", json!({"http_protocol_options": {}})),
        UpstreamHttp::AsClient => {
            ("use_downstream_protocol_config", json!({"http_protocol_options": {}, "http2_protocol_options": http2}))
        }
    };
    json!({"@type": format!("{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"), kind: options})
}

// === impl Servers ===

impl Servers {
    /// Whose they are is not known: where they tell their health, if anywhere, is what was said.
    pub(crate) fn of(service: &Service) -> Self {
        let host = Host { name: service.host.clone(), port: service.port.get() };
        let health_path = service.said_health_path().map(str::to_owned);
        Self { hosts: vec![host], http: service.said_http().unwrap_or_default(), health_path }
    }

    /// Runtimes of Modelway's, by the name that finds them.
    pub(crate) fn of_runtimes(service: &Service) -> Self {
        let health_path = service.health_path_of_runtimes().map(str::to_owned);
        Self { health_path, ..Self::of(service) }
    }

    /// Runtimes of Modelway's.
    pub(crate) fn runtimes(addresses: &[SocketAddr]) -> Self {
        let hosts = addresses.iter().map(|address| Host { name: address.ip().to_string(), port: address.port() });
        let health_path = Service::default().health_path_of_runtimes().map(str::to_owned);
        Self { hosts: hosts.collect(), http: UpstreamHttp::Http2, health_path }
    }
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}
