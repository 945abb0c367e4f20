use super::*;
use bytes::Bytes;
use half::f16;

#[test]
fn values_of_every_typed_datatype_survive_the_round_trip() {
    let all = [
        TensorData::Bool(vec![true, false]),
        TensorData::Uint8(vec![0, u8::MAX]),
        TensorData::Uint16(vec![0, u16::MAX]),
        TensorData::Uint32(vec![0, u32::MAX]),
        TensorData::Uint64(vec![0, u64::MAX]),
        TensorData::Int8(vec![i8::MIN, i8::MAX]),
        TensorData::Int16(vec![i16::MIN, i16::MAX]),
        TensorData::Int32(vec![i32::MIN, i32::MAX]),
        TensorData::Int64(vec![i64::MIN, i64::MAX]),
        TensorData::Fp32(vec![f32::MIN, f32::INFINITY]),
        TensorData::Fp64(vec![f64::MIN, 0.1]),
        TensorData::Bytes(vec![Bytes::from_static(b"\xff\0"), Bytes::new()]),
    ];
    for data in all {
        let contents = write(data.clone()).unwrap();
        assert_eq!(read("x", data.datatype(), contents).unwrap(), data);
    }
}

#[test]
fn half_precision_has_no_typed_contents() {
    assert_eq!(write(TensorData::Fp16(vec![f16::ONE])), None);
    let error = read("x", DataType::Fp16, InferTensorContents::default()).unwrap_err();
    assert_eq!(error.message(), "input 'x': FP16 has no typed contents, send raw_input_contents");
}

#[test]
fn values_outside_the_datatype_are_refused_not_cut() {
    let contents = InferTensorContents { int_contents: vec![1, 128], ..InferTensorContents::default() };
    let error = read("x", DataType::Int8, contents).unwrap_err();
    assert_eq!(error.message(), "input 'x': 128 is out of range for INT8");
}

#[test]
fn values_in_another_array_or_in_two_are_refused() {
    let contents = InferTensorContents { fp64_contents: vec![1.0], ..InferTensorContents::default() };
    let error = read("x", DataType::Fp32, contents).unwrap_err();
    assert_eq!(error.message(), "input 'x': FP32 values belong in fp32_contents, got fp64_contents");

    let contents =
        InferTensorContents { fp32_contents: vec![1.0], bool_contents: vec![true], ..InferTensorContents::default() };
    assert!(read("x", DataType::Fp32, contents).unwrap_err().message().contains("got bool_contents"));
}
