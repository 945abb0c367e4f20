//! The Open Inference Protocol over gRPC.

use modelway::runtime::proto::model_infer_request::InferInputTensor;
use modelway::runtime::proto::{InferTensorContents, ModelInferRequest, ModelInferResponse};
use tonic::Code;

use crate::process::Process;
use crate::tickets::{LABELS, LABELS_OF_V2, SCORES, TEXTS, models, raw_texts, scores_in, texts_in};

fn request(model: &str) -> ModelInferRequest {
    let input = InferInputTensor {
        name: "text".to_owned(),
        datatype: "BYTES".to_owned(),
        shape: vec![3, 1],
        ..InferInputTensor::default()
    };
    ModelInferRequest { model_name: model.to_owned(), inputs: vec![input], ..ModelInferRequest::default() }
}

/// The texts in a raw tensor.
pub(crate) fn raw(model: &str) -> ModelInferRequest {
    ModelInferRequest { raw_input_contents: vec![raw_texts().into()], ..request(model) }
}

/// The texts in typed contents.
fn typed(model: &str) -> ModelInferRequest {
    let mut request = request(model);
    let texts = TEXTS.iter().map(|text| text.as_bytes().to_vec().into()).collect();
    for input in &mut request.inputs {
        input.contents = Some(InferTensorContents { bytes_contents: Clone::clone(&texts), ..Default::default() });
    }
    request
}

/// Labels and scores of an answer in raw tensors.
pub(crate) fn raw_answer(response: &ModelInferResponse) -> (Vec<String>, Vec<f32>) {
    let [labels, scores] = response.raw_output_contents.as_slice() else { panic!("{response:?}") };
    (texts_in(labels), scores_in(scores))
}

#[tokio::test]
async fn raw_tensors_are_answered_so() {
    let process = Process::serve(&models(), &[]);
    let response = process.grpc().await.model_infer(raw("tickets-v1")).await.expect("an answer").into_inner();
    assert_eq!(raw_answer(&response), (LABELS.map(str::to_owned).to_vec(), SCORES.to_vec()));
}

#[tokio::test]
async fn typed_contents_are_answered_so() {
    let process = Process::serve(&models(), &[]);
    let response = process.grpc().await.model_infer(typed("tickets-v1")).await.expect("an answer").into_inner();
    assert!(response.raw_output_contents.is_empty());
    let [labels, scores] = response.outputs.as_slice() else { panic!("{response:?}") };
    assert_eq!((labels.name.as_str(), labels.shape.as_slice()), ("label", [3, 1].as_slice()));
    assert_eq!(labels.contents.as_ref().expect("contents").bytes_contents, LABELS);
    assert_eq!(scores.contents.as_ref().expect("contents").fp32_contents, SCORES);
}

#[tokio::test]
async fn a_stream_answers_one_request_after_the_other() {
    let process = Process::serve(&models(), &[]);
    let requests = futures_util::stream::iter([raw("tickets-v1"), raw("tickets-v2"), raw("none")]);
    let mut stream = process.grpc().await.model_stream_infer(requests).await.expect("a stream").into_inner();
    for expected in [LABELS, LABELS_OF_V2] {
        let message = stream.message().await.expect("a message").expect("not the end");
        assert_eq!(message.error_message, "");
        assert_eq!(raw_answer(&message.infer_response.expect("an answer")).0, expected);
    }
    let message = stream.message().await.expect("a message").expect("not the end");
    assert!(message.error_message.contains("none"), "{}", message.error_message);
    assert!(stream.message().await.expect("the end").is_none());
}

#[tokio::test]
async fn a_wrong_request_is_an_invalid_argument() {
    let process = Process::serve(&models(), &[]);
    let mut request = raw("tickets-v1");
    request.inputs.clear();
    request.raw_input_contents.clear();
    let status = process.grpc().await.model_infer(request).await.expect_err("it is wrong");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}
