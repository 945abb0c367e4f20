//! gRPC calls: the model stands in the first message, the headers wait for it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::check::{decoded, header_is, pass, routed, send};
use super::{Case, cases, routing_with, standard};
use crate::gateway::{Gateway, Part, Request, Setup};
use crate::inference::{ModelInferRequest, ModelRequest, field, frame, frame_bytes, infer, messages};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![standard();
        an_infer_call_is_routed_and_renamed,
        the_name_may_stand_anywhere_in_the_message,
        the_name_may_stand_behind_a_tensor_of_several_frames,
        of_repeated_names_the_last_counts_as_for_the_upstream,
        a_version_in_the_message_chooses_the_variant_of_that_version,
        a_version_behind_the_name_is_seen_wherever_it_stands,
        a_message_in_pieces_is_routed_like_a_whole_one,
        the_content_length_follows_the_name,
        every_method_that_names_a_model_is_routed,
        a_stream_of_messages_is_routed_by_its_first,
        a_client_that_waits_for_an_answer_in_its_stream_gets_it,
        a_message_for_a_model_of_the_upstreams_name_is_untouched,
        methods_that_name_no_model_pass_as_they_are,
        an_alias_is_the_model,
    ];
    all.extend(cases![Setup::new(&routing_with("rewrite", "Headers")); without_rewriting_only_the_headers_say_where]);
    all.extend(cases![Setup::new(&routing_with("rewrite", "Always")); rewriting_always_changes_nothing_for_a_reader]);
    all
}

fn an_infer_call_is_routed_and_renamed(gateway: &mut dyn Gateway) -> Result<()> {
    let message = infer("iris", 100);
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
    renamed(&upstream.body, message, "iris-v1", "")
}

/// The upstream's message must be the client's with another name and version and nothing else changed.
fn renamed(body: &[u8], mut message: ModelInferRequest, name: &str, version: &str) -> Result<()> {
    name.clone_into(&mut message.model_name);
    version.clone_into(&mut message.model_version);
    let seen: ModelInferRequest = decoded(body)?;
    ensure!(seen == message, "the upstream read {:?} {:?} {:?}", seen.model_name, seen.model_version, seen.id);
    Ok(())
}

/// The fields of a message by number, in the order asked for.
fn message_of(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let fields: Vec<Vec<u8>> = fields.iter().map(|(number, content)| field(*number, content)).collect();
    frame_bytes(&fields.concat())
}

fn the_name_may_stand_anywhere_in_the_message(gateway: &mut dyn Gateway) -> Result<()> {
    let raw = [7; 300];
    for body in [
        message_of(&[(1, b"iris"), (3, b"id"), (7, &raw)]),
        message_of(&[(3, b"id"), (1, b"iris"), (7, &raw)]),
        message_of(&[(3, b"id"), (7, &raw), (1, b"iris")]),
        message_of(&[(7, &raw), (2, b""), (3, b"id"), (1, b"iris")]),
    ] {
        let upstream = pass(gateway, Request::grpc(INFER, body))?;
        header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
        let id = "id".to_owned();
        let message = ModelInferRequest { id, raw_input_contents: vec![raw.to_vec()], ..ModelInferRequest::default() };
        renamed(&upstream.body, message, "iris-v1", "")?;
    }
    Ok(())
}

fn the_name_may_stand_behind_a_tensor_of_several_frames(gateway: &mut dyn Gateway) -> Result<()> {
    let raw = vec![7; 20_000];
    let body = message_of(&[(3, b"id"), (7, &raw), (1, b"iris")]);
    let upstream = pass(gateway, Request::grpc(INFER, body))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    let message =
        ModelInferRequest { id: "id".to_owned(), raw_input_contents: vec![raw], ..ModelInferRequest::default() };
    renamed(&upstream.body, message, "iris-v1", "")
}

/// Whatever is decided, the upstream must not read another model than the one it was routed to.
fn of_repeated_names_the_last_counts_as_for_the_upstream(gateway: &mut dyn Gateway) -> Result<()> {
    for body in [
        message_of(&[(1, b"plain"), (1, b"iris"), (3, b"id")]),
        message_of(&[(3, b"id"), (1, b"plain"), (2, b"9"), (1, b"iris"), (2, b"")]),
        message_of(&[(1, b"plain"), (3, b"id"), (1, b"iris")]),
        message_of(&[(1, b"plain"), (3, b"id"), (7, &[1; 500]), (1, b"iris")]),
    ] {
        let upstream = pass(gateway, Request::grpc(INFER, body))?;
        let target = upstream.headers.text("x-modelway-target").unwrap_or_default();
        let seen: ModelInferRequest = decoded(&upstream.body)?;
        ensure!(seen.model_name == target, "routed to {target:?}, but the upstream reads {:?}", seen.model_name);
    }
    Ok(())
}

fn a_version_in_the_message_chooses_the_variant_of_that_version(gateway: &mut dyn Gateway) -> Result<()> {
    let message = ModelInferRequest { model_version: "2".to_owned(), ..infer("iris", 100) };
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    routed(&upstream, [Some("iris"), Some("canary"), Some("iris-v2"), Some("2"), Some("iris-base"), Some("gpu")])?;
    renamed(&upstream.body, message, "iris-v2", "2")
}

fn a_version_behind_the_name_is_seen_wherever_it_stands(gateway: &mut dyn Gateway) -> Result<()> {
    for body in [
        message_of(&[(2, b"2"), (1, b"iris"), (3, b"id")]),
        message_of(&[(3, b"id"), (2, b"2"), (1, b"iris")]),
        message_of(&[(1, b"iris"), (3, b"id"), (2, b"2")]),
    ] {
        let upstream = pass(gateway, Request::grpc(INFER, body))?;
        let seen: ModelInferRequest = decoded(&upstream.body)?;
        header_is(&upstream, "x-modelway-target", Some(&seen.model_name))?;
        header_is(
            &upstream,
            "x-modelway-version",
            Some(seen.model_version.as_str()).filter(|version| !version.is_empty()),
        )?;
    }
    Ok(())
}

fn a_message_in_pieces_is_routed_like_a_whole_one(gateway: &mut dyn Gateway) -> Result<()> {
    let message = infer("iris", 40);
    let body = frame(&message);
    let pause = Duration::from_millis(3);
    let mut requests = Vec::new();
    for split in 1..body.len().min(24) {
        let (first, rest) = body.split_at(split);
        let mut request = Request::grpc(INFER, first);
        request.body.push(Part { after: pause, bytes: rest.to_vec() });
        requests.push(request);
    }
    let mut by_byte = Request::grpc(INFER, "");
    by_byte.body = body.iter().map(|byte| Part { after: pause, bytes: vec![*byte] }).collect();
    requests.push(by_byte);
    for (index, exchange) in gateway.exchange(requests)?.iter().enumerate() {
        let upstream = super::check::passed(exchange)?;
        header_is(upstream, "x-modelway-target", Some("iris-v1"))?;
        renamed(&upstream.body, message.clone(), "iris-v1", "")
            .map_err(|error| error.context(format!("split {index}")))?;
    }
    Ok(())
}

fn the_content_length_follows_the_name(gateway: &mut dyn Gateway) -> Result<()> {
    let message = ModelInferRequest { model_version: "2".to_owned(), ..infer("iris", 50_000) };
    let body = frame(&message);
    let length = body.len().to_string();
    let upstream = pass(gateway, Request::grpc(INFER, body).header("content-length", length))?;
    header_is(&upstream, "content-length", Some(&upstream.body.len().to_string()))?;
    renamed(&upstream.body, message, "iris-v2", "2")
}

fn every_method_that_names_a_model_is_routed(gateway: &mut dyn Gateway) -> Result<()> {
    for method in ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"] {
        let message = ModelRequest { name: "iris".to_owned(), version: String::new() };
        let path = format!("/inference.GRPCInferenceService/{method}");
        let upstream = pass(gateway, Request::grpc(&path, frame(&message)))?;
        routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
        let seen: ModelRequest = decoded(&upstream.body)?;
        ensure!(seen.name == "iris-v1" && seen.version.is_empty(), "{method}: the upstream read {seen:?}");
    }
    Ok(())
}

fn a_stream_of_messages_is_routed_by_its_first(gateway: &mut dyn Gateway) -> Result<()> {
    let mut request = Request::grpc("/inference.GRPCInferenceService/ModelStreamInfer", frame(&infer("iris", 10)));
    for size in [20, 30_000] {
        request.body.push(Part { after: Duration::from_millis(20), bytes: frame(&infer("iris", size)) });
    }
    let upstream = pass(gateway, request)?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    let bodies = messages(&upstream.body).ok_or_else(|| anyhow::anyhow!("the stream is not whole frames"))?;
    ensure!(bodies.len() == 3, "{} messages, expected 3", bodies.len());
    for (body, size) in bodies.into_iter().zip([10, 20, 30_000]) {
        let seen = <ModelInferRequest as prost::Message>::decode(body)?;
        ensure!(seen.raw_input_contents == infer("iris", size).raw_input_contents, "a tensor has changed");
    }
    Ok(())
}

fn a_client_that_waits_for_an_answer_in_its_stream_gets_it(gateway: &mut dyn Gateway) -> Result<()> {
    let mut request = Request::grpc("/inference.GRPCInferenceService/ModelStreamInfer", frame(&infer("iris", 10)));
    request.body.push(Part { after: Duration::from_millis(800), bytes: frame(&infer("iris", 10)) });
    let exchange = send(gateway, request)?;
    let upstream = super::check::passed(&exchange)?;
    header_is(upstream, "x-modelway-target", Some("iris-v1"))
}

fn a_message_for_a_model_of_the_upstreams_name_is_untouched(gateway: &mut dyn Gateway) -> Result<()> {
    let body = message_of(&[(3, b"id"), (1, b"plain"), (9, b"a field of the future")]);
    let upstream = pass(gateway, Request::grpc(INFER, body.clone()))?;
    header_is(&upstream, "x-modelway-target", Some("plain"))?;
    ensure!(upstream.body == body, "the body has changed");
    Ok(())
}

fn methods_that_name_no_model_pass_as_they_are(gateway: &mut dyn Gateway) -> Result<()> {
    for method in [
        "inference.GRPCInferenceService/ServerLive",
        "inference.GRPCInferenceService/ServerReady",
        "grpc.health.v1.Health/Check",
    ] {
        let body = frame(&ModelRequest::default());
        let upstream = pass(gateway, Request::grpc(&format!("/{method}"), body.clone()))?;
        routed(&upstream, [None; 6])?;
        ensure!(upstream.body == body, "the body has changed");
    }
    Ok(())
}

fn an_alias_is_the_model(gateway: &mut dyn Gateway) -> Result<()> {
    let message = infer("flowers", 10);
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    header_is(&upstream, "x-modelway-model", Some("flowers"))?;
    renamed(&upstream.body, message, "iris-v1", "")
}

fn without_rewriting_only_the_headers_say_where(gateway: &mut dyn Gateway) -> Result<()> {
    let body = frame(&infer("iris", 100));
    let upstream = pass(gateway, Request::grpc(INFER, body.clone()))?;
    header_is(&upstream, "x-modelway-target", Some("iris-v1"))?;
    ensure!(upstream.body == body, "the body has changed");
    Ok(())
}

fn rewriting_always_changes_nothing_for_a_reader(gateway: &mut dyn Gateway) -> Result<()> {
    let message = infer("plain", 100);
    let upstream = pass(gateway, Request::grpc(INFER, frame(&message)))?;
    renamed(&upstream.body, message, "plain", "")
}
