use super::*;
use crate::tensor::TensorData;
use half::f16;

fn fp32(shape: &[i64], values: &[f32]) -> InferInputTensor {
    InferInputTensor {
        name: "x".to_owned(),
        datatype: "FP32".to_owned(),
        shape: shape.to_vec(),
        contents: Some(InferTensorContents { fp32_contents: values.to_vec(), ..InferTensorContents::default() }),
        ..InferInputTensor::default()
    }
}

fn request(inputs: Vec<InferInputTensor>, raw: Vec<&'static [u8]>) -> ModelInferRequest {
    ModelInferRequest {
        model_name: "m".to_owned(),
        inputs,
        raw_input_contents: raw.into_iter().map(Bytes::from_static).collect(),
        ..ModelInferRequest::default()
    }
}

fn refusal(message: ModelInferRequest) -> String {
    match read(message) {
        Ok(read) => panic!("{:?} was not refused", read.request),
        Err(error) => error.message().to_owned(),
    }
}

fn response(data: TensorData) -> InferResponse {
    let tensor = Tensor::new("y", vec![data.len()], data).unwrap();
    InferResponse { parameters: Parameters::new(), outputs: vec![tensor] }
}

fn envelope(is_raw: bool) -> Envelope {
    Envelope { model_name: "m".to_owned(), model_version: String::new(), id: String::new(), is_raw }
}

#[test]
fn typed_and_raw_values_come_to_the_same() {
    let typed = read(request(vec![fp32(&[2], &[1.0, 2.0])], vec![])).unwrap();
    let mut bare = fp32(&[2], &[]);
    bare.contents = None;
    let raw = read(request(vec![bare], vec![b"\0\0\x80\x3f\0\0\0\x40"])).unwrap();
    assert_eq!(typed.request, raw.request);
    assert!(!typed.is_raw);
    assert!(raw.is_raw);
}

#[test]
fn an_empty_contents_message_beside_raw_values_is_no_contents() {
    assert!(read(request(vec![fp32(&[1], &[])], vec![b"\0\0\x80\x3f"])).is_ok());
}

#[test]
fn mistakes_are_refused_with_what_was_expected() {
    let cases = [
        (
            request(vec![fp32(&[1], &[1.0])], vec![b"\0\0\0\0"]),
            "input 'x' has contents beside raw_input_contents, send one of them",
        ),
        (
            request(vec![fp32(&[1], &[])], vec![b"", b""]),
            "raw_input_contents has 2 entries for 1 inputs, expected one each",
        ),
        (request(vec![fp32(&[2], &[1.0])], vec![]), "tensor 'x': shape [2] needs 2 values, got 1"),
        (request(vec![fp32(&[-2], &[1.0])], vec![]), "input 'x': shape [-2] has a negative dimension, expected sizes"),
        (
            request(vec![fp32(&[0], &[]), fp32(&[0], &[])], vec![]),
            "input 'x' stands twice in inputs, expected each name once",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(refusal(message), expected);
    }
    let mut nothing = fp32(&[1], &[]);
    nothing.contents = None;
    assert!(refusal(request(vec![nothing], vec![])).contains("has no tensor values"));
    let mut unknown = fp32(&[1], &[1.0]);
    unknown.datatype = "FLOAT".to_owned();
    assert!(
        refusal(request(vec![unknown], vec![])).starts_with("input 'x': unknown datatype 'FLOAT', expected one of")
    );
}

#[test]
fn parameters_survive_both_ways() {
    let parameters = Parameters::from([
        ("b".to_owned(), Parameter::Bool(true)),
        ("d".to_owned(), Parameter::Double(0.5)),
        ("i".to_owned(), Parameter::Int64(-1)),
        ("s".to_owned(), Parameter::String("np".to_owned())),
        ("u".to_owned(), Parameter::Uint64(u64::MAX)),
    ]);
    assert_eq!(read_parameters(write_parameters(&parameters)), parameters);
}

#[test]
fn answers_are_typed_or_raw_as_the_request_was() {
    let typed = write(envelope(false), response(TensorData::Fp32(vec![1.0])));
    assert_eq!(typed.outputs[0].contents.as_ref().unwrap().fp32_contents, [1.0]);
    assert!(typed.raw_output_contents.is_empty());
    let raw = write(envelope(true), response(TensorData::Fp32(vec![1.0])));
    assert_eq!(raw.outputs[0].contents, None);
    assert_eq!(raw.raw_output_contents, [b"\0\0\x80\x3f".as_slice()]);
}

#[test]
fn half_precision_is_answered_raw_for_it_has_no_typed_form() {
    let answer = write(envelope(false), response(TensorData::Fp16(vec![f16::ONE])));
    assert_eq!(answer.outputs[0].datatype, "FP16");
    assert_eq!(answer.raw_output_contents, [b"\0\x3c".as_slice()]);
}
