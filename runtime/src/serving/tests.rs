use super::*;
use crate::message::RequestedOutput;
use crate::tensor::{Tensor, TensorData};
use crate::testing::{self, PATIENCE};

fn serving() -> Serving {
    Serving::new(Arc::new(testing::everything())).unwrap()
}

fn request(values: Vec<f32>, outputs: &[&str]) -> InferRequest {
    let shape = vec![values.len() / 4, 4];
    let output = |name: &&str| RequestedOutput { name: (*name).to_owned(), ..RequestedOutput::default() };
    InferRequest {
        inputs: vec![Tensor::new("x", shape, TensorData::Fp32(values)).unwrap()],
        outputs: outputs.iter().map(output).collect(),
        ..InferRequest::default()
    }
}

async fn ask(serving: &Serving, model: &str, request: InferRequest) -> Result<InferResponse, Error> {
    serving.infer(serving.catalogue().find(model, None).await?, request)?.only().await
}

fn metric(serving: &Serving, line: &str) -> bool {
    let text = String::from_utf8(serving.metrics().text(&serving.catalogue().listings()).unwrap()).unwrap();
    text.lines().any(|written| written == line)
}

#[tokio::test]
async fn a_request_is_answered_and_counted() {
    let serving = serving();
    let response = ask(&serving, "sum", request(vec![1.0; 8], &["total"])).await.unwrap();
    assert_eq!(response.outputs[0].data(), &TensorData::Fp32(vec![4.0, 4.0]));
    assert!(metric(&serving, "nv_inference_request_success{model=\"sum\",version=\"\"} 1"));
    assert!(metric(&serving, "nv_inference_count{model=\"sum\",version=\"\"} 2"));
    assert!(metric(&serving, "modelway_inferences_in_flight 0"));
}

#[tokio::test]
async fn an_output_that_the_model_does_not_give_is_refused_with_those_it_does() {
    let serving = serving();
    let error = ask(&serving, "sum", request(vec![1.0; 4], &["nope"])).await.unwrap_err();
    assert_eq!(error.message(), "unknown output 'nope', the model gives: total");
    let error = ask(&serving, "echo", request(vec![1.0; 4], &["nope"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(metric(&serving, "nv_inference_request_failure{model=\"sum\",version=\"\"} 1"));
}

#[tokio::test]
async fn only_the_outputs_asked_for_come_back() {
    let serving = serving();
    let mut two = request(vec![1.0; 4], &["y"]);
    two.inputs.push(Tensor::new("y", vec![1], TensorData::Bool(vec![true])).unwrap());
    let response = ask(&serving, "echo", two).await.unwrap();
    let names: Vec<_> = response.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["y"]);
}

#[tokio::test]
async fn a_request_without_inputs_is_refused() {
    let serving = serving();
    let error = ask(&serving, "echo", InferRequest::default()).await.unwrap_err();
    assert_eq!(error.message(), "the request has no inputs");
}

#[tokio::test]
async fn a_model_that_panics_fails_its_request_only() {
    let serving = serving();
    let error = ask(&serving, "panicker", request(vec![1.0; 4], &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(ask(&serving, "sum", request(vec![1.0; 4], &[])).await.is_ok());
    assert!(metric(&serving, "nv_inference_request_failure{model=\"panicker\",version=\"\"} 1"));
}

#[tokio::test]
async fn several_responses_do_not_fit_a_call_for_one() {
    let serving = serving();
    let error = ask(&serving, "counting", request(vec![1.0; 4], &[])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unimplemented);
    assert!(error.message().contains("ModelStreamInfer"));
}

#[tokio::test]
async fn giving_up_a_request_cancels_the_work_and_counts_a_failure() {
    let gate = testing::Gate::new();
    let given_up = gate.given_up.clone();
    let catalogue = Catalogue::of([("gate", None, Arc::new(gate) as Arc<dyn crate::Model>)]);
    let serving = Serving::new(Arc::new(catalogue)).unwrap();
    let mut inference =
        serving.infer(serving.catalogue().find("gate", None).await.unwrap(), request(vec![1.0; 4], &[])).unwrap();
    assert!(futures_util::poll!(inference.next()).is_pending());
    assert!(metric(&serving, "modelway_inferences_in_flight 1"));
    drop(inference);
    tokio::time::timeout(PATIENCE, given_up.acquire()).await.unwrap().unwrap().forget();
    assert!(metric(&serving, "nv_inference_request_failure{model=\"gate\",version=\"\"} 1"));
    assert!(metric(&serving, "modelway_inferences_in_flight 0"));
}

#[test]
fn a_draining_server_is_not_ready() {
    let serving = serving();
    assert!(serving.check_ready().is_ok());
    serving.drain();
    assert_eq!(serving.check_ready().unwrap_err().message(), "the server is shutting down");
}
