//! The model that all of this is about, its questions and its answers.

use std::path::{Path, PathBuf};

use modelway_runtime::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use modelway_runtime::proto::model_infer_request::InferInputTensor;
use modelway_runtime::proto::{ModelInferRequest, ModelInferResponse};
use tonic::transport::Channel;
use tonic::{Code, Status};

const FOLDER: &str = "../tests/data/sklearn/digits";
/// As ModelMesh names a model.
pub(crate) const ID: &str = "digits__isvc-5c5315c302";

pub(crate) fn digits(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name).canonicalize().expect("a fixture")
}

/// Rows of digits, from the first.
pub(crate) fn infer_request(id: &str, rows: usize) -> ModelInferRequest {
    let pictures = std::fs::read(digits("pictures.u8")).expect("the pictures");
    let values = pictures.iter().cycle().take(rows * 64);
    let input = InferInputTensor {
        name: "predict".to_owned(),
        datatype: "FP32".to_owned(),
        shape: vec![i64::try_from(rows).expect("few rows"), 64],
        ..InferInputTensor::default()
    };
    let raw: Vec<u8> = values.flat_map(|value| f32::from(*value).to_le_bytes()).collect();
    ModelInferRequest {
        model_name: id.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![raw.into()],
        ..ModelInferRequest::default()
    }
}

/// The digits that the model finds in as many rows.
pub(crate) fn expected(rows: usize) -> Vec<i64> {
    let expected = std::fs::read(digits("rbf.predict.u8")).expect("the predictions");
    expected.iter().take(rows).map(|digit| i64::from(*digit)).collect()
}

/// The digits that were found.
pub(crate) fn found(response: &ModelInferResponse) -> Vec<i64> {
    let raw = response.raw_output_contents.first().expect("an output");
    raw.chunks(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes"))).collect()
}

pub(crate) async fn infer(
    data: &GrpcInferenceServiceClient<Channel>,
    id: &str,
    rows: usize,
) -> Result<ModelInferResponse, Status> {
    data.clone().model_infer(infer_request(id, rows)).await.map(tonic::Response::into_inner)
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, Status>) -> Code {
    result.expect_err("it should fail").code()
}
