use super::*;
use crate::parameter::Parameters;
use crate::tensor::TensorData;
use half::{bf16, f16};

fn read_text(text: &str) -> Result<Read, Error> {
    read(&Bytes::copy_from_slice(text.as_bytes()), text.len())
}

fn refusal(text: &str) -> String {
    let error = read_text(text).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::InvalidArgument);
    error.message().to_owned()
}

fn input(members: &str) -> String {
    format!("{{\"inputs\": [{{{members}}}]}}")
}

fn only_data(text: &str) -> TensorData {
    let mut read = read_text(text).unwrap();
    read.request.inputs.remove(0).into_data()
}

#[test]
fn a_request_with_every_member_is_read() {
    let read = read_text(
        r#"{"id": "42", "parameters": {"priority": 1, "binary_data_output": true},
            "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": {"content_type": "np"},
                        "data": [[1, 2.5], [-3, 1e2]]}],
            "outputs": [{"name": "y", "parameters": {"binary_data": false, "classification": 3}}, {"name": "z"}],
            "further": {"members": [1, {}]}}"#,
    )
    .unwrap();
    let Read { request, dialect, binary } = read;
    assert_eq!(dialect, Dialect::Data);
    assert_eq!(request.id.as_deref(), Some("42"));
    assert_eq!(request.parameters, Parameters::from([("priority".to_owned(), Parameter::Int64(1))]));
    let [x] = request.inputs.as_slice() else { panic!("{:?}", request.inputs) };
    assert_eq!((x.name.as_str(), x.shape()), ("x", [2, 2].as_slice()));
    assert_eq!(x.data(), &TensorData::Fp32(vec![1.0, 2.5, -3.0, 100.0]));
    assert_eq!(x.parameters["content_type"], Parameter::String("np".to_owned()));
    assert_eq!(request.outputs[0].parameters["classification"], Parameter::Int64(3));
    assert_eq!(request.outputs.len(), 2);
    assert!(!binary.includes("y"));
    assert!(binary.includes("z"));
}

#[test]
fn members_may_stand_in_any_order() {
    let text = input(r#""data": [1, 2], "shape": [2], "datatype": "INT64", "name": "x""#);
    assert_eq!(only_data(&text), TensorData::Int64(vec![1, 2]));
    let refused = refusal(&input(r#""data": [1, 0.5], "shape": [2], "datatype": "INT64", "name": "x""#));
    assert!(refused.starts_with("input 'x': data[1]: expected INT64, got 0.5"), "{refused}");
}

#[test]
fn every_datatype_has_data() {
    let cases = [
        ("BOOL", "[true, false]", TensorData::Bool(vec![true, false])),
        ("UINT8", "[0, 255]", TensorData::Uint8(vec![0, 255])),
        ("UINT16", "[0, 65535]", TensorData::Uint16(vec![0, 65535])),
        ("UINT32", "[0, 4294967295]", TensorData::Uint32(vec![0, u32::MAX])),
        ("UINT64", "[0, 18446744073709551615]", TensorData::Uint64(vec![0, u64::MAX])),
        ("INT8", "[-128, 127]", TensorData::Int8(vec![-128, 127])),
        ("INT16", "[-32768, 32767]", TensorData::Int16(vec![-32768, 32767])),
        ("INT32", "[-2147483648, 2147483647]", TensorData::Int32(vec![i32::MIN, i32::MAX])),
        ("INT64", "[-9223372036854775808, 9223372036854775807]", TensorData::Int64(vec![i64::MIN, i64::MAX])),
        ("FP16", "[0.5, -2]", TensorData::Fp16(vec![f16::from_f32(0.5), f16::from_f32(-2.0)])),
        ("BF16", "[0.5, -2]", TensorData::Bf16(vec![bf16::from_f32(0.5), bf16::from_f32(-2.0)])),
        ("FP32", "[0.1, -2]", TensorData::Fp32(vec![0.1, -2.0])),
        ("FP64", "[0.1, 5e-324]", TensorData::Fp64(vec![0.1, 5e-324])),
        ("BYTES", r#"["a\u0000", "ü"]"#, TensorData::Bytes(vec!["a\0".into(), "ü".into()])),
    ];
    assert_eq!(cases.len(), crate::DataType::ALL.len());
    for (datatype, data, expected) in cases {
        let text = input(&format!(r#""name": "x", "shape": [2], "datatype": "{datatype}", "data": {data}"#));
        assert_eq!(only_data(&text), expected, "{datatype}");
    }
}

#[test]
fn the_protobuf_dialect_is_read_in_both_casings() {
    for (key, shape) in [("fp32_contents", "[1, 2]"), ("fp32Contents", r#"["1", "2"]"#)] {
        let text = input(&format!(
            r#""name": "x", "shape": {shape}, "datatype": "FP32", "contents": {{"{key}": [1, "2.5"]}}"#
        ));
        let read = read_text(&text).unwrap();
        assert_eq!(read.dialect, Dialect::Contents);
        assert_eq!(read.request.inputs[0].shape(), [1, 2]);
        assert_eq!(read.request.inputs[0].data(), &TensorData::Fp32(vec![1.0, 2.5]));
    }
}

#[test]
fn every_array_of_contents_is_read() {
    let cases = [
        ("BOOL", "boolContents", "[true]", TensorData::Bool(vec![true])),
        ("UINT8", "uint_contents", "[255]", TensorData::Uint8(vec![255])),
        ("UINT16", "uintContents", "[7]", TensorData::Uint16(vec![7])),
        ("UINT32", "uintContents", "[\"7\"]", TensorData::Uint32(vec![7])),
        ("UINT64", "uint64Contents", "[\"18446744073709551615\"]", TensorData::Uint64(vec![u64::MAX])),
        ("INT8", "intContents", "[-128]", TensorData::Int8(vec![-128])),
        ("INT16", "int_contents", "[-7]", TensorData::Int16(vec![-7])),
        ("INT32", "intContents", "[-7]", TensorData::Int32(vec![-7])),
        ("INT64", "int64_contents", "[\"-9223372036854775808\"]", TensorData::Int64(vec![i64::MIN])),
        ("FP32", "fp32Contents", "[\"Infinity\"]", TensorData::Fp32(vec![f32::INFINITY])),
        ("FP64", "fp64_contents", "[0.1]", TensorData::Fp64(vec![0.1])),
        ("BYTES", "bytesContents", "[\"aGk=\"]", TensorData::Bytes(vec!["hi".into()])),
    ];
    for (datatype, key, values, expected) in cases {
        let members =
            format!(r#""contents": {{"{key}": {values}}}, "name": "x", "shape": [1], "datatype": "{datatype}""#);
        assert_eq!(only_data(&input(&members)), expected, "{datatype}");
    }
}

#[test]
fn raw_input_contents_are_base64_of_raw_values() {
    let inputs =
        r#"[{"name": "x", "shape": ["2"], "datatype": "FP32"}, {"name": "y", "shape": [1], "datatype": "BYTES"}]"#;
    for key in ["raw_input_contents", "rawInputContents"] {
        let text = format!(r#"{{"{key}": ["AACAPwAAAEA=", "AgAAAGhp"], "inputs": {inputs}}}"#);
        let read = read_text(&text).unwrap();
        assert_eq!(read.dialect, Dialect::RawContents);
        assert_eq!(read.request.inputs[0].data(), &TensorData::Fp32(vec![1.0, 2.0]));
        assert_eq!(read.request.inputs[1].data(), &TensorData::Bytes(vec!["hi".into()]));
    }
    let refused = refusal(&format!(r#"{{"rawInputContents": ["AACAPwAAAEA="], "inputs": {inputs}}}"#));
    assert_eq!(refused, "raw_input_contents has 1 entries for 2 inputs, expected one each");
    let text = r#"{"rawInputContents": ["AACAPw=="], "inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}"#;
    assert!(refusal(text).contains("has values beside raw_input_contents"));
}

#[test]
fn binary_values_follow_the_json_in_the_order_of_their_inputs() {
    let json = br#"{"inputs": [
        {"name": "a", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
        {"name": "b", "shape": [1], "datatype": "FP32", "data": [1.5]},
        {"name": "c", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 10}}]}"#;
    let body = [json.as_slice(), b"\x01\0\xff\xff", b"\x02\0\0\0hi\0\0\0\0"].concat();
    let read = read(&Bytes::from(body.clone()), json.len()).unwrap();
    assert_eq!(read.request.inputs[0].data(), &TensorData::Int16(vec![1, -1]));
    assert_eq!(read.request.inputs[1].data(), &TensorData::Fp32(vec![1.5]));
    assert_eq!(read.request.inputs[2].data(), &TensorData::Bytes(vec!["hi".into(), Bytes::new()]));
    assert_eq!(read.request.inputs[0].parameters, Parameters::new());

    let too_few = super::read(&Bytes::from(body[..body.len() - 1].to_vec()), json.len()).unwrap_err();
    assert_eq!(too_few.message(), "input 'c': binary_data_size is 10, 9 bytes are left of the body");
    let too_many = super::read(&Bytes::from([body.as_slice(), b"!!"].concat()), json.len()).unwrap_err();
    assert_eq!(too_many.message(), "2 bytes are left after the last input's binary data");
    let beyond = super::read(&Bytes::from_static(b"{}"), 3).unwrap_err();
    assert!(beyond.message().contains("says 3 bytes, the body has 2"), "{beyond}");
}

#[test]
fn base64_texts_are_decoded_where_the_content_type_says_so() {
    for content_type in ["base64", "b64"] {
        let members = format!(
            r#""name": "x", "shape": [1], "datatype": "BYTES", "data": ["/wA="], "parameters": {{"content_type": "{content_type}"}}"#
        );
        assert_eq!(only_data(&input(&members)), TensorData::Bytes(vec![Bytes::from_static(b"\xff\0")]));
    }
    let members =
        r#""name": "x", "shape": [1], "datatype": "BYTES", "data": ["?"], "parameters": {"content_type": "base64"}"#;
    assert!(refusal(&input(members)).contains("data[0] is not base64"));
}

#[test]
fn what_pydantic_writes_for_absent_members_is_read() {
    let text = r#"{"id": null, "parameters": null, "outputs": null, "inputs": [
        {"name": "x", "shape": [1], "datatype": "FP32", "parameters": null, "data": [1]}]}"#;
    assert_eq!(read_text(text).unwrap().request.id, None);
}

#[test]
fn mistakes_are_refused_with_what_was_expected() {
    let cases = [
        ("", "malformed JSON: EOF while parsing a value"),
        ("{\"inputs\": [", "malformed JSON: EOF"),
        ("{\"inputs\": []} x", "malformed JSON: trailing characters"),
        ("[]", "expected an inference request to be an object"),
        ("{}", "the request has no inputs"),
        ("{\"inputs\": {}}", "expected inputs to be an array"),
        ("{\"inputs\": [], \"inputs\": []}", "inputs stand twice"),
        (r#"{"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}"#, "inputs[0] has no name"),
        (r#"{"inputs": [{"name": "x", "datatype": "FP32", "data": [1]}]}"#, "input 'x' has no shape"),
        (r#"{"inputs": [{"name": "x", "shape": [1], "data": [1]}]}"#, "input 'x' has no datatype"),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP33", "data": [1]}]}"#,
            "unknown datatype 'FP33', expected one of BOOL",
        ),
        (r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}"#, "input 'x' has no tensor values"),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": 1}]}"#,
            "expected data to be an array of FP32",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1]}]}"#,
            "shape [2] needs 2 values, got 1",
        ),
        (r#"{"inputs": [{"name": "x", "shape": [-1], "datatype": "FP32", "data": [1]}]}"#, "negative dimension"),
        (
            r#"{"inputs": [{"name": "x", "shape": [1.5], "datatype": "FP32", "data": [1]}]}"#,
            "expected a dimension to be an integer",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [9223372036854775807, 9], "datatype": "FP32", "data": [1]}]}"#,
            "more elements than can be counted",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1], [2]]}]}"#,
            "data is nested as [2, 1], its shape is [1, 2]",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "UINT8", "data": [256]}]}"#,
            "data[0]: expected UINT8, got 256",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "data": [1]}]}"#,
            "input 'x' has data twice",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "contents": {}}]}"#,
            "both data and contents",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "contents": {"fp32": [1]}}]}"#,
            "unknown field `fp32`, expected one of `boolContents`",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "contents": {"fp32_contents": [[1]]}}]}"#,
            "fp32_contents is nested",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "contents": {"fp64_contents": [1]}}]}"#,
            "FP32 values belong in fp32_contents",
        ),
        (
            r#"{"inputs": [{"name": "x", "shape": [0], "datatype": "FP32", "data": []}, {"name": "x", "shape": [0], "datatype": "FP32", "data": []}]}"#,
            "input 'x' stands twice",
        ),
        ("{\"inputs\": [{\"name\": \"\u{0}", "malformed JSON"),
    ];
    for (text, expected) in cases {
        let refused = refusal(text);
        assert!(refused.contains(expected), "{text}\n{refused}");
    }
}

#[test]
fn shapes_that_promise_much_reserve_little() {
    let many: Vec<_> = (0..100)
        .map(|index| format!(r#"{{"name": "{index}", "shape": [1000000000000], "datatype": "FP64", "data": []}}"#))
        .collect();
    assert!(refusal(&format!("{{\"inputs\": [{}]}}", many.join(","))).contains("needs 1000000000000 values, got 0"));
}
