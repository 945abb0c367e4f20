//! What a request says of its tensors: names, datatypes, shapes, how the elements are written; and its id.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::check::{SECOND, pass, passed, send, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{InferInputTensor, ModelInferRequest, field, frame, frame_bytes};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Makes a request for a model of this name.
type Asking = Box<dyn Fn(&str) -> Request>;

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![Setup::new(&routing());
        json_inputs_are_read_in_any_order_of_members,
        protobufs_json_is_read_in_both_spellings,
        grpc_inputs_are_read,
        the_encoding_of_every_wire_is_told,
        binary_needs_no_look_into_the_body,
        one_id_is_one_unit_on_every_wire,
    ];
    let small = Setup::new(&routing()).with_buffer_limit(32 * 1024);
    all.extend(cases![small; an_input_in_front_of_megabytes_is_seen]);
    all
}

/// One model for each kind of condition; its canary gets what matches.
fn routing() -> Value {
    let matches = [
        ("name", json!({ "inputs": [{ "name": "image" }] })),
        ("datatype", json!({ "inputs": [{ "datatype": "FP32" }] })),
        ("shape", json!({ "inputs": [{ "name": "image", "shape": [-1, 64] }] })),
        ("batch", json!({ "batchSize": { "min": 8 } })),
        ("json", json!({ "encodings": ["JSON"] })),
        ("contents", json!({ "encodings": ["Contents"] })),
        ("binary", json!({ "encodings": ["Binary"] })),
        ("raw", json!({ "encodings": ["Raw"] })),
    ];
    let variants = json!([{ "name": "stable" }, { "name": "canary", "weight": 0 }]);
    let mut models: Vec<Value> = matches
        .into_iter()
        .map(|(name, matches)| {
            json!({ "name": name, "variants": variants,
                "rules": [{ "name": "only", "match": matches, "variant": "canary" }] })
        })
        .collect();
    models.push(json!({ "name": "sticky", "variants": [{ "name": "a" }, { "name": "b" }],
        "sticky": { "by": ["requestId"] } }));
    json!({ "models": models })
}

/// The models whose rule this request matches, out of those named.
fn matched(gateway: &mut dyn Gateway, models: &[&str], request: impl Fn(&str) -> Request) -> Result<Vec<String>> {
    let mut matched = Vec::new();
    for model in models {
        if variant(&pass(gateway, request(model))?)? == "canary" {
            matched.push((*model).to_owned());
        }
    }
    Ok(matched)
}

fn post(model: &str, body: &str) -> Request {
    Request::post(&format!("/v2/models/{model}/infer"), body)
}

fn json_inputs_are_read_in_any_order_of_members(gateway: &mut dyn Gateway) -> Result<()> {
    let models = ["name", "datatype", "shape", "batch"];
    for (body, expected) in [
        (r#"{"inputs":[{"name":"image","shape":[8,64],"datatype":"FP32","data":[1,2]}]}"#, &models[..]),
        (r#"{"inputs":[{"data":[[1],["]"]],"datatype":"FP32","shape":[8,64],"name":"\u0069mage"}],"id":"1"}"#, &models),
        (
            r#"{"inputs":[{"name":"other","shape":[1],"datatype":"FP64"},{"shape":[9,64],"name":"image"}]}"#,
            &["name", "shape"],
        ),
        (r#"{"inputs":[{"name":"image","shape":[9,65],"datatype":"INT8"}]}"#, &["name", "batch"]),
        (r#"{"outputs":[{"name":"image","datatype":"FP32"}],"inputs":[]}"#, &[]),
        ("nonsense", &[]),
    ] {
        let matched = matched(gateway, &models, |model| post(model, body))?;
        ensure!(matched == expected, "{body} matched {matched:?}");
    }
    Ok(())
}

fn protobufs_json_is_read_in_both_spellings(gateway: &mut dyn Gateway) -> Result<()> {
    let models = ["name", "datatype", "shape", "batch", "json", "contents", "raw"];
    for (body, expected) in [
        (
            r#"{"inputs":[{"name":"image","datatype":"FP32","shape":["8","64"],"contents":{"fp32Contents":[1]}}]}"#,
            "contents",
        ),
        (
            r#"{"inputs":[{"contents":{"fp32_contents":["1"]},"name":"image","datatype":"FP32","shape":["8",64]}]}"#,
            "contents",
        ),
        (r#"{"rawInputContents":["AA=="],"inputs":[{"name":"image","datatype":"FP32","shape":[8,"64"]}]}"#, "raw"),
        (r#"{"inputs":[{"name":"image","datatype":"FP32","shape":[8,64]}],"raw_input_contents":["AA=="]}"#, "raw"),
    ] {
        let matched = matched(gateway, &models, |model| post(model, body))?;
        ensure!(matched == ["name", "datatype", "shape", "batch", expected], "{body} matched {matched:?}");
    }
    Ok(())
}

fn tensor(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
}

fn grpc_inputs_are_read(gateway: &mut dyn Gateway) -> Result<()> {
    let models = ["name", "datatype", "shape", "batch"];
    for (inputs, expected) in [
        (vec![tensor("image", "FP32", &[8, 64])], &models[..]),
        (vec![tensor("other", "FP64", &[1]), tensor("image", "INT8", &[9, 64])], &["name", "shape"]),
        (vec![tensor("other", "FP32", &[100])], &["datatype", "batch"]),
        (vec![], &[]),
    ] {
        for bytes in [10, 100_000] {
            let matched = matched(gateway, &models, |model| {
                let raw_input_contents = vec![vec![7; bytes]];
                let message = ModelInferRequest {
                    model_name: model.to_owned(),
                    inputs: inputs.clone(),
                    raw_input_contents,
                    ..Default::default()
                };
                Request::grpc(INFER, frame(&message))
            })?;
            ensure!(matched == expected, "{inputs:?} with {bytes} bytes matched {matched:?}");
        }
    }
    Ok(())
}

fn the_encoding_of_every_wire_is_told(gateway: &mut dyn Gateway) -> Result<()> {
    let models = ["json", "contents", "binary", "raw"];
    let grpc = |fields: &[(u8, &[u8])], model: &str| {
        let fields: Vec<Vec<u8>> = fields.iter().map(|(number, content)| field(*number, content)).collect();
        Request::grpc(INFER, frame_bytes(&[field(1, model.as_bytes()), fields.concat()].concat()))
    };
    let contents = [field(1, b"image"), field(5, &field(8, b"text"))].concat();
    let requests: [(&str, Asking); 5] = [
        ("json", Box::new(|model| post(model, r#"{"inputs":[{"data":[1]}]}"#))),
        ("contents", Box::new(|model| post(model, r#"{"inputs":[{"contents":{}}]}"#))),
        ("contents", Box::new(move |model| grpc(&[(5, &contents)], model))),
        ("raw", Box::new(move |model| grpc(&[(5, &field(1, b"image")), (7, &[1; 40_000])], model))),
        ("binary", Box::new(|model| post(model, "{}\u{1}\u{2}").header("inference-header-content-length", "2"))),
    ];
    for (expected, request) in requests {
        let matched = matched(gateway, &models, request)?;
        ensure!(matched == [expected], "{expected} matched {matched:?}");
    }
    Ok(())
}

fn binary_needs_no_look_into_the_body(gateway: &mut dyn Gateway) -> Result<()> {
    let body = [&b"{}"[..], &[0; 5_000]].concat();
    let late = Request::post("/v2/models/binary/infer", body.clone()).header("inference-header-content-length", "2");
    let upstream = pass(gateway, late)?;
    ensure!(variant(&upstream)? == "canary" && upstream.body == body, "it was not decided by its header");
    Ok(())
}

fn one_id_is_one_unit_on_every_wire(gateway: &mut dyn Gateway) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..20 {
        let id = format!("request-{number}");
        let first = pass(gateway, post("sticky", &format!(r#"{{"id":"{id}","inputs":[]}}"#)))?;
        let last = pass(gateway, post("sticky", &format!(r#"{{"inputs":[{{"data":[1],"id":"x"}}],"id" : "{id}"}}"#)))?;
        let message = ModelInferRequest { model_name: "sticky".to_owned(), id: id.clone(), ..Default::default() };
        let grpc = pass(gateway, Request::grpc(INFER, frame(&message)))?;
        let variant_of_first = variant(&first)?;
        ensure!(variant_of_first == variant(&last)? && variant_of_first == variant(&grpc)?, "{id} saw two variants");
        seen.insert(variant_of_first);
    }
    ensure!(seen.len() == 2, "all ids saw {seen:?}");
    Ok(())
}

/// The elements of the input lie far behind the limit, what is said of it in front of them does not.
fn an_input_in_front_of_megabytes_is_seen(gateway: &mut dyn Gateway) -> Result<()> {
    let numbers = vec!["0.125"; 200_000].join(",");
    let body = format!(r#"{{"inputs":[{{"name":"image","shape":[8,64],"datatype":"FP32","data":[{numbers}]}}]}}"#);
    for model in ["name", "datatype", "shape", "batch"] {
        let exchange = send(gateway, post(model, &body))?;
        ensure!(exchange.took < 3 * SECOND, "{model} took {:?}", exchange.took);
        ensure!(variant(passed(&exchange)?)? == "canary", "{model} did not match");
    }
    Ok(())
}
