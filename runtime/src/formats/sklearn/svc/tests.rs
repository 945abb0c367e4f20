//! The classifier behind the protocol: what it takes, gives and refuses.

use bytes::Bytes;
use half::{bf16, f16};

use super::Svc;
use crate::error::{Error, ErrorKind};
use crate::formats::sklearn::tests::fixtures::data;
use crate::message::{InferRequest, RequestedOutput};
use crate::model::{BatchModel, TensorSpec};
use crate::parameter::Parameter;
use crate::tensor::{DataType, Tensor, TensorData};

fn digits() -> Svc {
    Svc::from_bytes(&data("digits/rbf.joblib")).unwrap()
}

fn picture(index: usize) -> Vec<u8> {
    data("digits/pictures.u8")[index * 64..][..64].to_vec()
}

fn request(inputs: Vec<Tensor>) -> InferRequest {
    InferRequest { inputs, ..InferRequest::default() }
}

fn asking(mut request: InferRequest, outputs: &[&str]) -> InferRequest {
    let output = |&name: &&str| RequestedOutput { name: name.into(), ..RequestedOutput::default() };
    request.outputs = outputs.iter().map(output).collect();
    request
}

fn tensor(shape: &[usize], data: TensorData) -> Tensor {
    Tensor::new("any-name", shape.to_vec(), data).unwrap()
}

fn zeros(shape: &[usize]) -> InferRequest {
    request(vec![tensor(shape, TensorData::Fp64(vec![0.0; shape.iter().product()]))])
}

fn answer(svc: &Svc, request: &InferRequest) -> Vec<Tensor> {
    BatchModel::predict(svc, request).unwrap().0
}

fn refusal(svc: &Svc, request: &InferRequest) -> Error {
    BatchModel::predict(svc, request).unwrap_err()
}

#[test]
fn the_quick_starts_picture_is_an_eight() {
    let pixels: [f32; 64] = [
        0.0, 0.0, 1.0, 11.0, 14.0, 15.0, 3.0, 0.0, 0.0, 1.0, 13.0, 16.0, 12.0, 16.0, 8.0, 0.0, 0.0, 8.0, 16.0, 4.0,
        6.0, 16.0, 5.0, 0.0, 0.0, 5.0, 15.0, 11.0, 13.0, 14.0, 0.0, 0.0, 0.0, 0.0, 2.0, 12.0, 16.0, 13.0, 0.0, 0.0,
        0.0, 0.0, 0.0, 13.0, 16.0, 16.0, 6.0, 0.0, 0.0, 0.0, 0.0, 16.0, 16.0, 16.0, 7.0, 0.0, 0.0, 0.0, 0.0, 11.0,
        13.0, 12.0, 1.0, 0.0,
    ];
    let outputs = answer(&digits(), &request(vec![tensor(&[1, 64], TensorData::Fp32(pixels.to_vec()))]));
    let [output] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(output.name, "predict");
    assert_eq!(output.shape(), [1, 1]);
    assert_eq!(*output.data(), TensorData::Int64(vec![8]));
    assert_eq!(output.parameters["content_type"], Parameter::String("np".into()));
}

#[test]
fn every_numeric_datatype_gives_the_same_answer() {
    let pixels = picture(1000);
    let all = [
        TensorData::Uint8(pixels.clone()),
        TensorData::Uint16(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Uint32(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Uint64(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Int8(pixels.iter().map(|&pixel| pixel.try_into().unwrap()).collect()),
        TensorData::Int16(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Int32(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Int64(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Fp16(pixels.iter().map(|&pixel| f16::from(pixel)).collect()),
        TensorData::Bf16(pixels.iter().map(|&pixel| bf16::from(pixel)).collect()),
        TensorData::Fp32(pixels.iter().map(|&pixel| pixel.into()).collect()),
        TensorData::Fp64(pixels.iter().map(|&pixel| pixel.into()).collect()),
    ];
    let expected = TensorData::Int64(vec![data("digits/rbf.predict.u8")[1000].into()]);
    for data in all {
        let datatype = data.datatype();
        let outputs = answer(&digits(), &request(vec![tensor(&[1, 64], data)]));
        assert_eq!(*outputs[0].data(), expected, "{datatype}");
    }
    let bools = TensorData::Bool(pixels.iter().map(|&pixel| pixel > 8).collect());
    let ones = TensorData::Uint8(pixels.iter().map(|&pixel| u8::from(pixel > 8)).collect());
    let answer = |data| answer(&digits(), &request(vec![tensor(&[1, 64], data)]));
    assert_eq!(answer(bools), answer(ones));
}

#[test]
fn one_dimension_is_one_row_and_no_rows_are_no_labels() {
    let outputs = answer(&digits(), &request(vec![tensor(&[64], TensorData::Uint8(picture(0)))]));
    assert_eq!((outputs[0].shape(), outputs[0].data()), (&[1, 1][..], &TensorData::Int64(vec![0])));
    let outputs = answer(&digits(), &zeros(&[0, 64]));
    assert_eq!((outputs[0].shape(), outputs[0].data()), (&[0, 1][..], &TensorData::Int64(vec![])));
}

#[test]
fn wrong_shapes_are_refused_with_what_was_expected_and_got() {
    for shape in [&[1, 63][..], &[64, 1], &[63], &[1, 8, 8], &[], &[1, 1, 64], &[0, 0]] {
        let error = refusal(&digits(), &zeros(shape));
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let expected =
            format!("input 'any-name': sklearn SVC expects 64 features, shape [rows, 64], got shape {shape:?}");
        assert_eq!(error.message(), expected);
    }
}

#[test]
fn other_inputs_than_one_of_numbers_are_refused() {
    let svc = digits();
    assert_eq!(
        refusal(&svc, &request(vec![])).message(),
        "sklearn SVC takes one input of shape [rows, 64], got 0 inputs"
    );
    let two = vec![tensor(&[1, 64], TensorData::Uint8(picture(0))); 2];
    assert_eq!(refusal(&svc, &request(two)).message(), "sklearn SVC takes one input of shape [rows, 64], got 2 inputs");
    let texts = tensor(&[1, 64], TensorData::Bytes(vec![Bytes::from_static(b"1"); 64]));
    let error = refusal(&svc, &request(vec![texts]));
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::InvalidArgument, "input 'any-name': expected a numeric datatype, got BYTES")
    );
}

#[test]
fn nan_and_infinity_are_refused_with_their_place() {
    for (value, what) in [(f32::NAN, "NaN"), (f32::INFINITY, "an infinity"), (f32::NEG_INFINITY, "an infinity")] {
        let mut values = vec![0.0_f32; 3 * 64];
        values[2 * 64 + 5] = value;
        let error = refusal(&digits(), &request(vec![tensor(&[3, 64], TensorData::Fp32(values))]));
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let expected =
            format!("input 'any-name' contains {what} at row 2, column 5; sklearn SVC takes finite numbers only");
        assert_eq!(error.message(), expected);
    }
}

#[test]
fn outputs_are_given_as_asked() {
    let svc = Svc::from_bytes(&data("variants/probability.joblib")).unwrap();
    let rows = zeros(&[2, 4]);
    let names = |outputs: &[&str]| -> Vec<String> {
        answer(&svc, &asking(rows.clone(), outputs)).into_iter().map(|output| output.name).collect()
    };
    assert_eq!(names(&[]), ["predict"]);
    assert_eq!(names(&["predict", "predict"]), ["predict"]);
    assert_eq!(names(&["predict_proba", "predict"]), ["predict_proba", "predict"]);
    let outputs = answer(&svc, &asking(rows.clone(), &["predict_proba"]));
    assert_eq!((outputs[0].shape(), outputs[0].datatype()), (&[2, 3][..], DataType::Fp64));
    let TensorData::Fp64(values) = outputs[0].data() else { panic!("no FP64") };
    for row in values.chunks(3) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
    }
    assert_eq!(
        refusal(&svc, &asking(rows, &["zzz"])).message(),
        "sklearn SVC gives 'predict' and 'predict_proba', 'zzz' was asked"
    );
}

#[test]
fn outputs_that_a_model_does_not_have_are_refused() {
    let asked = |name| refusal(&digits(), &asking(zeros(&[1, 64]), &[name])).message().to_owned();
    assert_eq!(asked("zzz"), "sklearn SVC gives 'predict', 'zzz' was asked");
    assert_eq!(
        asked("predict_proba"),
        "sklearn SVC gives 'predict', 'predict_proba' was asked; it was fitted without probability=True"
    );
}

#[test]
fn labels_of_each_type_have_their_datatype_and_content_type() {
    for (file, datatype, content_type) in [
        ("labels/unicode.joblib", DataType::Bytes, "str"),
        ("labels/object.joblib", DataType::Bytes, "str"),
        ("labels/float.joblib", DataType::Fp64, "np"),
        ("labels/bool.joblib", DataType::Bool, "np"),
        ("labels/negative.joblib", DataType::Int64, "np"),
    ] {
        let svc = Svc::from_bytes(&data(file)).unwrap();
        assert_eq!(svc.metadata().outputs[0].datatype, datatype, "{file}");
        let output = &answer(&svc, &zeros(&[1, 4]))[0];
        assert_eq!(output.datatype(), datatype, "{file}");
        assert_eq!(output.parameters["content_type"], Parameter::String(content_type.into()), "{file}");
    }
}

#[test]
fn metadata_says_what_goes_in_and_out() {
    let svc = digits();
    let metadata = svc.metadata();
    let spec = |name: &str, datatype, shape: &[i64]| TensorSpec { name: name.into(), datatype, shape: shape.to_vec() };
    assert_eq!(metadata.platform, "sklearn_joblib");
    assert_eq!(metadata.inputs, [spec("input-0", DataType::Fp64, &[-1, 64])]);
    assert_eq!(metadata.outputs, [spec("predict", DataType::Int64, &[-1, 1])]);
    assert_eq!(metadata.properties["estimator"], "SVC");
    assert_eq!(metadata.properties["kernel"], "rbf");
    assert_eq!(metadata.properties["classes"], "10");
    assert!(metadata.properties["sklearn_version"].starts_with("1."), "{:?}", metadata.properties);
    let nu = Svc::from_bytes(&data("variants/nu.joblib")).unwrap();
    assert_eq!(nu.metadata().properties["estimator"], "NuSVC");
    let proba = Svc::from_bytes(&data("variants/probability.joblib")).unwrap();
    assert_eq!(proba.metadata().outputs[1], spec("predict_proba", DataType::Fp64, &[-1, 3]));
}

#[test]
fn the_size_is_that_of_the_arrays() {
    // 519 vectors, rounded up to blocks of 8, of 64 features; 9 coefficients each; 45 intercepts.
    let arrays = 520 * 64 * 8 + 519 * 9 * 8 + 45 * 8;
    let size = usize::try_from(digits().size_bytes()).unwrap();
    assert!(size >= arrays && size < arrays + 3000, "{size}, expected a little more than {arrays}");
}

#[test]
fn small_work_is_quick_and_large_work_is_not() {
    let svc = digits();
    assert!(svc.is_quick(&zeros(&[1, 64])));
    assert!(svc.is_quick(&zeros(&[0, 64])));
    assert!(!svc.is_quick(&zeros(&[64, 64])));
    assert!(svc.is_quick(&request(vec![])), "a refusal is quick");
}

#[test]
fn values_that_are_no_whole_rows_are_refused() {
    let error = Svc::predict(&digits(), &[0.0; 65]).unwrap_err();
    assert_eq!(error.message(), "65 values are no whole rows of 64");
}
