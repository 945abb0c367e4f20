//! Traces, from the real process to a real collector's service.

use std::net::TcpListener;

use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::Code;

use super::collector::{Collector, attribute};
use super::server::Server;
use super::until;

/// Spans are sent soon, so that nobody has to wait five seconds for them.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");
const CALLER: &str = "00f067aa0ba902b7";

fn trace_id(number: u8) -> String {
    format!("{number:032x}")
}

fn traceparent(number: u8, flags: &str) -> String {
    format!("00-{}-{CALLER}-{flags}", trace_id(number))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a trace, once the request's own is there, which ends last.
async fn spans(collector: &Collector, number: u8) -> (Span, Vec<Span>) {
    let id = trace_id(number);
    until(&format!("the span of trace {number}"), async || {
        let mut all = collector.spans();
        all.retain(|span| hex(&span.trace_id) == id);
        let own = all.iter().position(|span| hex(&span.parent_span_id) == CALLER)?;
        let own = all.remove(own);
        Some((own, all))
    })
    .await
}

fn names(spans: &[Span]) -> Vec<&str> {
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn of(span: &Span, name: &str) -> String {
    attribute(&span.attributes, name).unwrap_or_else(|| panic!("no {name} in {:?}", span.attributes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_continues_its_callers_trace_over_rest_and_grpc() {
    let collector = Collector::start().await;
    let server = Server::start(&["--otlp-endpoint", &collector.endpoint()], &[SOON]).await;

    // The first one waits for the load.
    let answer = server.rest("digits", &[("traceparent", &traceparent(1, "01"))]).await;
    assert_eq!(answer.headers.get(":status"), Some(b"200".as_slice()));
    let (span, children) = spans(&collector, 1).await;
    assert_eq!(span.name, "POST /v2/models/{model}/infer");
    assert_eq!(of(&span, "modelway.model"), "digits");
    assert_eq!(of(&span, "modelway.protocol"), "rest");
    assert_eq!(of(&span, "http.response.status_code"), "200");
    assert_eq!(of(&span, "http.response.body.size"), answer.body.len().to_string());
    assert!(of(&span, "http.request.body.size").parse::<usize>().expect("a number") > 100);
    assert_eq!(names(&children), ["compute", "load"]);
    for child in &children {
        assert_eq!(child.parent_span_id, span.span_id);
        assert!(span.start_time_unix_nano <= child.start_time_unix_nano);
        assert!(child.start_time_unix_nano <= child.end_time_unix_nano);
        assert!(child.end_time_unix_nano <= span.end_time_unix_nano);
    }
    assert_eq!(collector.resource("service.name").as_deref(), Some("modelway"));

    server.grpc("digits", &[("traceparent", &traceparent(2, "01"))]).await.expect("an answer");
    let (span, children) = spans(&collector, 2).await;
    assert_eq!(span.name, "inference.GRPCInferenceService/ModelInfer");
    assert_eq!(
        (of(&span, "modelway.protocol"), of(&span, "rpc.grpc.status_code")),
        ("grpc".to_owned(), "0".to_owned())
    );
    assert!(of(&span, "http.response.body.size").parse::<usize>().expect("a number") > 10);
    assert_eq!(names(&children), ["compute"]);

    // A caller that does not record its trace does not get one recorded here; a later one's comes behind it.
    server.rest("digits", &[("traceparent", &traceparent(3, "00"))]).await;
    server.grpc("digits", &[("traceparent", &traceparent(4, "00"))]).await.expect("an answer");
    server.rest("digits", &[("traceparent", &traceparent(5, "01"))]).await;
    spans(&collector, 5).await;
    for unsampled in [3, 4] {
        assert!(!collector.spans().iter().any(|span| hex(&span.trace_id) == trace_id(unsampled)));
    }

    // What failed, and why.
    let status = server.grpc("bad", &[("traceparent", &traceparent(6, "01"))]).await.expect_err("a failure");
    assert_eq!(status.code(), Code::ResourceExhausted);
    let (span, children) = spans(&collector, 6).await;
    assert_eq!(of(&span, "rpc.grpc.status_code"), "8");
    assert_eq!(names(&children), ["load"]);
    let reason = attribute(&children[0].attributes, "error.message").expect("a reason");
    assert!(reason.starts_with("model 'bad' failed to load: "), "{reason}");
    server.rest("nobody", &[("traceparent", &traceparent(7, "01"))]).await;
    let (span, children) = spans(&collector, 7).await;
    assert_eq!((of(&span, "http.response.status_code"), children.len()), ("404".to_owned(), 0));

    // Who has no trace begins one, and what is no inference has none.
    modelway_tests::client::send(server.address(), modelway_tests::gateway::Request::get("/v2/health/ready"))
        .await
        .expect("an answer");
    server.rest("digits", &[]).await;
    let is_root = |span: &Span| span.parent_span_id.is_empty();
    let root = until("a trace of its own", async || collector.spans().into_iter().find(is_root)).await;
    assert_eq!(root.name, "POST /v2/models/{model}/infer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opentelemetrys_variables_count_and_the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_SERVICE_NAME", "digits-server".to_owned()),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off".to_owned()),
        // Nothing is sent before the end.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000".to_owned()),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::start(&[], &variables).await;
    server.rest("digits", &[]).await;
    server.rest("digits", &[("traceparent", &traceparent(8, "01"))]).await;
    assert!(collector.spans().is_empty());
    server.stop().await;
    spans(&collector, 8).await;
    assert!(!collector.spans().iter().any(|span| span.parent_span_id.is_empty()));
    assert_eq!(collector.resource("service.name").as_deref(), Some("digits-server"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_down_is_told_once_and_disturbs_nobody() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let endpoint = format!("http://{nobody}");
    let server = Server::start(&["--otlp-endpoint", &endpoint], &[SOON, ("OTEL_EXPORTER_OTLP_TIMEOUT", "50")]).await;
    let told = |log: &str| log.lines().filter(|line| line.contains("traces do not arrive")).count();
    until("the warning", async || {
        let answer = server.rest("digits", &[]).await;
        assert_eq!(answer.headers.get(":status"), Some(b"200".as_slice()));
        (told(&server.log()) > 0).then_some(())
    })
    .await;
    // Many exports later.
    for _ in 0..30 {
        let answer = server.rest("digits", &[]).await;
        assert_eq!(answer.headers.get(":status"), Some(b"200".as_slice()));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let log = server.stop().await;
    assert_eq!(told(&log), 1, "{log}");
}

#[test]
fn an_endpoint_that_cannot_work_is_refused_at_the_start() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_modelway"));
    command.args(["serve", "--port", "0", "--otlp-endpoint", "https://collector:4317", "--models"]).arg(folder.path());
    let output = command.output().expect("modelway runs");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("modelway: --otlp-endpoint is 'https://collector:4317', traces are sent without TLS"),
        "{error}"
    );
}
