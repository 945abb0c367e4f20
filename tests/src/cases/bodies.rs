//! Bodies of every kind, none among them.

use anyhow::{Result, ensure};

use super::check::{SECOND, header_is, pass, passed, routed, send};
use super::{Case, cases, standard};
use crate::gateway::{Gateway, Protocol, Request};
use crate::headers::Headers;
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![standard();
        requests_without_a_body_are_answered,
        a_body_of_no_bytes_is_answered,
        a_chunked_body_is_routed,
        trailers_reach_the_upstream,
        a_compressed_grpc_message_passes_unchanged,
        a_grpc_call_without_a_body_passes,
        a_json_body_that_is_none_is_routed_by_its_path,
    ]
}

fn answered_at_once(gateway: &mut dyn Gateway, request: Request) -> Result<crate::gateway::Message> {
    let exchange = send(gateway, request)?;
    ensure!(exchange.took < SECOND, "the answer took {:?}", exchange.took);
    passed(&exchange).cloned()
}

fn requests_without_a_body_are_answered(gateway: &mut dyn Gateway) -> Result<()> {
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            // `tuned` wants a parameter of the body, and there is none to wait for.
            for (path, target) in [("/v2/models/iris/infer", "iris-v1"), ("/v2/models/tuned/infer", "tuned")] {
                let upstream = answered_at_once(gateway, Request::new(protocol, method, path))
                    .map_err(|error| error.context(format!("{method} {path} {protocol:?}")))?;
                header_is(&upstream, "x-modelway-target", Some(target))?;
            }
            answered_at_once(gateway, Request::new(protocol, method, "/anything"))?;
        }
    }
    Ok(())
}

fn a_body_of_no_bytes_is_answered(gateway: &mut dyn Gateway) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for path in ["/v2/models/iris/infer", "/v2/models/tuned/infer", "/v2/models/ruled/infer"] {
            answered_at_once(gateway, Request::post(path, "").over(protocol))?;
            answered_at_once(gateway, Request::new(protocol, "POST", path).parts([Vec::new()]))?;
        }
    }
    Ok(())
}

fn a_chunked_body_is_routed(gateway: &mut dyn Gateway) -> Result<()> {
    let parts = [&b"{\"parameters\":{\"ti"[..], b"er\":\"be", b"ta\"}}"].map(<[u8]>::to_vec);
    let request = Request::new(Protocol::Http1, "POST", "/v2/models/ruled/infer").parts(parts.clone());
    let upstream = answered_at_once(gateway, request)?;
    header_is(&upstream, "x-modelway-target", Some("ruled-v2"))?;
    ensure!(upstream.body == parts.concat(), "the body has changed");
    Ok(())
}

fn trailers_reach_the_upstream(gateway: &mut dyn Gateway) -> Result<()> {
    let mut routed_at_its_trailers = Request::new(Protocol::Http2, "POST", "/v2/models/ruled/infer")
        .parts([br#"{"parameters":{"tier":"beta"}"#.to_vec()]);
    let mut grpc = Request::grpc(INFER, frame(&infer("iris", 100)));
    for request in [&mut routed_at_its_trailers, &mut grpc] {
        request.trailers = Some(Headers::new().with("x-checksum", "7"));
    }
    for (request, target) in [(routed_at_its_trailers, "ruled-v2"), (grpc, "iris-v1")] {
        let upstream = answered_at_once(gateway, request)?;
        header_is(&upstream, "x-modelway-target", Some(target))?;
        let checksum = upstream.trailers.as_ref().and_then(|trailers| trailers.text("x-checksum"));
        ensure!(checksum.as_deref() == Some("7"), "the trailers are {:?}", upstream.trailers);
    }
    Ok(())
}

fn a_compressed_grpc_message_passes_unchanged(gateway: &mut dyn Gateway) -> Result<()> {
    let mut body = frame(&infer("iris", 100));
    if let Some(flag) = body.first_mut() {
        *flag = 1;
    }
    let upstream = answered_at_once(gateway, Request::grpc(INFER, body.clone()).header("grpc-encoding", "gzip"))?;
    routed(&upstream, [None; 6])?;
    ensure!(upstream.body == body, "the body has changed");
    Ok(())
}

fn a_grpc_call_without_a_body_passes(gateway: &mut dyn Gateway) -> Result<()> {
    let mut headers_only = Request::grpc(INFER, "");
    headers_only.body.clear();
    answered_at_once(gateway, headers_only)?;
    answered_at_once(gateway, Request::grpc(INFER, "")).map(drop)
}

fn a_json_body_that_is_none_is_routed_by_its_path(gateway: &mut dyn Gateway) -> Result<()> {
    for body in
        ["{", "nonsense", "{\"parameters\":{\"tier\":\"beta\"", "[[[[", "\u{feff}{}", "{\"parameters\":7}", "null"]
    {
        let upstream = pass(gateway, Request::post("/v2/models/ruled/infer", body))?;
        ensure!(upstream.body == body.as_bytes(), "the body has changed");
    }
    Ok(())
}
