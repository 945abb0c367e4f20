//! The routes: everything to the runtimes, unless a variant names a pool or a cluster; and copies.

use modelway_decision::Field;
use serde_json::{Value, json};

use super::{EXTENSIONS, pool_cluster};
use crate::mesh_file::Mesh;
use crate::render::destinations::{Destinations, RUNTIMES};

/// The header of a healthy runtime that should not take the request.
const REFUSED_HEADER: &str = "x-modelway-refused";

/// The virtual host's retries, for a fleet in which any host may refuse.
pub(super) fn retry_policy() -> Value {
    let mut policy = refusals();
    let rest = json!({
        "num_retries": 3,
        // Another host can be asked at once.
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.100s"},
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
            },
        }],
    });
    if let (Some(policy), Some(rest)) = (policy.as_object_mut(), rest.as_object()) {
        policy.extend(rest.clone());
    }
    policy
}

/// The retries that a VirtualService has no field for.
pub(in crate::render) fn refusals() -> Value {
    json!({
        "retry_on": "connect-failure,refused-stream,reset,retriable-headers",
        "retriable_headers": [{"name": REFUSED_HEADER, "present_match": true}],
        // With three of four hosts to be avoided, 8 neighbours on the ring would all be among them once in ten times.
        "host_selection_retry_max_attempts": 64,
    })
}

/// In order: a cluster by name, the pools, the runtimes.
pub(super) fn routes(mesh: &Mesh) -> Vec<Value> {
    let destinations = Destinations::of(mesh);
    let mut routes = Vec::new();
    if destinations.has_clusters {
        routes.push(by_cluster(mesh, &destinations));
    }
    for (name, _) in destinations.pools() {
        let header = destinations.header(Field::Pool);
        let matches = json!({"prefix": "/", "headers": [{"name": header, "string_match": {"exact": name}}]});
        routes.push(route(mesh, &destinations, &matches, ("cluster", &pool_cluster(name))));
    }
    routes.push(route(mesh, &destinations, &json!({"prefix": "/"}), ("cluster", RUNTIMES)));
    routes
}

/// The route of requests whose cluster the filter names.
pub(in crate::render) fn by_cluster(mesh: &Mesh, destinations: &Destinations<'_>) -> Value {
    let header = destinations.header(Field::Cluster);
    let matches = json!({"prefix": "/", "headers": [{"name": header, "present_match": true}]});
    route(mesh, destinations, &matches, ("cluster_header", header))
}

fn route(mesh: &Mesh, destinations: &Destinations<'_>, matches: &Value, (kind, cluster): (&str, &str)) -> Value {
    let mut action = json!({
        kind: cluster,
        "timeout": "0s",
        "hash_policy": [{"header": {"header_name": destinations.header(Field::Affinity)}}],
    });
    if destinations.has_shadows {
        action["request_mirror_policies"] = json!([mirror(destinations)]);
    }
    json!({
        "match": matches,
        "request_body_buffer_limit": mesh.deployment.gateway.request_buffer_limit.0,
        "route": action,
    })
}

/// The copy is a request for the shadow's variant: its own headers say so.
pub(in crate::render) fn mirror(destinations: &Destinations<'_>) -> Value {
    let fields = [
        (Field::ShadowVariant, Field::Variant),
        (Field::ShadowTarget, Field::Target),
        (Field::ShadowVersion, Field::Version),
    ];
    let mut mutations = Vec::new();
    for (of_copy, field) in fields {
        let (from, to) = (destinations.header(of_copy), destinations.header(field));
        mutations.push(json!({"remove": to}));
        mutations.push(json!({"append": {
            "header": {"key": to, "value": format!("%REQ({from})%")},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }}));
        mutations.push(json!({"remove": from}));
    }
    let cluster = destinations.header(Field::ShadowCluster);
    mutations.push(json!({"remove": cluster}));
    json!({"cluster_header": cluster, "request_headers_mutations": mutations})
}
