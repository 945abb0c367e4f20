use super::*;
use crate::parameter::{Parameter, Parameters};
use half::bf16;
use serde_json::{Value, json};

const ENVELOPE: Envelope<'static> = Envelope { model_name: "m", model_version: None, id: None };

fn written(data: TensorData, is_raw: bool) -> Value {
    let tensor = Tensor::new("y", vec![data.len()], data).unwrap();
    let response = InferResponse { parameters: Parameters::new(), outputs: vec![tensor] };
    serde_json::from_slice(&write(ENVELOPE, &response, is_raw).unwrap()).unwrap()
}

#[test]
fn the_quick_starts_answer_is_written_to_the_byte() {
    let content_type = ("content_type".to_owned(), Parameter::String("np".to_owned()));
    let predict = Tensor::new("predict", vec![1, 1], TensorData::Int64(vec![8]))
        .unwrap()
        .with_parameters(Parameters::from([content_type]));
    let response = InferResponse { parameters: Parameters::new(), outputs: vec![predict] };
    let envelope = Envelope { model_name: "sklearn-mnist", model_version: Some("2"), id: Some("7") };
    let text = String::from_utf8(write(envelope, &response, false).unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"modelName":"sklearn-mnist","modelVersion":"2","id":"7","outputs":[{"name":"predict","datatype":"INT64","shape":["1","1"],"parameters":{"content_type":{"stringParam":"np"}},"contents":{"int64Contents":["8"]}}]}"#
    );
}

#[test]
fn every_datatype_has_its_array() {
    let cases = [
        (TensorData::Bool(vec![true]), json!({"boolContents": [true]})),
        (TensorData::Uint8(vec![255]), json!({"uintContents": [255]})),
        (TensorData::Uint16(vec![7]), json!({"uintContents": [7]})),
        (TensorData::Uint32(vec![7]), json!({"uintContents": [7]})),
        (TensorData::Uint64(vec![u64::MAX]), json!({"uint64Contents": ["18446744073709551615"]})),
        (TensorData::Int8(vec![-7]), json!({"intContents": [-7]})),
        (TensorData::Int16(vec![-7]), json!({"intContents": [-7]})),
        (TensorData::Int32(vec![-7]), json!({"intContents": [-7]})),
        (TensorData::Int64(vec![-7]), json!({"int64Contents": ["-7"]})),
        (TensorData::Fp32(vec![1.5, f32::NAN]), json!({"fp32Contents": [1.5, "NaN"]})),
        (TensorData::Fp64(vec![f64::INFINITY, f64::NEG_INFINITY]), json!({"fp64Contents": ["Infinity", "-Infinity"]})),
        (TensorData::Bytes(vec!["hi".into()]), json!({"bytesContents": ["aGk="]})),
        (TensorData::Fp32(vec![]), json!({})),
    ];
    for (data, expected) in cases {
        assert_eq!(written(data.clone(), false)["outputs"][0]["contents"], expected, "{data:?}");
    }
}

#[test]
fn raw_contents_are_base64_and_half_precision_has_no_other_form() {
    let raw = written(TensorData::Fp32(vec![1.0, 2.0]), true);
    assert_eq!(raw["rawOutputContents"], json!(["AACAPwAAAEA="]));
    assert_eq!(raw["outputs"][0].get("contents"), None);
    let half = written(TensorData::Bf16(vec![bf16::from_f32(1.0)]), false);
    assert_eq!(half["rawOutputContents"], json!(["gD8="]));
}
