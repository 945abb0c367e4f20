//! Before KServe ModelMesh, which goes by the name in the message, and else by a header of its own.

use anyhow::{Result, ensure};
use serde_json::json;

use super::check::{answered, decoded, header_is, pass, passed, routed, send};
use super::{Case, cases, routing_with};
use crate::gateway::{Gateway, Message, Protocol, Request, Setup, Transcoder};
use crate::inference::{ModelInferRequest, ModelRequest, field, frame, frame_bytes, infer};

const SERVICE: &str = "/inference.GRPCInferenceService";
/// By all of these ModelMesh takes a model from a request.
const ITS_NAMES: [&str; 5] = ["mm-vmodel-id", "mm-vmodel-id-bin", "mm-model-id", "mm-model-id-bin", "tas-model-id"];

pub(super) fn cases() -> Vec<Case> {
    let modelmesh = Setup::new(&routing_with("headerNames", json!({ "presets": ["ModelMesh"] })));
    let mut all = cases![modelmesh.clone();
        a_message_names_the_variant_and_so_do_the_headers,
        a_message_whose_name_stands_behind_its_tensors_names_the_variant,
        calls_about_a_model_name_the_variant,
        a_path_of_rest_names_the_variant,
        what_a_client_says_to_modelmesh_itself_is_removed,
        a_message_that_names_no_model_is_nobodys,
    ];
    all.extend(
        cases![modelmesh.with_transcoder(Transcoder::BehindFilter); a_path_of_rest_is_a_message_that_names_the_variant],
    );
    all.extend(cases![Setup::new(&super::routing()); without_the_preset_nothing_is_said_to_modelmesh]);
    all
}

fn grpc(method: &str, body: Vec<u8>) -> Request {
    Request::grpc(&format!("{SERVICE}/{method}"), body).header("x-beta", "true")
}

/// What ModelMesh looks at once the message names no model, and that it need not balance again.
fn told(upstream: &Message) -> Result<()> {
    routed(upstream, [Some("iris"), Some("canary"), Some("iris-v2"), Some("2"), Some("iris-base"), Some("gpu")])?;
    header_is(upstream, "mm-vmodel-id", Some("iris-v2"))?;
    header_is(upstream, "mm-balanced", Some("true"))
}

fn a_message_names_the_variant_and_so_do_the_headers(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, grpc("ModelInfer", frame(&infer("iris", 100))))?;
    told(&upstream)?;
    let seen: ModelInferRequest = decoded(&upstream.body)?;
    ensure!(seen.model_name == "iris-v2", "ModelMesh reads {:?}", seen.model_name);
    Ok(())
}

fn a_message_whose_name_stands_behind_its_tensors_names_the_variant(gateway: &mut dyn Gateway) -> Result<()> {
    let raw = vec![7; 10_000];
    let body = [field(3, b"id"), field(7, &raw), field(1, b"iris")].concat();
    let upstream = pass(gateway, grpc("ModelInfer", frame_bytes(&body)))?;
    told(&upstream)?;
    let seen: ModelInferRequest = decoded(&upstream.body)?;
    ensure!(seen.model_name == "iris-v2" && seen.raw_input_contents == [raw], "ModelMesh reads {:?}", seen.model_name);
    Ok(())
}

fn calls_about_a_model_name_the_variant(gateway: &mut dyn Gateway) -> Result<()> {
    for method in ["ModelMetadata", "ModelReady"] {
        let request = ModelRequest { name: "iris".to_owned(), version: String::new() };
        let upstream = pass(gateway, grpc(method, frame(&request)))?;
        told(&upstream)?;
        let seen: ModelRequest = decoded(&upstream.body)?;
        ensure!(seen.name == "iris-v2", "ModelMesh reads {:?} in {method}", seen.name);
    }
    Ok(())
}

/// As ModelMesh's rest-proxy takes the name.
fn a_path_of_rest_names_the_variant(gateway: &mut dyn Gateway) -> Result<()> {
    for (path, expected) in [
        ("/v2/models/iris/infer", "/v2/models/iris-v2/versions/2/infer"),
        ("/v2/models/flowers/infer?a=b", "/v2/models/iris-v2/versions/2/infer?a=b"),
    ] {
        let upstream = pass(gateway, Request::post(path, "{}").header("x-beta", "true"))?;
        header_is(&upstream, ":path", Some(expected))?;
        header_is(&upstream, "mm-vmodel-id", Some("iris-v2"))?;
    }
    Ok(())
}

fn a_path_of_rest_is_a_message_that_names_the_variant(gateway: &mut dyn Gateway) -> Result<()> {
    let body = json!({ "inputs": [{ "name": "predict", "datatype": "FP32", "shape": ["1"], "contents": { "fp32_contents": [1.0] } }] });
    let request = Request::post("/v2/models/iris/infer", body.to_string()).over(Protocol::Http2);
    let upstream = pass(gateway, request.header("x-beta", "true"))?;
    told(&upstream)?;
    let seen: ModelInferRequest = decoded(&upstream.body)?;
    ensure!(seen.model_name == "iris-v2", "ModelMesh reads {:?}", seen.model_name);
    Ok(())
}

fn with_its_names(mut request: Request) -> Request {
    for name in ITS_NAMES {
        request = request.header(name, "another").header(name, "a-third");
    }
    request.header("mm-balanced", "false").header("mm-balanced", "perhaps").header("mm-required", "all")
}

fn what_a_client_says_to_modelmesh_itself_is_removed(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, with_its_names(grpc("ModelInfer", frame(&infer("iris", 10)))))?;
    told(&upstream)?;
    for name in ITS_NAMES.into_iter().filter(|name| *name != "mm-vmodel-id") {
        header_is(&upstream, name, None)?;
    }
    // It chooses no model.
    header_is(&upstream, "mm-required", Some("all"))
}

fn a_message_that_names_no_model_is_nobodys(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, with_its_names(grpc("ModelInfer", frame(&infer("", 10)))))?;
    answered(&exchange)?;
    if let Some(upstream) = &exchange.upstream {
        for name in ITS_NAMES {
            let seen = upstream.headers.text(name).unwrap_or_default();
            ensure!(seen.is_empty(), "{name} of the client's has come through: {seen}");
        }
    }
    Ok(())
}

fn without_the_preset_nothing_is_said_to_modelmesh(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, grpc("ModelInfer", frame(&infer("iris", 10))).header("mm-model-id", "kept"))?;
    let upstream = passed(&exchange)?;
    header_is(upstream, "mm-vmodel-id", None)?;
    header_is(upstream, "mm-balanced", None)?;
    header_is(upstream, "mm-model-id", Some("kept"))
}
