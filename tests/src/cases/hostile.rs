//! Bytes that nobody sends by accident: the answer may be a refusal, it may not be silence.

use anyhow::{Context as _, Result, ensure};

use super::check::{SECOND, answered, passed, send};
use super::{Case, cases, standard};
use crate::gateway::{Gateway, Protocol, Request};
use crate::inference::{ModelInferRequest, field, frame, frame_bytes, infer, messages};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![standard().labelled("hostile");
        a_header_value_that_is_no_text_harms_nobody,
        bytes_that_are_no_text_route_like_any_other_value,
        malformed_messages_are_passed_or_refused_but_answered,
        every_truncation_is_answered,
        a_name_cannot_bring_its_own_headers,
        paths_that_can_be_read_in_several_ways_do_not_split_gateway_and_upstream,
        a_huge_length_in_a_frame_is_not_believed,
        deep_json_is_answered,
        a_long_path_is_answered,
    ]
}

fn a_header_value_that_is_no_text_harms_nobody(gateway: &mut dyn Gateway) -> Result<()> {
    let first = Request::post("/v2/models/digits/infer", "{}")
        .header("x-odd", b"\xff\xfe")
        .header("x-user-id", b"\xff\xfe")
        .header("cookie", b"mw-user=\xff\xfe");
    passed(&send(gateway, first)?)?;
    for _ in 0..10 {
        let requests = (0..100).map(|_| Request::get("/v2/models/iris")).collect();
        for exchange in gateway.exchange(requests)? {
            passed(&exchange)?;
        }
    }
    Ok(())
}

fn bytes_that_are_no_text_route_like_any_other_value(gateway: &mut dyn Gateway) -> Result<()> {
    let user = || Request::get("/v2/models/digits").header("x-user-id", b"\xff\xfe\x80");
    let mut seen = Vec::new();
    for exchange in gateway.exchange((0..20).map(|_| user()).collect())? {
        let upstream = passed(&exchange)?;
        ensure!(upstream.headers.get("x-user-id") == Some(b"\xff\xfe\x80"), "the value has changed");
        seen.push(upstream.headers.text("x-modelway-variant"));
    }
    seen.dedup();
    ensure!(seen.len() == 1, "one key saw {seen:?}");
    let grpc = Request::grpc(INFER, frame(&infer("iris", 10))).header("x-odd-bin", b"\xff\xfe");
    passed(&send(gateway, grpc)?).map(drop)
}

/// Answered within a second, and if it got through, then unchanged or as a message of whole frames.
fn all_answered(gateway: &mut dyn Gateway, requests: &[Request]) -> Result<()> {
    let exchanges = gateway.exchange(requests.to_vec())?;
    for (request, exchange) in requests.iter().zip(&exchanges) {
        let body = request.body_bytes();
        let shown = body.get(..40).unwrap_or(&body).escape_ascii().to_string();
        let answer = answered(exchange).with_context(|| shown.clone())?;
        ensure!(exchange.took < SECOND, "the answer to {shown} took {:?}", exchange.took);
        let status = answer.headers.text(":status").unwrap_or_default();
        ensure!(status.parse::<u16>().is_ok_and(|status| status < 500), "{shown} was answered {status}");
        if let Some(upstream) = &exchange.upstream {
            ensure!(upstream.body == body, "{shown} reached the upstream as {}", upstream.body.escape_ascii());
        }
    }
    Ok(())
}

fn malformed_messages_are_passed_or_refused_but_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let bodies: Vec<Vec<u8>> = vec![
        b"\0".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"\0\0\0\0\0".to_vec(),
        b"not grpc at all".to_vec(),
        frame_bytes(&[0xff; 30]),
        frame_bytes(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01iris"),
        frame_bytes(b"\x0a\x80"),
        frame_bytes(b"\x0a\x10iris"),
        frame_bytes(b"\x08\x01"),
        frame_bytes(b"\x0b\x0c"),
        frame_bytes(b"\x00\x00"),
        frame_bytes(&field(1, b"\xff\xfe")),
        frame_bytes(&field(1, &[b'x'; 5_000])),
        frame_bytes(&[field(4, b"\xff\xff"), field(1, b"plain")].concat()),
        [frame_bytes(b""), frame_bytes(b"")].concat(),
        vec![0xff; 40_000],
        vec![0; 40_000],
    ];
    let requests: Vec<Request> = bodies.into_iter().map(|body| Request::grpc(INFER, body)).collect();
    all_answered(gateway, &requests)
}

fn every_truncation_is_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let message = ModelInferRequest { model_version: "3".to_owned(), ..infer("plain", 30) };
    let body = frame(&message);
    let mut requests = Vec::new();
    for end in 0..body.len() {
        let cut = body.get(..end).unwrap_or_default();
        requests.push(Request::grpc(INFER, cut));
    }
    all_answered(gateway, &requests)
}

fn a_name_cannot_bring_its_own_headers(gateway: &mut dyn Gateway) -> Result<()> {
    let requests = vec![
        Request::get("/v2/models/a%0d%0ax-injected:%201/ready"),
        Request::get("/v2/models/a%0ax-injected:%201/ready"),
        Request::get("/v2/models/a%00b/ready"),
        Request::get("/v2/models/iris/versions/1%0d%0ax-injected:%201/ready"),
        Request::get("/v2/models/a%0d%0ax-injected:%201/ready").over(Protocol::Http2),
        Request::grpc(INFER, frame(&infer("a\r\nx-injected: 1", 10))),
        Request::grpc(INFER, frame(&infer("a\0b", 10))),
    ];
    for (request, exchange) in requests.clone().iter().zip(gateway.exchange(requests)?) {
        let path = request.headers.text(":path").unwrap_or_default();
        let answer = answered(&exchange).with_context(|| path.clone())?;
        let status = answer.headers.text(":status").unwrap_or_default();
        let grpc_status = answer.headers.text("grpc-status").unwrap_or_default();
        ensure!(status == "400" || grpc_status == "3", "{path} was answered {:?}", answer.headers);
        for (name, value) in answer.headers.iter().chain(exchange.upstream.iter().flat_map(|seen| seen.headers.iter()))
        {
            ensure!(
                name != b"x-injected" && !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)),
                "{}: {} is no header",
                name.escape_ascii(),
                value.escape_ascii()
            );
        }
    }
    // And the gateway lives on.
    passed(&send(gateway, Request::get("/v2/models/iris"))?).map(drop)
}

/// What the filter takes for the model must be what an upstream that decodes and normalises would take for it.
fn paths_that_can_be_read_in_several_ways_do_not_split_gateway_and_upstream(gateway: &mut dyn Gateway) -> Result<()> {
    for path in [
        "/v2/models/plain/../iris/infer",
        "/v2/models/plain/%2e%2e/iris/infer",
        "/v2//models/iris/infer",
        "/v2/./models/iris/infer",
        "/v2/models//iris/infer",
        "/x/../v2/models/iris/infer",
        "/v2/models/plain%2f..%2firis/infer",
        "/v2/models/plain\\..\\iris/infer",
    ] {
        let exchange = send(gateway, Request::post(path, "{}"))?;
        let status = exchange.answer.as_ref().and_then(|answer| answer.headers.text(":status")).context("no answer")?;
        ensure!(
            exchange.upstream.is_none() && status == "400",
            "{path} was answered {status} and reached the upstream as {:?}",
            exchange.upstream.map(|seen| seen.headers)
        );
    }
    Ok(())
}

fn a_huge_length_in_a_frame_is_not_believed(gateway: &mut dyn Gateway) -> Result<()> {
    let mut body = frame(&infer("plain", 100));
    body.splice(1..5, [0xff; 4]);
    let exchange = send(gateway, Request::grpc(INFER, body.clone()))?;
    answered(&exchange)?;
    ensure!(exchange.took < SECOND, "took {:?}", exchange.took);
    if let Some(upstream) = &exchange.upstream {
        ensure!(upstream.body == body || messages(&upstream.body).is_some(), "the body was torn");
    }
    Ok(())
}

fn deep_json_is_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let objects = "{\"parameters\":".repeat(20_000);
    all_answered(gateway, &[deep, objects].map(|body| Request::post("/v2/models/ruled/infer", body)))
}

fn a_long_path_is_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let requests = vec![
        Request::get(&format!("/v2/models/{}", "a".repeat(20_000))),
        Request::get(&format!("/v2/models/{}", "%61".repeat(8_000))),
        Request::get(&"/a".repeat(10_000)),
        Request::get(&format!("/v2/models/iris{}", "/x".repeat(5_000))),
    ];
    for exchange in gateway.exchange(requests)? {
        answered(&exchange)?;
        ensure!(exchange.took < SECOND, "took {:?}", exchange.took);
    }
    Ok(())
}
