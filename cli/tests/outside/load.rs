//! The load in the server's answers, as a client and a real Envoy read it.

use std::net::SocketAddr;

use modelway_tests::client;
use modelway_tests::envoy::Envoy;
use modelway_tests::gateway::{Message, Request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::server::{Server, grpc, rest};
use super::until;

const ASK: &str = "endpoint-load-metrics-format";
const REPORT: &str = "endpoint-load-metrics";

fn tokio() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn header(answer: &Message, name: &str) -> Option<String> {
    answer.headers.get(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// A report with rates: the first moments of a server are too short for them.
async fn with_rates(server: &Server) -> String {
    until("a report with rates", async || {
        let text = header(&server.rest("digits", &[(ASK, "text")]).await, REPORT).expect("a report");
        text.contains("cpu_utilization").then_some(text)
    })
    .await
}

#[test]
fn an_answer_has_the_load_where_it_is_asked_for_and_only_there() {
    tokio().block_on(async {
        let server = Server::start(&[], &[]).await;
        let quiet = server.rest("digits", &[]).await;
        assert_eq!((header(&quiet, REPORT), header(&quiet, "endpoint-load-metrics-bin")), (None, None));

        let text = with_rates(&server).await;
        let fields: Vec<_> = text.strip_prefix("TEXT ").expect("a text").split(", ").collect();
        let value = |name: &str| {
            let of_field = |field: &&str| field.strip_prefix(name)?.strip_prefix('=')?.parse::<f64>().ok();
            fields.iter().find_map(of_field).unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert!(value("cpu_utilization") >= 0.0 && value("mem_utilization") > 0.0);
        assert!(value("rps_fractional") > 0.0 && value("named_metrics.memory_share") > 0.0);
        assert_eq!(value("named_metrics.in_flight"), 0.0);

        // Also an answer that is an error.
        let failure = header(&server.rest("nobody", &[(ASK, "json")]).await, REPORT).expect("a report");
        let json: Value = serde_json::from_str(failure.strip_prefix("JSON ").expect("JSON")).expect("JSON");
        assert!(json["rps_fractional"].is_number() && json["named_metrics"]["queued"].is_number());

        let answer = grpc(server.address(), "digits", &[(ASK, "text")]).await.expect("an answer");
        assert!(answer.metadata().get(REPORT).expect("a report").as_bytes().starts_with(b"TEXT "));
        let answer = grpc(server.address(), "digits", &[(ASK, "bin")]).await.expect("an answer");
        let report = answer.metadata().get_bin("endpoint-load-metrics-bin").expect("a report");
        assert!(report.to_bytes().expect("base64").len() > 20);
        // Without a message, and so without trailers.
        let status = grpc(server.address(), "nobody", &[(ASK, "json")]).await.expect_err("a failure");
        assert!(status.metadata().get(REPORT).expect("a report").as_bytes().starts_with(b"JSON "));
        let quiet = grpc(server.address(), "digits", &[]).await.expect("an answer");
        assert!(quiet.metadata().get(REPORT).is_none());
    });
}

/// An Envoy that spreads requests by the load of this server, and asks for it in a form by the request's path or, for
/// gRPC, its header.
fn bootstrap(server: SocketAddr) -> Value {
    let policy =
        "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";
    let manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let router = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
    let endpoint = json!({"endpoint": {"address": {"socket_address": {
        "address": server.ip().to_string(), "port_value": server.port()}}}});
    json!({
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [{
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [{"filters": [{"name": "http", "typed_config": {
                    "@type": format!("type.googleapis.com/{manager}"),
                    "stat_prefix": "http",
                    "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
                    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "runtimes"}},
                    ]}]},
                }}]}],
            }],
            "clusters": [{
                "name": "runtimes",
                "connect_timeout": "5s",
                "load_assignment": {"cluster_name": "runtimes", "endpoints": [{"lb_endpoints": [endpoint]}]},
                "lrs_report_endpoint_metrics": ["cpu_utilization", "named_metrics.memory_share"],
                "load_balancing_policy": {"policies": [{"typed_extension_config": {
                    "name": "envoy.load_balancing_policies.client_side_weighted_round_robin",
                    "typed_config": {
                        "@type": format!("type.googleapis.com/{policy}"),
                        "metric_names_for_computing_utilization": ["named_metrics.memory_share"],
                    },
                }}]},
                "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": format!("type.googleapis.com/{http}"),
                    "use_downstream_protocol_config": {"http2_protocol_options": {}},
                }},
            }],
        },
    })
}

#[test]
fn a_real_envoy_reads_every_form_and_weighs_by_it() {
    let tokio = tokio();
    let server = tokio.block_on(Server::start(&[], &[]));
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("bootstrap.json");
    std::fs::write(&file, bootstrap(server.address()).to_string()).expect("a bootstrap");
    let envoy = Envoy::start_with(tokio.handle(), &file).expect("Envoy takes it");
    tokio.block_on(async {
        // Envoy weighs by no report without a rate.
        with_rates(&server).await;
        let logging = Request::post("/logging?paths=*router*:trace,*client_side_weighted*:trace,*orca*:trace", "");
        client::send(envoy.admin(), logging).await.expect("a log level");
        let router = Request::post("/logging?router=trace", "");
        client::send(envoy.admin(), router).await.expect("a log level");
        let read = |log: &str| log.lines().filter(|line| line.contains("Adding ORCA load report")).count();
        let mut reports = 0;
        for form in ["text", "json", "bin"] {
            let answer = client::send(envoy.address(), rest("digits", &[(ASK, form)])).await.expect("an answer");
            assert_eq!(answer.headers.get(":status"), Some(b"200".as_slice()), "{form}");
            reports += 1;
            until(&format!("the report in {form}"), async || (read(&envoy.log()) >= reports).then_some(())).await;
            // In the trailers.
            grpc(envoy.address(), "digits", &[(ASK, form)]).await.expect("an answer");
            reports += 1;
            until(&format!("the trailer in {form}"), async || (read(&envoy.log()) >= reports).then_some(())).await;
        }
        // A field of each, as it is printed over many lines: when it is read, and when it is handed on.
        let fields = |log: &str| log.matches("key: \"memory_share\"").count();
        until("every report", async || (fields(&envoy.log()) == 2 * reports).then_some(())).await;
        let log = envoy.log();
        assert!(!log.contains("onOrcaLoadReport failed"), "{log}");
    });
}
