//! The strict mode: what two readers could understand differently is refused, the rest goes through as ever.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::check::{SECOND, decoded, header_is, pass, passed, refused_grpc, refused_openai, refused_rest, says, send};
use super::{Case, cases, routing};
use crate::gateway::{Gateway, Protocol, Request, Setup};
use crate::headers::Headers;
use crate::inference::{ModelInferRequest, field, frame, frame_bytes, infer, with_parameter};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const RULED: &str = "/v2/models/ruled/infer";
const INVALID_ARGUMENT: u32 = 3;

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![setup("Strict", "Default");
        ordinary_requests_go_through,
        a_body_that_routing_does_not_need_is_not_read,
        json_with_two_meanings_is_refused,
        messages_with_two_meanings_are_refused,
        compressed_bodies_that_routing_needs_are_refused,
        bodies_end_in_every_way,
        megabytes_are_read_up_to_the_limit,
    ];
    all.extend(cases![setup("Strict", "Reject"); ordinary_requests_go_through, megabytes_are_refused]);
    all.extend(cases![setup("Fast", "Default"); compressed_bodies_go_on_unchanged]);
    all.extend(cases![Setup::example("strict"); what_the_example_promises]);
    all
}

fn setup(mode: &str, on_peek_limit: &str) -> Setup {
    let mut routing = routing();
    if let Some(fields) = routing.as_object_mut() {
        fields.insert("mode".to_owned(), Value::from(mode));
        fields.insert("onPeekLimit".to_owned(), Value::from(on_peek_limit));
    }
    Setup::new(&routing)
}

fn ordinary_requests_go_through(gateway: &mut dyn Gateway) -> Result<()> {
    let body = r#"{"id":"7","parameters":{"tier":"beta","x":1},"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2]},{"name":"b","shape":[0],"datatype":"BYTES","data":[]}]}"#;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let exchange = send(gateway, Request::post(RULED, body).over(protocol))?;
        ensure!(exchange.took < SECOND, "it took {:?}", exchange.took);
        let upstream = passed(&exchange)?;
        header_is(upstream, "x-modelway-target", Some("ruled-v2"))?;
        ensure!(upstream.body == body.as_bytes(), "the body has changed");
    }
    let binary = [&br#"{"parameters":{"tier":"beta"}}"#[..], &[7; 1000]].concat();
    let request = Request::post(RULED, binary.clone()).header("inference-header-content-length", "30");
    let upstream = pass(gateway, request)?;
    header_is(&upstream, "x-modelway-target", Some("ruled-v2"))?;
    ensure!(upstream.body == binary, "the body has changed");

    let message = with_parameter(infer("ruled", 100), "tier", "beta");
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    let seen: ModelInferRequest = decoded(&upstream.body)?;
    ensure!(seen.model_name == "ruled-v2" && seen.id == message.id, "the upstream read {:?}", seen.model_name);

    let upstream = pass(gateway, Request::post("/v1/completions", r#"{"model":"iris","prompt":["a"]} "#))?;
    ensure!(upstream.body == br#"{"model":"iris-v1","prompt":["a"]} "#, "the upstream got {:?}", upstream.body);
    Ok(())
}

fn a_body_that_routing_does_not_need_is_not_read(gateway: &mut dyn Gateway) -> Result<()> {
    let body = r#"{"id":1,"id":2"#;
    let upstream = pass(gateway, Request::post("/v2/models/iris/infer", body))?;
    ensure!(upstream.body == body.as_bytes(), "the body has changed");
    Ok(())
}

fn json_with_two_meanings_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for (body, part) in [
        (r#"{"parameters":{"tier":"a"},"parameters":{"tier":"beta"}}"#, "comes twice"),
        (r#"{"parameters":{"tier":"a","ti\u0065r":"beta"}}"#, "comes twice"),
        (r#"{"inputs":[{"name":"a","name":"b"}]}"#, "comes twice"),
        (r#"{"parameters":{"tier":"a"}} {"parameters":{"tier":"beta"}}"#, "behind the end"),
        (r#"{"parameters":{"tier":"a",}}"#, "not JSON"),
        (r#"{"parameters":{"tier":"a"}"#, "ends too early"),
        (r#"["parameters"]"#, "not a JSON object"),
    ] {
        let error = refused_rest(&send(gateway, Request::post(RULED, body))?, 400)?;
        says(&error, part)?;
    }
    let deep = format!("{{\"x\":{}", "[".repeat(1000));
    says(&refused_rest(&send(gateway, Request::post(RULED, deep))?, 400)?, "nested")?;
    let error =
        refused_openai(&send(gateway, Request::post("/v1/completions", r#"{"model":"plain","model":"iris"}"#))?, 400)?;
    says(&error.to_string(), "comes twice")
}

fn messages_with_two_meanings_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let parameters = prost::Message::encode_to_vec(&with_parameter(ModelInferRequest::default(), "tier", "beta"));
    for message in [
        [field(1, b"plain"), field(1, b"iris")].concat(),
        [field(1, b"iris"), field(2, b"1"), field(7, &[0; 100]), field(2, b"2")].concat(),
        [field(3, b"a"), field(1, b"iris"), field(3, b"b")].concat(),
        [field(1, b"ruled"), parameters.clone(), parameters].concat(),
    ] {
        let text = refused_grpc(&send(gateway, Request::grpc(INFER, frame_bytes(&message)))?, INVALID_ARGUMENT)?;
        says(&text, "comes twice")?;
    }
    Ok(())
}

fn compressed() -> [Request; 3] {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let frame = [&[1, 0, 0, 0, gzip.len() as u8][..], &gzip].concat();
    [
        Request::post(RULED, gzip).header("content-encoding", "gzip"),
        Request::post("/v1/completions", gzip).header("content-encoding", "gzip"),
        Request::grpc(INFER, frame).header("grpc-encoding", "gzip"),
    ]
}

fn compressed_bodies_that_routing_needs_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let [rest, openai, grpc] = compressed();
    says(&refused_rest(&send(gateway, rest)?, 400)?, "compressed")?;
    says(&refused_openai(&send(gateway, openai)?, 400)?.to_string(), "compressed")?;
    says(&refused_grpc(&send(gateway, grpc)?, INVALID_ARGUMENT)?, "compressed")
}

fn compressed_bodies_go_on_unchanged(gateway: &mut dyn Gateway) -> Result<()> {
    for (request, target) in compressed().into_iter().zip([Some("ruled-v1"), None, None]) {
        let body = request.body_bytes();
        let upstream = pass(gateway, request)?;
        header_is(&upstream, "x-modelway-target", target)?;
        ensure!(upstream.body == body, "the body has changed");
    }
    Ok(())
}

fn bodies_end_in_every_way(gateway: &mut dyn Gateway) -> Result<()> {
    let parts = || [br#"{"parameters":{"ti"#.to_vec(), br#"er":"beta"}}"#.to_vec(), b"\n".to_vec()];
    let mut with_trailers = Request::new(Protocol::Http2, "POST", RULED).parts(parts());
    with_trailers.trailers = Some(Headers::new().with("x-checksum", "7"));
    let chunked = Request::new(Protocol::Http1, "POST", RULED).parts(parts());
    let streamed = Request::new(Protocol::Http2, "POST", RULED).parts(parts());
    let expecting = Request::post(RULED, parts().concat()).header("expect", "100-continue");
    for request in [with_trailers, chunked, streamed, expecting] {
        let exchange = send(gateway, request)?;
        ensure!(exchange.took < SECOND, "it took {:?}", exchange.took);
        let upstream = passed(&exchange)?;
        header_is(upstream, "x-modelway-target", Some("ruled-v2"))?;
        ensure!(upstream.body == parts().concat(), "the body has changed");
    }
    for path in [RULED, "/v1/completions"] {
        let empty = send(gateway, Request::post(path, ""))?;
        ensure!(empty.took < SECOND && empty.upstream.is_some(), "an empty body: {empty:?}");
    }
    Ok(())
}

fn megabytes() -> [Request; 2] {
    let numbers = vec!["0.125"; 200_000].join(",");
    let json = format!(r#"{{"parameters":{{"tier":"beta"}},"inputs":[{{"data":[{numbers}]}}]}}"#);
    let message = with_parameter(infer("ruled", 1_000_000), "tier", "beta");
    [Request::post(RULED, json), Request::grpc(INFER, frame(&message))]
}

fn megabytes_are_read_up_to_the_limit(gateway: &mut dyn Gateway) -> Result<()> {
    for request in megabytes() {
        header_is(&pass(gateway, request)?, "x-modelway-target", Some("ruled-v2"))?;
    }
    Ok(())
}

fn megabytes_are_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let [rest, grpc] = megabytes();
    says(&refused_rest(&send(gateway, rest)?, 400)?, "raise peekLimit")?;
    says(&refused_grpc(&send(gateway, grpc)?, INVALID_ARGUMENT)?, "raise peekLimit")
}

/// `docs/examples/strict.yaml`.
fn what_the_example_promises(gateway: &mut dyn Gateway) -> Result<()> {
    let infer = |body: String| Request::post("/v2/models/mnist/infer", body);
    let beta = r#""parameters":{"tier":"beta"}"#;
    let upstream = pass(gateway, infer(format!("{{{beta}}}")))?;
    header_is(&upstream, "x-modelway-target", Some("sklearn-mnist-v2"))?;
    let doubled = infer(format!(r#"{{"parameters":{{"tier":"a"}},{beta}}}"#));
    says(&refused_rest(&send(gateway, doubled)?, 400)?, "comes twice")?;
    let large = infer(format!(r#"{{{beta},"inputs":[{{"data":[{}0]}}]}}"#, "0,".repeat(300_000)));
    says(&refused_rest(&send(gateway, large)?, 400)?, "raise peekLimit")?;
    let unknown = Request::post("/v2/models/mnits/infer", "{}");
    says(&refused_rest(&send(gateway, unknown)?, 404)?, "did you mean 'mnist'")
}
