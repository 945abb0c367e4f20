//! Envoy's bootstrap: one listener, the filter, the router, one upstream, and two routes of which the second is taken
//! only if the filter's header has made Envoy choose its route anew. The filter stands in it, or in a file beside it
//! that Envoy watches.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::transcoder::transcoder;
use crate::gateway::{ROUTE_MARK, Setup, Transcoder};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The labels of the filter's series.
const STATS_TAGS: [&str; 5] = ["model", "variant", "protocol", "outcome", "reason"];

/// The name under which the filter's configuration is discovered.
const DISCOVERED: &str = "modelway";

pub(super) fn render(setup: &Setup, filter: &Path, upstream: SocketAddr) -> Result<Value> {
    bootstrap(setup, &json!({ "name": "modelway", "typed_config": wasm(setup, filter)? }), upstream)
}

/// The same with the filter's configuration in a file that Envoy watches: what [`discovery_response`] says.
pub(super) fn render_discovering(setup: &Setup, watched: &Path, upstream: SocketAddr) -> Result<Value> {
    let filter = json!({
        "name": DISCOVERED,
        "config_discovery": {
            "config_source": { "path_config_source": { "path": text(watched)? }, "resource_api_version": "V3" },
            "type_urls": [WASM],
        },
    });
    bootstrap(setup, &filter, upstream)
}

/// What a watched file holds.
pub(super) fn discovery_response(setup: &Setup, filter: &Path, version: u64) -> Result<Value> {
    Ok(json!({ "version_info": version.to_string(), "resources": [{
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": DISCOVERED,
        "typed_config": wasm(setup, filter)?,
    }] }))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| anyhow!("the path {} is not text", path.display()))
}

fn bootstrap(setup: &Setup, filter: &Value, upstream: SocketAddr) -> Result<Value> {
    Ok(json!({
        // What is discovered needs it.
        "node": { "id": "gateway", "cluster": "gateway" },
        "admin": { "address": address("127.0.0.1", 0) },
        "stats_config": { "stats_tags": STATS_TAGS.map(tag) },
        "static_resources": {
            "listeners": [listener(setup, &filters(setup, filter)?)],
            "clusters": [cluster(upstream)],
        },
    }))
}

/// What cuts a label out of a series' name, as docs/observability.md has it.
fn tag(name: &str) -> Value {
    json!({ "tag_name": name, "regex": format!(r"({name}=\.=(.*?);\.;)") })
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

/// The HTTP filters in order.
fn filters(setup: &Setup, filter: &Value) -> Result<Vec<Value>> {
    let mut filters: Vec<Value> = filter_before(setup).into_iter().collect();
    filters.extend(match setup.transcoder {
        None => vec![filter.clone()],
        Some(Transcoder::BehindFilter) => vec![filter.clone(), transcoder(true)?],
        Some(Transcoder::BeforeFilter) => vec![transcoder(false)?, filter.clone()],
    });
    filters.push(router());
    Ok(filters)
}

fn listener(setup: &Setup, filters: &[Value]) -> Value {
    json!({
        "name": "gateway",
        "address": address("127.0.0.1", 0),
        "per_connection_buffer_limit_bytes": setup.buffer_limit,
        // Every worker gets its part, however few connections there are.
        "connection_balance_config": { "exact_balance": {} },
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "gateway",
                "codec_type": "AUTO",
                "http2_protocol_options": { "initial_stream_window_size": setup.http2_window() },
                "access_log": setup.access_log.map(access_log).into_iter().collect::<Vec<_>>(),
                "http_filters": filters,
                "route_config": {
                    "name": "models",
                    "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [
                        route(setup, "canary"),
                        route(setup, "default"),
                    ] }],
                },
            },
        }] }],
    })
}

fn wasm(setup: &Setup, filter: &Path) -> Result<Value> {
    let mut plugin = json!({
        "name": "modelway",
        "root_id": "modelway",
        "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": setup.routing },
        "vm_config": { "runtime": "envoy.wasm.runtime.v8", "code": { "local": { "filename": text(filter)? } } },
    });
    if setup.stop_iteration
        && let Some(plugin) = plugin.as_object_mut()
    {
        plugin.insert("allow_on_headers_stop_iteration".to_owned(), Value::Bool(true));
    }
    Ok(json!({ "@type": WASM, "config": plugin }))
}

fn filter_before(setup: &Setup) -> Option<Value> {
    serde_json::from_str(setup.filter_before.as_deref()?).ok()
}

fn access_log(format: &str) -> Value {
    json!({ "name": "envoy.access_loggers.stdout", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        "log_format": { "text_format_source": { "inline_string": format } },
    } })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    })
}

fn route(setup: &Setup, name: &str) -> Value {
    let mut condition = json!({ "prefix": "/" });
    if name == "canary"
        && let Some(condition) = condition.as_object_mut()
    {
        let headers = json!([{ "name": "x-modelway-variant", "string_match": { "exact": "canary" } }]);
        condition.insert("headers".to_owned(), headers);
    }
    let mut route = json!({
        "match": condition,
        "route": { "cluster": "upstream", "timeout": "30s" },
        "request_headers_to_add": [{ "header": { "key": ROUTE_MARK, "value": name } }],
    });
    if let (Some(limit), Some(route)) = (setup.route_body_limit, route.as_object_mut()) {
        route.insert("request_body_buffer_limit".to_owned(), json!(limit.to_string()));
    }
    route
}

fn cluster(upstream: SocketAddr) -> Value {
    json!({
        "name": "upstream",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{ "lb_endpoints": [{ "endpoint": {
                "address": address(&upstream.ip().to_string(), upstream.port()),
            } }] }],
        },
        "typed_extension_protocol_options": { (HTTP_OPTIONS): {
            "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
            "use_downstream_protocol_config": { "http_protocol_options": {}, "http2_protocol_options": {} },
        } },
    })
}
