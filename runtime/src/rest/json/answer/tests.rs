use super::*;
use crate::parameter::Parameters;
use half::f16;
use serde_json::{Value, json};

fn response(outputs: Vec<(&str, Vec<usize>, TensorData)>) -> InferResponse {
    let tensors = outputs.into_iter().map(|(name, shape, data)| Tensor::new(name, shape, data).unwrap());
    InferResponse { parameters: Parameters::new(), outputs: tensors.collect() }
}

const ENVELOPE: Envelope<'static> = Envelope { model_name: "m", model_version: None, id: None };

fn written(response: &InferResponse) -> Value {
    let written = write(ENVELOPE, response, &BinaryOutputs::default()).unwrap();
    assert_eq!(written.json_length, None);
    serde_json::from_slice(&written.body).unwrap()
}

fn data(data: TensorData) -> Value {
    written(&response(vec![("y", vec![data.len()], data)]))["outputs"][0]["data"].clone()
}

#[test]
fn absent_members_are_left_out_and_present_ones_are_in_place() {
    let bare = response(vec![("y", vec![2, 1], TensorData::Int64(vec![8, -1]))]);
    assert_eq!(
        written(&bare),
        json!({"model_name": "m", "outputs": [{"name": "y", "datatype": "INT64", "shape": [2, 1], "data": [8, -1]}]})
    );
    let mut full = bare;
    full.parameters.insert("p".to_owned(), Parameter::Double(0.5));
    full.outputs[0].parameters.insert("content_type".to_owned(), Parameter::String("np".to_owned()));
    let envelope = Envelope { model_name: "m", model_version: Some("3"), id: Some("42") };
    let written = write(envelope, &full, &BinaryOutputs::default()).unwrap();
    let json: Value = serde_json::from_slice(&written.body).unwrap();
    assert_eq!(json["model_version"], "3");
    assert_eq!(json["id"], "42");
    assert_eq!(json["parameters"], json!({"p": 0.5}));
    assert_eq!(json["outputs"][0]["parameters"], json!({"content_type": "np"}));
}

#[test]
fn numbers_keep_their_digits() {
    assert_eq!(data(TensorData::Uint64(vec![u64::MAX])).to_string(), "[18446744073709551615]");
    assert_eq!(data(TensorData::Int64(vec![i64::MIN])).to_string(), "[-9223372036854775808]");
    assert_eq!(data(TensorData::Fp64(vec![0.1])).to_string(), "[0.1]");
    let body =
        write(ENVELOPE, &response(vec![("y", vec![2], TensorData::Fp32(vec![0.1, 16.0]))]), &BinaryOutputs::default());
    let text = String::from_utf8(body.unwrap().body).unwrap();
    assert!(text.contains("[0.1,16.0]"), "{text}");
    assert_eq!(data(TensorData::Fp16(vec![f16::from_f32(0.5)])), json!([0.5]));
    assert_eq!(data(TensorData::Bool(vec![true, false])), json!([true, false]));
}

#[test]
fn what_json_cannot_say_is_null() {
    assert_eq!(data(TensorData::Fp32(vec![f32::NAN, f32::INFINITY, 1.0])), json!([null, null, 1.0]));
    assert_eq!(data(TensorData::Fp64(vec![f64::NEG_INFINITY])), json!([null]));
}

#[test]
fn texts_stay_texts_and_other_bytes_become_base64() {
    assert_eq!(data(TensorData::Bytes(vec!["a\0ü".into(), Bytes::new()])), json!(["a\0ü", ""]));
    let mixed = response(vec![("y", vec![2], TensorData::Bytes(vec!["a".into(), Bytes::from_static(b"\xff")]))]);
    let output = &written(&mixed)["outputs"][0];
    assert_eq!(output["data"], json!(["YQ==", "/w=="]));
    assert_eq!(output["parameters"]["content_type"], "base64");
}

#[test]
fn binary_outputs_follow_the_json_and_say_their_size() {
    let response = response(vec![
        ("a", vec![2], TensorData::Int16(vec![1, -1])),
        ("b", vec![1], TensorData::Fp32(vec![1.5])),
        ("c", vec![1], TensorData::Bytes(vec!["hi".into()])),
    ]);
    let mut binary = BinaryOutputs::all();
    binary.by_name.insert("b".to_owned(), false);
    let written = write(ENVELOPE, &response, &binary).unwrap();
    let (json, raw) = written.body.split_at(written.json_length.unwrap());
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"], json!({"binary_data_size": 4}));
    assert_eq!(json["outputs"][0].get("data"), None);
    assert_eq!(json["outputs"][1]["data"], json!([1.5]));
    assert_eq!(json["outputs"][2]["parameters"], json!({"binary_data_size": 6}));
    assert_eq!(raw, b"\x01\0\xff\xff\x02\0\0\0hi");
}
