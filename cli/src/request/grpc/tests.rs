use serde_json::json;

use super::*;

fn sent(json: &Value) -> ModelInferRequest {
    let body = framed(json.to_string().as_bytes()).expect("a message");
    assert_eq!(body[0], 0, "not compressed");
    assert_eq!(u32::from_be_bytes([body[1], body[2], body[3], body[4]]) as usize, body.len() - 5);
    ModelInferRequest::decode(&body[5..]).expect("protobuf")
}

#[test]
fn both_spellings_and_both_forms_of_parameters_are_taken() {
    let camel = json!({
        "modelName": "a", "modelVersion": "2", "parameters": {"u": {"stringParam": "x"}, "n": {"int64Param": "7"}},
        "inputs": [{"name": "i", "datatype": "FP32", "shape": [1, "2"], "contents": {"fp32Contents": [1.5, 2]}}],
    });
    let snake = json!({
        "model_name": "a", "model_version": "2", "parameters": {"u": "x", "n": 7},
        "inputs": [{"name": "i", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1.5, 2.0]}}],
    });
    assert_eq!(sent(&camel), sent(&snake));
    assert_eq!(sent(&camel).model_name, "a");
}

#[test]
fn raw_contents_are_base64() {
    assert_eq!(sent(&json!({"rawInputContents": ["AAE="]})).raw_input_contents, [vec![0, 1]]);
}

#[test]
fn what_is_no_field_is_told_with_its_place() {
    let refusal = |json: Value| format!("{:#}", framed(json.to_string().as_bytes()).expect_err("no message"));
    assert_eq!(refusal(json!({"model": "a"})), "model: a ModelInferRequest has no such field");
    assert_eq!(refusal(json!({"inputs": [{"data": [1]}]})), "inputs[0].data: a ModelInferRequest has no such field");
    assert!(refusal(json!({"parameters": {"a": [1]}})).starts_with("parameters.a: "));
}
