//! The bootstrap of every gateway under measurement: they differ in their HTTP filters only.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::http_filters::HttpFilters;

const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

pub(super) fn render(filters: &HttpFilters, upstream: SocketAddr) -> Value {
    // The upstream is asked in the protocol of the client.
    let mut clusters = vec![cluster(
        "upstream",
        upstream,
        json!({
            "use_downstream_protocol_config": { "http_protocol_options": {}, "http2_protocol_options": {} },
        }),
    )];
    if let Some(processor) = filters.external_processor {
        clusters.push(cluster(
            "external-processor",
            processor,
            json!({
                "explicit_http_config": { "http2_protocol_options": {} },
            }),
        ));
    }
    json!({
        "admin": { "address": address(SocketAddr::from(([127, 0, 0, 1], 0))) },
        "static_resources": { "listeners": [listener(filters)], "clusters": clusters },
    })
}

fn listener(filters: &HttpFilters) -> Value {
    let mut chain = filters.chain.clone();
    chain.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    }));
    json!({
        "name": "gateway",
        "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "gateway",
                "codec_type": "AUTO",
                "http_filters": chain,
                "route_config": {
                    "name": "models",
                    "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [canary_route(), route()] }],
                },
            },
        }] }],
    })
}

/// As a mesh has it: one route that only the filter's header selects, and the default.
fn canary_route() -> Value {
    json!({
        "match": {
            "prefix": "/",
            "headers": [{ "name": "x-modelway-variant", "string_match": { "exact": "canary" } }],
        },
        "route": { "cluster": "upstream" },
    })
}

fn route() -> Value {
    json!({ "match": { "prefix": "/" }, "route": { "cluster": "upstream" } })
}

#[allow(clippy::needless_pass_by_value)] // Written out at the call.
fn cluster(name: &str, host: SocketAddr, protocol: Value) -> Value {
    let mut options = protocol;
    if let Some(options) = options.as_object_mut() {
        options.insert("@type".to_owned(), json!(format!("type.googleapis.com/{HTTP_OPTIONS}")));
    }
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(host) } }] }],
        },
        "typed_extension_protocol_options": { (HTTP_OPTIONS): options },
    })
}

fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
