//! Behind and before Envoy's transcoder from REST to gRPC, and messages that only claim to come from one.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::check::{answered, decoded, header_is, pass, refused_grpc, routed, says, send};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Message, Part, Protocol, Request, Setup, Transcoder};
use crate::inference::{ModelInferRequest, ModelRequest, field, frame, infer, messages};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const ORIGINAL: &str = "x-envoy-original-path";
const INVALID_ARGUMENT: u32 = 3;

pub(super) fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for place in [Transcoder::BeforeFilter, Transcoder::BehindFilter] {
        all.extend(cases![standard().with_transcoder(place);
            a_rest_call_reaches_the_upstream_as_a_renamed_message,
            a_version_reaches_the_upstream_as_decided,
            calls_without_a_body_are_renamed,
            a_large_body_is_renamed,
            a_model_of_the_upstreams_name_keeps_it,
            grpc_calls_pass_by_the_transcoder,
        ]);
        // A transcoder behind the filter takes a name in the body for the path's, unless it is told not to.
        all.extend(match place {
            Transcoder::BeforeFilter => {
                cases![standard().with_transcoder(place); a_body_that_names_another_model_is_overridden]
            }
            Transcoder::BehindFilter => {
                cases![standard().with_transcoder(place); a_body_that_names_another_model_is_refused]
            }
        });
        let reject = Setup::new(&routing_with("unknownModels", "Reject")).with_transcoder(place);
        all.extend(cases![reject; an_unknown_model_is_refused]);
    }
    all.extend(cases![standard();
        a_message_that_claims_to_be_transcoded_is_overridden,
        a_message_in_pieces_is_overridden_at_its_end,
        a_compressed_message_that_claims_to_be_transcoded_is_refused,
        a_message_that_would_swallow_its_override_is_refused,
        a_claim_that_is_no_model_path_counts_for_nothing,
        a_claimed_path_with_two_readings_is_refused,
    ]);
    all.extend(cases![standard().without_stop_iteration();
        a_message_that_claims_to_be_transcoded_is_overridden,
    ]);
    all.extend(cases![Setup::new(&routing_with("rewrite", "Headers")); without_rewriting_only_the_headers_say_where]);
    all
}

fn body(values: &[f32]) -> Value {
    json!({ "id": "7", "inputs": [{ "name": "predict", "datatype": "FP32", "shape": ["1", values.len().to_string()],
        "contents": { "fp32_contents": values } }] })
}

fn rest(path: &str, body: &Value) -> Request {
    Request::post(path, body.to_string()).over(Protocol::Http2)
}

/// What the upstream reads; the message must be one whole frame.
fn read(upstream: &Message) -> Result<ModelInferRequest> {
    header_is(upstream, ":path", Some(INFER))?;
    decoded(&upstream.body)
}

fn a_rest_call_reaches_the_upstream_as_a_renamed_message(gateway: &mut dyn Gateway) -> Result<()> {
    for name in ["iris", "flowers"] {
        let upstream = pass(gateway, rest(&format!("/v2/models/{name}/infer"), &body(&[1.0, 2.0])))?;
        routed(&upstream, [Some(name), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
        let seen = read(&upstream)?;
        let input = seen.inputs.first().context("no input")?;
        ensure!(seen.model_name == "iris-v1" && seen.model_version.is_empty() && seen.id == "7", "{seen:?}");
        ensure!(input.name == "predict" && input.shape == [1, 2], "{input:?}");
    }
    Ok(())
}

fn a_version_reaches_the_upstream_as_decided(gateway: &mut dyn Gateway) -> Result<()> {
    for (request, name, version) in [
        (rest("/v2/models/iris/versions/2/infer", &body(&[1.0])), "iris-v2", "2"),
        (rest("/v2/models/iris/versions/7/infer", &body(&[1.0])), "iris-v1", "7"),
        (rest("/v2/models/iris/infer", &body(&[1.0])).header("x-beta", "true"), "iris-v2", "2"),
    ] {
        let upstream = pass(gateway, request)?;
        let seen = read(&upstream)?;
        ensure!(seen.model_name == name && seen.model_version == version, "{seen:?}");
        header_is(&upstream, "x-modelway-version", Some(version))?;
    }
    Ok(())
}

fn calls_without_a_body_are_renamed(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v2/models/iris/ready", "/v2/models/iris"] {
        let upstream = pass(gateway, Request::get(path).over(Protocol::Http2))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
        let seen: ModelRequest = decoded(&upstream.body)?;
        ensure!(seen.name == "iris-v1" && seen.version.is_empty(), "{path}: the upstream read {seen:?}");
    }
    Ok(())
}

fn a_large_body_is_renamed(gateway: &mut dyn Gateway) -> Result<()> {
    let values = vec![0.5; 200_000];
    let upstream = pass(gateway, rest("/v2/models/iris/infer", &body(&values)))?;
    let seen = read(&upstream)?;
    ensure!(seen.model_name == "iris-v1", "the upstream read {:?}", seen.model_name);
    ensure!(upstream.body.len() > 4 * values.len(), "{} bytes", upstream.body.len());
    Ok(())
}

fn naming_another() -> Request {
    let mut body = body(&[1.0]);
    if let Some(fields) = body.as_object_mut() {
        fields.insert("model_name".to_owned(), json!("digits"));
        fields.insert("modelVersion".to_owned(), json!("9"));
    }
    rest("/v2/models/iris/infer", &body)
}

fn a_body_that_names_another_model_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, naming_another())?;
    // Its headers have gone on by then, but no message follows them.
    ensure!(exchange.upstream.as_ref().is_none_or(|message| message.body.is_empty()), "the upstream got a message");
    header_is(answered(&exchange)?, ":status", Some("400"))
}

fn a_body_that_names_another_model_is_overridden(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, naming_another())?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    let seen = read(&upstream)?;
    ensure!(seen.model_name == "iris-v1" && seen.model_version.is_empty(), "the upstream read {seen:?}");
    Ok(())
}

fn a_model_of_the_upstreams_name_keeps_it(gateway: &mut dyn Gateway) -> Result<()> {
    for name in ["plain", "nobody-knows-it"] {
        let upstream = pass(gateway, rest(&format!("/v2/models/{name}/infer"), &body(&[1.0])))?;
        header_is(&upstream, "x-modelway-target", Some(name))?;
        ensure!(read(&upstream)?.model_name == name, "the name has changed");
    }
    Ok(())
}

fn grpc_calls_pass_by_the_transcoder(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::grpc(INFER, frame(&infer("iris", 50_000))))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    let seen = read(&upstream)?;
    ensure!(seen == ModelInferRequest { model_name: "iris-v1".to_owned(), ..infer("iris", 50_000) }, "it has changed");
    Ok(())
}

fn an_unknown_model_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, rest("/v2/models/irsi/infer", &body(&[1.0])))?;
    ensure!(exchange.upstream.is_none(), "the upstream got {:?}", exchange.upstream);
    let answer = answered(&exchange)?;
    header_is(answer, ":status", Some("404"))?;
    says(&String::from_utf8_lossy(&answer.body), "did you mean 'iris'")
}

fn claimed(path: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::grpc(INFER, body).header(ORIGINAL, path)
}

/// The upstream must read the model that the headers name, in the first message, and the others as they were.
fn overridden(upstream: &Message, more: &[u8]) -> Result<()> {
    header_is(upstream, "x-modelway-target", Some("iris-v1"))?;
    let bodies = messages(&upstream.body).context("the upstream got no whole frames")?;
    let first = bodies.first().context("no message")?;
    let seen = <ModelInferRequest as prost::Message>::decode(*first)?;
    ensure!(
        seen.model_name == "iris-v1" && seen.model_version.is_empty(),
        "{:?} {:?}",
        seen.model_name,
        seen.model_version
    );
    ensure!(seen.raw_input_contents == infer("", 30_000).raw_input_contents, "the tensor has changed");
    ensure!(upstream.body.get(first.len() + 5..) == Some(more), "what follows has changed");
    Ok(())
}

fn a_message_that_claims_to_be_transcoded_is_overridden(gateway: &mut dyn Gateway) -> Result<()> {
    let message = ModelInferRequest { model_version: "9".to_owned(), ..infer("digits", 30_000) };
    let one = frame(&message);
    let length = one.len().to_string();
    let upstream = pass(gateway, claimed("/v2/models/iris/infer", one.clone()).header("content-length", length))?;
    header_is(&upstream, "content-length", Some(&upstream.body.len().to_string()))?;
    overridden(&upstream, b"")?;
    let second = frame(&infer("digits", 20));
    let upstream = pass(gateway, claimed("/v2/models/iris/infer", [one, second.clone()].concat()))?;
    overridden(&upstream, &second)
}

fn a_message_in_pieces_is_overridden_at_its_end(gateway: &mut dyn Gateway) -> Result<()> {
    let body = frame(&infer("digits", 30_000));
    let mut requests = Vec::new();
    for split in [1, 4, 5, 6, 30, 16_384, body.len() - 1] {
        let (first, rest) = body.split_at(split);
        let mut request = claimed("/v2/models/iris/infer", first);
        request.body.push(Part { after: std::time::Duration::from_millis(3), bytes: rest.to_vec() });
        requests.push(request);
    }
    for exchange in gateway.exchange(requests)? {
        overridden(super::check::passed(&exchange)?, b"")?;
    }
    Ok(())
}

fn a_compressed_message_that_claims_to_be_transcoded_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let mut body = frame(&infer("digits", 10));
    if let Some(flag) = body.first_mut() {
        *flag = 1;
    }
    let exchange = send(gateway, claimed("/v2/models/iris/infer", body))?;
    let answer = answered(&exchange)?;
    header_is(answer, "grpc-status", Some(&INVALID_ARGUMENT.to_string()))
}

/// What is added behind half a field would be a part of it, and the client's own name would count.
fn a_message_that_would_swallow_its_override_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    for half in [&b"\x9a"[..], b"\x9a\x01", b"\x9a\x01\x0e"] {
        let body = crate::inference::frame_bytes(&[field(1, b"digits"), half.to_vec()].concat());
        let exchange = send(gateway, claimed("/v2/models/iris/infer", body))?;
        header_is(answered(&exchange)?, "grpc-status", Some(&INVALID_ARGUMENT.to_string()))?;
        // The headers have gone on before; the message has not.
        let got = exchange.upstream.as_ref().is_some_and(|upstream| upstream.complete || !upstream.body.is_empty());
        ensure!(!got, "the upstream got {:?}", exchange.upstream);
    }
    Ok(())
}

fn a_claim_that_is_no_model_path_counts_for_nothing(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/", "/v2/health/ready", "/v2/models/stats", INFER] {
        let upstream = pass(gateway, claimed(path, frame(&infer("iris", 10))))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
        ensure!(read(&upstream)?.model_name == "iris-v1", "it was not renamed");
    }
    Ok(())
}

fn a_claimed_path_with_two_readings_is_refused(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, claimed("/v2/models/x/../iris/infer", frame(&infer("digits", 10))))?;
    refused_grpc(&exchange, INVALID_ARGUMENT).map(drop)
}

fn without_rewriting_only_the_headers_say_where(gateway: &mut dyn Gateway) -> Result<()> {
    let body = [field(1, b"iris"), field(3, b"id")].concat();
    let body = crate::inference::frame_bytes(&body);
    let upstream = pass(gateway, claimed("/v2/models/iris/infer", body.clone()))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    ensure!(upstream.body == body, "the body has changed");
    Ok(())
}
