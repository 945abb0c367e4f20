//! The resources of a cluster with Istio or ASM.

use modelway_decision::Field;
use serde_json::{Value, json};

use super::destinations::Destinations;
use super::envoy::{self, routes};
use super::{Rendered, Tier};
use crate::mesh_file::{Mesh, Service, UpstreamHttp};
use crate::yaml::{self, Comment};

pub(super) const WRITTEN_BY: &str = "# Written by `modelway render`: change the mesh file, not this one.\n";
pub(super) const WASM_PLUGIN: &str = "wasm-plugin.yaml";
pub(super) const ENVOY_FILTER: &str = "envoy-filter.yaml";

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// A resource with remarks.
struct Manifest {
    about: &'static str,
    comments: &'static [Comment],
    value: Value,
}

/// The files for one tier.
pub(super) fn manifests(mesh: &Mesh, url: &str, tier: Tier) -> Vec<Rendered> {
    let filter = match tier {
        Tier::Body => vec![
            rendered(ENVOY_FILTER, vec![envoy_filter(mesh, url)]),
            rendered("gateway-tuning.yaml", vec![gateway_tuning(mesh)]),
        ],
        Tier::Header => vec![rendered(WASM_PLUGIN, vec![wasm_plugin(mesh, url)])],
    };
    let around = [
        rendered("virtual-service.yaml", vec![gateway(mesh), virtual_service(mesh)]),
        rendered("destination-rule.yaml", destination_rules(mesh)),
    ];
    filter.into_iter().chain(around).collect()
}

fn rendered(name: &'static str, manifests: Vec<Manifest>) -> Rendered {
    let texts: Vec<String> = manifests.into_iter().map(|manifest| manifest.text()).collect();
    Rendered { name, text: format!("{WRITTEN_BY}{}", texts.join("---\n")) }
}

fn wasm_plugin(mesh: &Mesh, url: &str) -> Manifest {
    let istio = &mesh.deployment.istio;
    let mut spec = json!({
        "selector": {"matchLabels": istio.gateway_selector},
        "url": url,
    });
    if let Some(digest) = &mesh.deployment.module.sha256 {
        spec["sha256"] = json!(digest);
    }
    spec["pluginName"] = json!("modelway");
    spec["phase"] = json!("STATS");
    spec["failStrategy"] = json!("FAIL_RELOAD");
    spec["match"] = json!([{"mode": "CLIENT"}]);
    spec["pluginConfig"] = mesh.routing.clone();
    Manifest {
        about: "The filter's header tier, with Istio's stock resource: REST calls, whose path names the model.\n\
                gRPC calls, and keys or rules on request parameters, need the body tier: envoy-filter.yaml instead of this one.",
        comments: &[
            Comment { path: "metadata.namespace", text: "Where the gateway's pods are." },
            Comment { path: "spec.phase", text: "After authentication and authorisation, before the router." },
            Comment { path: "spec.match", text: "A gateway's listeners count as clients." },
            Comment { path: "spec.pluginConfig", text: "The routing section of the mesh file, word for word." },
        ],
        value: json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {"name": istio.name, "namespace": istio.gateway_namespace},
            "spec": spec,
        }),
    }
}

fn envoy_filter(mesh: &Mesh, url: &str) -> Manifest {
    let istio = &mesh.deployment.istio;
    let digest = mesh.deployment.module.sha256.as_deref().unwrap_or("nil");
    let filter = json!({
        "name": istio.name,
        "typed_config": {
            "@type": WASM,
            "config": {
                "name": istio.name,
                "root_id": "modelway",
                "failure_policy": "FAIL_RELOAD",
                "allow_on_headers_stop_iteration": true,
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": yaml::json(&mesh.routing),
                },
                "vm_config": {
                    "vm_id": istio.name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"remote": {
                        "http_uri": {"uri": url, "cluster": "_", "timeout": "30s"},
                        "sha256": digest,
                    }},
                },
            },
        },
    });
    let place = json!({
        "context": "GATEWAY",
        "listener": {"filterChain": {"filter": {
            "name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": "envoy.filters.http.router"},
        }}},
    });
    let discovery = json!({
        "name": istio.name,
        "config_discovery": {
            "config_source": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "type_urls": [WASM],
        },
    });
    Manifest {
        about: "The filter with both tiers: REST and gRPC, and rules and keys inside the body.\n\
                Instead of wasm-plugin.yaml, which cannot set `allow_on_headers_stop_iteration`. Istio 1.28 or newer (Envoy 1.36).",
        comments: &[
            Comment { path: "metadata.namespace", text: "Where the gateway's pods are." },
            Comment {
                path: "spec.configPatches[0].patch.value.typed_config.config.allow_on_headers_stop_iteration",
                text: "The body tier: hold the headers until the body has told the model.",
            },
            Comment {
                path: "spec.configPatches[0].patch.value.typed_config.config.configuration.value",
                text: "The routing section of the mesh file.",
            },
            Comment {
                path: "spec.configPatches[0].patch.value.typed_config.config.vm_config.code.remote.http_uri",
                text: "The Istio agent fetches the module and rewrites this.",
            },
            Comment {
                path: "spec.configPatches[0].patch.value.typed_config.config.vm_config.code.remote.sha256",
                text: "`nil` is Istio's word for \"not checked\"; `deployment.module.sha256` of the mesh file pins it.",
            },
        ],
        value: json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": istio.name, "namespace": istio.gateway_namespace},
            "spec": {
                "workloadSelector": {"labels": istio.gateway_selector},
                "configPatches": [
                    {
                        "applyTo": "EXTENSION_CONFIG",
                        "match": {"context": "GATEWAY"},
                        "patch": {"operation": "ADD", "value": filter},
                    },
                    {
                        "applyTo": "HTTP_FILTER",
                        "match": place,
                        "patch": {"operation": "INSERT_BEFORE", "value": discovery},
                    },
                ],
            },
        }),
    }
}

fn gateway_tuning(mesh: &Mesh) -> Manifest {
    let istio = &mesh.deployment.istio;
    let destinations = Destinations::of(mesh);
    let of_route =
        |name: &str| json!({"context": "GATEWAY", "routeConfiguration": {"vhost": {"route": {"name": name}}}});
    let mut tuned = json!({
        "request_body_buffer_limit": mesh.deployment.gateway.request_buffer_limit.0,
        "route": {"retry_policy": routes::refusals()},
    });
    if destinations.has_shadows {
        tuned["route"]["request_mirror_policies"] = json!([routes::mirror(&destinations)]);
    }
    let names = [ROUTE.to_owned()].into_iter().chain(destinations.pools().map(|(name, _)| format!("pool-{name}")));
    let mut patches: Vec<Value> =
        names.map(|name| patch("HTTP_ROUTE", of_route(&name), "MERGE", tuned.clone())).collect();
    let of_cluster = |service: &Service| {
        let cluster = json!({"service": service.host, "portNumber": service.port});
        json!({"context": "GATEWAY", "cluster": cluster})
    };
    let runtimes = &mesh.deployment.service;
    let http = runtimes.said_http().unwrap_or_default();
    let tuned = tuned_cluster(Some(http), runtimes.health_path_of_runtimes());
    patches.push(patch("CLUSTER", of_cluster(runtimes), "MERGE", tuned));
    patches.extend(destinations.pools().map(|(_, service)| {
        let tuned = tuned_cluster(service.said_http(), service.said_health_path());
        patch("CLUSTER", of_cluster(service), "MERGE", tuned)
    }));
    if destinations.has_clusters {
        let mut route = json!({"name": "cluster"});
        if let (Some(route), Some(rest)) = (route.as_object_mut(), routes::by_cluster(mesh, &destinations).as_object())
        {
            route.extend(rest.clone());
        }
        let everywhere = json!({"context": "GATEWAY", "routeConfiguration": {"vhost": {}}});
        patches.push(patch("HTTP_ROUTE", everywhere, "INSERT_FIRST", route));
    }
    Manifest {
        about: "What VirtualService and DestinationRule have no field for; Istio 1.28 or newer (Envoy 1.36).",
        comments: &[
            Comment {
                path: "spec.configPatches[0].patch.value.request_body_buffer_limit",
                text: "A request larger than its buffer, 32 KiB on Istio's gateways, could not be sent again to another runtime.",
            },
            Comment {
                path: "spec.configPatches[0].patch.value.route.retry_policy",
                text: "A healthy runtime that should not take the request refuses with this header; another one is asked.",
            },
            Comment {
                path: "spec.configPatches[1].patch.value.common_lb_config.consistent_hashing_lb_config",
                text: "No runtime gets more than one and a half times its share: a hot model spreads.",
            },
            Comment {
                path: "spec.configPatches[1].patch.value.health_checks",
                text: "Notices a runtime that is to stop, or hangs, before Kubernetes has told the gateway.",
            },
            Comment {
                path: "spec.configPatches[1].patch.value.typed_extension_protocol_options",
                text: "A frozen runtime keeps its TCP connections: only the keepalive notices.",
            },
        ],
        value: json!({
            "apiVersion": "networking.istio.io/v1alpha3",
            "kind": "EnvoyFilter",
            "metadata": {"name": format!("{}-tuning", istio.name), "namespace": istio.gateway_namespace},
            "spec": {
                "workloadSelector": {"labels": istio.gateway_selector},
                "configPatches": patches,
            },
        }),
    }
}

/// What a DestinationRule has no field for.
fn tuned_cluster(http: Option<UpstreamHttp>, health_path: Option<&str>) -> Value {
    let mut tuned = json!({
        "common_lb_config": envoy::load_balancing(),
        "ignore_health_on_host_removal": true,
    });
    if let Some(path) = health_path {
        tuned["health_checks"] = json!([envoy::health_check(path, http.unwrap_or(UpstreamHttp::Http1))]);
    }
    // Which HTTP the others speak is for the Service's appProtocol to say.
    if http == Some(UpstreamHttp::Http2) {
        tuned["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": envoy::protocol_options(UpstreamHttp::Http2),
        });
    }
    tuned
}

#[allow(clippy::needless_pass_by_value)]
fn patch(apply_to: &str, matches: Value, operation: &str, value: Value) -> Value {
    json!({"applyTo": apply_to, "match": matches, "patch": {"operation": operation, "value": value}})
}

/// The route's name, by which the tuning finds it.
const ROUTE: &str = "models";

fn gateway(mesh: &Mesh) -> Manifest {
    let istio = &mesh.deployment.istio;
    Manifest {
        about: "All calls go to the runtimes; which runtime, the DestinationRule's hash decides.",
        comments: &[],
        value: json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": istio.name, "namespace": istio.namespace},
            "spec": {
                "selector": istio.gateway_selector,
                "servers": [{
                    "port": {"number": istio.gateway_port, "name": "http", "protocol": "HTTP"},
                    "hosts": istio.hosts,
                }],
            },
        }),
    }
}

fn virtual_service(mesh: &Mesh) -> Manifest {
    let istio = &mesh.deployment.istio;
    let destinations = Destinations::of(mesh);
    let pools = destinations.pools().map(|(name, service)| {
        let header = destinations.header(Field::Pool);
        let mut route = json!({"name": format!("pool-{name}"), "match": [{"headers": {header: {"exact": name}}}]});
        if let (Some(route), Some(rest)) = (route.as_object_mut(), destination(service).as_object()) {
            route.extend(rest.clone());
        }
        route
    });
    let mut to_service = json!({"name": ROUTE});
    if let (Some(route), Some(rest)) = (to_service.as_object_mut(), destination(&mesh.deployment.service).as_object()) {
        route.extend(rest.clone());
    }
    let routes: Vec<Value> = pools.chain([to_service]).collect();
    Manifest {
        about: "",
        comments: &[
            Comment { path: "spec.http[0].timeout", text: "A stream of tokens has no length known beforehand." },
            Comment {
                path: "spec.http[0].retries.retryOn",
                text: "429 and resource-exhausted: a healthy runtime that should not take the request refuses with these. \
                       gateway-tuning.yaml goes by the header of a refusal instead.",
            },
        ],
        value: json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": istio.name, "namespace": istio.namespace},
            "spec": {
                "hosts": istio.hosts,
                "gateways": [istio.name],
                "http": routes,
            },
        }),
    }
}

fn destination(service: &Service) -> Value {
    json!({
        "route": [{"destination": {"host": service.host, "port": {"number": service.port}}}],
        "timeout": "0s",
        "retries": {"attempts": 3, "retryOn": "connect-failure,refused-stream,reset,429,resource-exhausted"},
    })
}

/// One for each host: the service's, and those of the pools.
fn destination_rules(mesh: &Mesh) -> Vec<Manifest> {
    let of_service = destination_rule(mesh, "runtime", &mesh.deployment.service.host);
    let pools = mesh.deployment.pools.iter();
    let pools = pools.map(|(name, service)| destination_rule(mesh, &format!("pool-{name}"), &service.host));
    [of_service].into_iter().chain(pools).collect()
}

fn destination_rule(mesh: &Mesh, of: &str, host: &str) -> Manifest {
    let istio = &mesh.deployment.istio;
    let destinations = Destinations::of(mesh);
    Manifest {
        about: "Every model on few runtimes: the ring hashes the header that the filter sets.",
        comments: &[
            Comment {
                path: "spec.trafficPolicy.connectionPool.http.maxRetries",
                text: "Envoy's default lets three retries run at a time.",
            },
            Comment {
                path: "spec.trafficPolicy.outlierDetection",
                text: "For connections that fail or break only. Answers never eject: what a bad model answers would follow it \
                       from runtime to runtime.",
            },
        ],
        value: json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": format!("{}-{of}", istio.name), "namespace": istio.namespace},
            "spec": {
                "host": host,
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {
                        "httpHeaderName": destinations.header(Field::Affinity),
                        "ringHash": {"minimumRingSize": 1024},
                    }},
                    "connectionPool": {
                        "tcp": {"connectTimeout": "1s"},
                        "http": {"http1MaxPendingRequests": 10000, "http2MaxRequests": 10000, "maxRetries": 1000},
                    },
                    "outlierDetection": {
                        "splitExternalLocalOriginErrors": true,
                        "consecutiveLocalOriginFailures": 5,
                        "consecutive5xxErrors": 0,
                        "consecutiveGatewayErrors": 0,
                        "interval": "1s",
                        "baseEjectionTime": "5s",
                        "maxEjectionPercent": 50,
                    },
                },
            },
        }),
    }
}

// === impl Manifest ===

impl Manifest {
    fn text(&self) -> String {
        let about: Vec<String> = self.about.lines().map(|line| format!("# {line}\n")).collect();
        format!("{}{}", about.concat(), yaml::write(&self.value, self.comments))
    }
}
