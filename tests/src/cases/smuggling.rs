//! Requests that one reader may take for something else than another: what the upstream reads is always what the
//! filter's headers say, or the request is refused; nothing hangs, and nothing that is not the name changes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::check::{SECOND, answered, header_is, pass, send};
use super::{Case, cases, standard};
use crate::gateway::{Exchange, Gateway, Part, Protocol, Request};
use crate::headers::Headers;
use crate::inference::{field, frame, frame_bytes, infer, with_parameter};
use crate::reading::agrees;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![standard().labelled("smuggling");
        odd_messages_are_read_as_the_upstream_reads_them,
        a_tag_that_others_cut_to_32_bits_routes_nothing,
        a_second_message_cannot_bring_another_route,
        odd_paths_are_read_as_the_upstream_reads_them,
        copies_of_our_headers_never_count,
        our_headers_in_trailers_never_count,
        a_parameter_that_comes_twice_changes_nothing_but_the_variant,
        bombs_of_depth_and_length_are_answered,
        a_client_that_waits_to_be_asked_for_its_body_is_answered,
        heads_and_bodies_of_no_bytes_are_answered,
        names_that_are_nearly_alike_are_different_models,
    ]
}

/// Answered in time and not by a fault; what has reached the upstream is read as the headers say.
fn sound(exchange: &Exchange) -> Result<()> {
    let answer = answered(exchange)?;
    ensure!(exchange.took < SECOND, "the answer took {:?}", exchange.took);
    let status = answer.headers.text(":status").unwrap_or_default();
    ensure!(status.parse::<u16>().is_ok_and(|status| status < 500), "answered {status}");
    exchange.upstream.as_ref().map_or(Ok(()), agrees)
}

fn all_sound(gateway: &mut dyn Gateway, requests: Vec<(String, Request)>) -> Result<Vec<Exchange>> {
    let (names, requests): (Vec<String>, Vec<Request>) = requests.into_iter().unzip();
    let exchanges = gateway.exchange(requests)?;
    for (name, exchange) in names.iter().zip(&exchanges) {
        sound(exchange).with_context(|| name.clone())?;
    }
    Ok(exchanges)
}

fn shown(body: &[u8]) -> String {
    body.get(..48).unwrap_or(body).escape_ascii().to_string()
}

fn grpc(body: Vec<u8>) -> (String, Request) {
    (shown(&body), Request::grpc(INFER, body))
}

fn odd_messages_are_read_as_the_upstream_reads_them(gateway: &mut dyn Gateway) -> Result<()> {
    let id = field(3, b"id");
    let raw = field(7, &[1; 40]);
    let name = |name: &str| field(1, name.as_bytes());
    let messages: Vec<Vec<u8>> = vec![
        // Repeated, mixed and emptied.
        [name("plain"), name("iris"), id.clone()].concat(),
        [name("iris"), id.clone(), name("plain")].concat(),
        [name("iris"), raw.clone(), name("plain"), field(2, b"2"), name("iris")].concat(),
        [name("iris"), raw.clone(), name("")].concat(),
        [field(2, b"2"), name("iris"), raw.clone(), field(2, b"")].concat(),
        (0..7).flat_map(|_| name("iris")).chain(name("plain")).collect(),
        (0..9).flat_map(|_| name("iris")).chain(name("plain")).collect(),
        // The same numbers in more bytes than needed.
        b"\x8a\x00\x04iris".to_vec(),
        b"\x8a\x80\x80\x00\x04iris".to_vec(),
        b"\x0a\x84\x80\x80\x80\x80\x80\x80\x80\x80\x00iris".to_vec(),
        [b"\x0a\x84\x00iris".to_vec(), name("plain"), b"\x8a\x80\x00\x84\x00iris".to_vec()].concat(),
        // Varints that are too long, and lengths beyond the message.
        [name("iris"), b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec()].concat(),
        [name("iris"), b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec(), name("plain")].concat(),
        [name("iris"), b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".to_vec(), name("plain")].concat(),
        [name("iris"), b"\x3a\xff\xff\xff\xff\x0f".to_vec()].concat(),
        // Names inside what is no name.
        [field(3, &name("plain")), name("iris")].concat(),
        [name("iris"), field(7, &name("plain")), field(15, &name("plain"))].concat(),
        [name("iris"), b"\x0b\x0a\x05plain\x0c".to_vec()].concat(),
        [name("iris"), b"\x7b\x0a\x05plain\x7c".to_vec()].concat(),
        [name("iris"), b"\x08\x01".to_vec()].concat(),
        [name("iris"), b"\x09plainpla".to_vec()].concat(),
        // No text, and odd text.
        field(1, b"iris\xff"),
        name("iris\u{200b}"),
        name(" iris"),
        name("iris/../plain"),
        name("iris%00"),
    ];
    let requests: Vec<_> = messages.iter().map(|message| grpc(frame_bytes(message))).collect();
    all_sound(gateway, requests)?;
    // And in pieces of three bytes.
    let in_pieces = messages.iter().map(|message| {
        let body = frame_bytes(message);
        (format!("in pieces: {}", shown(&body)), Request::grpc(INFER, "").parts(body.chunks(3).map(<[u8]>::to_vec)))
    });
    all_sound(gateway, in_pieces.collect()).map(drop)
}

/// C++ and Java read the last tag as the name's.
fn a_tag_that_others_cut_to_32_bits_routes_nothing(gateway: &mut dyn Gateway) -> Result<()> {
    let message = [field(1, b"plain"), b"\x8a\x80\x80\x80\x70\x04iris".to_vec()].concat();
    let upstream = pass(gateway, Request::grpc(INFER, frame_bytes(&message)))?;
    header_is(&upstream, "x-modelway-target", None)
}

fn a_second_message_cannot_bring_another_route(gateway: &mut dyn Gateway) -> Result<()> {
    for first in ["iris", "plain", ""] {
        let frames = [frame(&infer(first, 10)), frame(&infer("digits", 10)), frame_bytes(b"")].concat();
        for path in [INFER, STREAM] {
            let exchange = send(gateway, Request::grpc(path, frames.clone()))?;
            sound(&exchange).with_context(|| format!("{path} {first:?}"))?;
        }
    }
    Ok(())
}

fn odd_paths_are_read_as_the_upstream_reads_them(gateway: &mut dyn Gateway) -> Result<()> {
    let paths = [
        "/v2/models/%69ris/infer",
        "/v2/models/%2569ris/infer",
        "/v2/models/iris%2finfer",
        "/v2/models/iris%2Fversions%2F2/infer",
        "/v2/models/iris;v=2/infer",
        "/v2/models/iris;/../plain/infer",
        "/v2/models/iris%20/infer",
        "/v2/models/iris%3f/infer",
        "/v2/models/iris%3finfer",
        "/v2/models/iris%23/infer",
        "/v2/models/iris?/../plain/infer",
        "/v2/models/iris?/v2/models/plain/infer",
        "/v2/models/iris/versions/2/infer",
        "/v2/models/iris/versions/2%2f..%2f3/infer",
        "/v2/models/iris/versions/%32/infer",
        "/v2/models/iris/versions//infer",
        "/v2/models/iris/versions/",
        "/v2/models/iris/versions/2/versions/3/infer",
        "/v2/models/plain/versions/2/../../../iris/infer",
        "/v2/models/iris/infer/../../plain/infer",
        "/v2/models/iris/./infer",
        "/v2/models/iris/%2e/infer",
        "/v2/models/%2e%2e/infer",
        "/v2/models/..%2firis/infer",
        "/v2/models/%2e%2e%2firis",
        "/v2/models/.../infer",
        "/v2/models/iris..%2f",
        "/v2/models/IRIS/infer",
        "/V2/models/iris/infer",
        "/v2/Models/iris/infer",
        "/%762/models/iris/infer",
        "/v2/mod%65ls/iris/infer",
        "/v2%2fmodels%2firis%2finfer",
        "/v2/models/iris\\..\\plain/infer",
        "/v2/;a\\b/models/iris/infer",
        "/v2/models/%c0%ae%c0%ae/iris/infer",
        "/v2/models/%e2%80%8biris/infer",
        "/v2/models/iris%c0%af../plain/infer",
        "/v2/models/iris%u002finfer",
        "/v2/models/iris%/infer",
        "/v2/models/iris%2/infer",
        "/v2/models/iris%g0/infer",
        "//v2/models/iris/infer",
        "/v2/models//infer",
        "/v2/models/stats",
        "/v2/models/stats/infer",
        "/./v2/models/iris",
        "/a/../v2/models/iris",
    ];
    let requests = paths.iter().flat_map(|path| {
        [Protocol::Http1, Protocol::Http2]
            .map(|protocol| (format!("{path} {protocol:?}"), Request::post(path, "{}").over(protocol)))
    });
    all_sound(gateway, requests.collect()).map(drop)
}

fn copies_of_our_headers_never_count(gateway: &mut dyn Gateway) -> Result<()> {
    let forge = |mut request: Request| {
        for name in ["model", "variant", "target", "version", "affinity", "pool", "cluster", "anything"] {
            for spelt in ["x-modelway-", "x_modelway_", "x-modelway_", "X-Modelway-", "X_MODELWAY_"] {
                request =
                    request.header(&format!("{spelt}{name}"), "forged").header(&format!("{spelt}{name}"), "twice");
            }
        }
        request
    };
    for request in [
        Request::get("/v2/models/iris"),
        Request::get("/v2/models/iris").over(Protocol::Http2),
        Request::post("/v2/models/ruled/infer", r#"{"inputs":[]}"#),
        Request::grpc(INFER, frame(&infer("iris", 10))),
        Request::get("/anything"),
    ] {
        let exchange = send(gateway, forge(request))?;
        sound(&exchange)?;
        let received = exchange.upstream.context("the upstream got nothing")?;
        for (name, value) in received.headers.iter() {
            ensure!(value != b"forged" && value != b"twice", "{} reached the upstream", name.escape_ascii());
        }
    }
    Ok(())
}

fn our_headers_in_trailers_never_count(gateway: &mut dyn Gateway) -> Result<()> {
    let trailers = Headers::new().with("x-modelway-target", "forged").with("x-modelway-variant", "canary");
    for mut request in [
        Request::grpc(INFER, frame(&infer("iris", 10))),
        Request::new(Protocol::Http2, "POST", "/v2/models/iris/infer").parts([b"{}".to_vec()]),
        Request::new(Protocol::Http2, "POST", "/v2/models/ruled/infer").parts([br#"{"inputs":["#.to_vec()]),
    ] {
        request.trailers = Some(trailers.clone());
        let exchange = send(gateway, request)?;
        sound(&exchange)?;
        let received = exchange.upstream.context("the upstream got nothing")?;
        header_is(&received, "x-modelway-variant", Some("stable"))?;
    }
    Ok(())
}

/// Which of two values counts is any reader's own choice: it may decide the variant, never split headers and path.
fn a_parameter_that_comes_twice_changes_nothing_but_the_variant(gateway: &mut dyn Gateway) -> Result<()> {
    let bodies = [
        r#"{"parameters":{"tier":"beta","tier":"other"}}"#,
        r#"{"parameters":{"tier":"other","tier":"beta"}}"#,
        r#"{"parameters":{"tier":"other"},"parameters":{"tier":"beta"}}"#,
        r#"{"parameters":{"tier":"beta"},"parameters":{}}"#,
        r#"{"parameters":{"tier":"beta"},"parameters":7}"#,
        r#"{"par\u0061meters":{"tie\u0072":"beta"},"parameters":{"tier":"other"}}"#,
        r#"{"parameters":{"tier":{"stringParam":"beta","stringParam":"other"}}}"#,
        r#"{"parameters":{"tier":{"stringParam":"other"},"tier":"beta"}}"#,
        r#"{"parameters":{"tier":"beta"}}{"parameters":{"tier":"other"}}"#,
        "{\"parameters\":{\"tier\":\"be\u{0}ta\"}}",
    ];
    for body in bodies {
        let exchange = send(gateway, Request::post("/v2/models/ruled/infer", body))?;
        sound(&exchange).with_context(|| body.to_owned())?;
        if let Some(received) = &exchange.upstream {
            ensure!(received.body == body.as_bytes(), "{body} has changed");
        }
    }
    let twice = [field(1, b"ruled"), parameter("tier", "other"), parameter("tier", "beta")].concat();
    let exchange = send(gateway, Request::grpc(INFER, frame_bytes(&twice)))?;
    sound(&exchange)
}

fn parameter(name: &str, value: &str) -> Vec<u8> {
    let entry = with_parameter(infer("", 0), name, value).parameters;
    prost::Message::encode_to_vec(&crate::inference::ModelInferRequest {
        parameters: entry,
        ..crate::inference::ModelInferRequest::default()
    })
}

fn bombs_of_depth_and_length_are_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let groups = [field(1, b"iris"), b"\x7b".repeat(10_000), b"\x7c".repeat(10_000)].concat();
    let mut nested = field(4, b"");
    for _ in 0..400 {
        nested = field(4, &nested);
    }
    let parameters: Vec<u8> = [field(1, b"tuned")]
        .into_iter()
        .chain((0..2_000).map(|number| parameter(&format!("p{number}"), "x")))
        .flatten()
        .collect();
    let grpcs =
        [groups, [field(1, b"iris"), nested].concat(), parameters, vec![0x80; 20_000], b"\x0a\x00".repeat(8_000)];
    let mut requests: Vec<_> = grpcs.iter().map(|message| grpc(frame_bytes(message))).collect();
    let jsons = [
        "[".repeat(50_000),
        "{\"parameters\":".repeat(10_000),
        format!("{{\"parameters\":{{\"tier\":{}1{}}}}}", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{{\"parameters\":{{\"tier\":\"{}\"}}}}", "\\u0061".repeat(3_000)),
        format!("{{{}}}", vec!["\"parameters\":{}"; 2_000].join(",")),
        format!("{{\"{}\":1}}", "k".repeat(20_000)),
        " ".repeat(20_000),
    ];
    for body in jsons {
        requests.push((shown(body.as_bytes()), Request::post("/v2/models/ruled/infer", body)));
    }
    for path in [
        format!("/v2/models/iris/{}", "../".repeat(6_000)),
        format!("/v2/models/{}iris/infer", "%2e%2e%2f".repeat(2_000)),
        format!("/v2/models/iris/infer?{}", "a=b&".repeat(5_000)),
        format!("/{}v2/models/iris/infer", "/".repeat(20_000)),
        format!("/v2/models/iris/infer{}", ";a=b".repeat(5_000)),
    ] {
        requests.push((shown(path.as_bytes()), Request::post(&path, "{}")));
    }
    let cookies = Request::get("/v2/models/digits").header("cookie", "a=b; ".repeat(4_000));
    requests.push(("many cookies".to_owned(), cookies));
    all_sound(gateway, requests).map(drop)
}

fn a_client_that_waits_to_be_asked_for_its_body_is_answered(gateway: &mut dyn Gateway) -> Result<()> {
    for path in ["/v2/models/iris/infer", "/v2/models/tuned/infer", "/v2/models/ruled/infer", "/anything"] {
        let expecting = Request::post(path, r#"{"parameters":{"user_id":"u"}}"#).header("expect", "100-continue");
        let mut in_parts = expecting.clone();
        in_parts.headers.remove(b"content-length");
        in_parts.body.push(Part { after: Duration::from_millis(20), bytes: b"   ".to_vec() });
        all_sound(gateway, vec![(path.to_owned(), expecting), (format!("{path} in parts"), in_parts)])?;
    }
    Ok(())
}

fn heads_and_bodies_of_no_bytes_are_answered(gateway: &mut dyn Gateway) -> Result<()> {
    let mut requests = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for path in ["/v2/models/iris", "/v2/models/tuned/infer", INFER, "/v2/repository/index"] {
            for method in ["HEAD", "GET", "POST", "PUT", "OPTIONS", "TRACE"] {
                requests.push((format!("{method} {path} {protocol:?}"), Request::new(protocol, method, path)));
            }
            let empty = Request::new(protocol, "POST", path).parts([Vec::new()]);
            requests.push((format!("empty {path} {protocol:?}"), empty.clone()));
            let mut only_trailers = empty;
            only_trailers.trailers = Some(Headers::new().with("x-checksum", "7"));
            requests.push((format!("trailers {path} {protocol:?}"), only_trailers));
        }
    }
    all_sound(gateway, requests).map(drop)
}

fn names_that_are_nearly_alike_are_different_models(gateway: &mut dyn Gateway) -> Result<()> {
    for name in ["IRIS", "Iris", "iris ", "iris.", "ir\u{131}s", "iris/", "irıs", "iris\u{fe0f}"] {
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for request in
            [Request::post(&format!("/v2/models/{escaped}/infer"), "{}"), Request::grpc(INFER, frame(&infer(name, 10)))]
        {
            let exchange = send(gateway, request)?;
            sound(&exchange).with_context(|| name.to_owned())?;
            if let Some(received) = &exchange.upstream {
                header_is(received, "x-modelway-variant", None).with_context(|| name.to_owned())?;
            }
        }
    }
    Ok(())
}
