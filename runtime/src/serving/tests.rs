use super::*;
use crate::message::RequestedOutput;
use crate::tensor::{Tensor, TensorData};
use crate::testing::{self, PATIENCE};
use crate::text::{Prompt, TextEvent, TextRequest};

fn serving() -> Arc<Serving> {
    serving_of(testing::everything())
}

fn serving_of(catalogue: Catalogue) -> Arc<Serving> {
    let options = MetricsOptions { models: 100, has_modelmesh_names: true };
    Arc::new(Serving::new(Arc::new(catalogue), &options).unwrap())
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

async fn ask(serving: &Arc<Serving>, model: &str, request: InferRequest) -> Result<InferResponse, Error> {
    serving.infer(serving.catalogue().find(model, None).await?, request, Trace::default())?.only().await
}

fn metric(serving: &Serving, line: &str) -> bool {
    let text = String::from_utf8(serving.metrics().text(serving.catalogue()).unwrap()).unwrap();
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
    assert!(metric(&serving, "nv_inference_request_failure{model=\"sum\",version=\"\",reason=\"OTHER\"} 1"));
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
    assert!(metric(&serving, "nv_inference_request_failure{model=\"panicker\",version=\"\",reason=\"BACKEND\"} 1"));
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
    let serving = serving_of(catalogue);
    let mut inference = serving
        .infer(serving.catalogue().find("gate", None).await.unwrap(), request(vec![1.0; 4], &[]), Trace::default())
        .unwrap();
    assert!(futures_util::poll!(inference.next()).is_pending());
    assert!(metric(&serving, "modelway_inferences_in_flight 1"));
    drop(inference);
    tokio::time::timeout(PATIENCE, given_up.acquire()).await.unwrap().unwrap().forget();
    assert!(metric(&serving, "nv_inference_request_failure{model=\"gate\",version=\"\",reason=\"CANCELED\"} 1"));
    assert!(metric(&serving, "modelway_inferences_in_flight 0"));
}

#[test]
fn a_draining_server_is_not_ready() {
    let serving = serving();
    assert!(serving.check_ready().is_ok());
    serving.drain();
    assert_eq!(serving.check_ready().unwrap_err().message(), "the server is shutting down");
}

#[tokio::test]
async fn only_what_a_model_tells_is_told_as_its_time() {
    let serving = serving();
    ask(&serving, "sum", request(vec![1.0; 4], &[])).await.unwrap();
    let (counting, stream) = (serving.catalogue().find("counting", None).await.unwrap(), request(vec![1.0; 4], &[]));
    let responses: Vec<_> = serving.infer(counting, stream, Trace::default()).unwrap().collect().await;
    assert_eq!(responses.len(), 4);
    let text = String::from_utf8(serving.metrics().text(serving.catalogue()).unwrap()).unwrap();
    let has = |series: &str| text.lines().any(|line| line.starts_with(series));
    for told in [
        "nv_inference_queue_duration_us",
        "nv_inference_compute_infer_duration_us",
        "nv_inference_pending_request_count",
    ] {
        assert!(has(&format!("{told}{{model=\"sum\",")), "no {told}");
        assert!(!has(&format!("{told}{{model=\"counting\",")), "{told}");
    }
    let first = "nv_inference_first_response_histogram_ms_count{model=";
    assert!(has(&format!("{first}\"counting\",version=\"\"}} 1")));
    assert!(!has(&format!("{first}\"sum\",")));
    // Nothing here measures the time of inputs and outputs apart from the rest.
    assert!(!text.contains("compute_input") && !text.contains("compute_output"));
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_pending() {
    let catalogue = Catalogue::of([("echo", None, testing::Echo::model())]);
    let serving = serving_of(catalogue);
    let gate = Arc::new(std::sync::Barrier::new(2));
    let held = gate.clone();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap();
    // The only thread that could compute is held.
    runtime.spawn_blocking(move || held.wait());
    let (asked, of) = (serving.clone(), request(vec![1.0; 4], &[]));
    let answered = runtime.spawn(async move { ask(&asked, "echo", of).await });
    testing::until(async || serving.metrics().queued() == 1).await;
    let pending = "nv_inference_pending_request_count{model=\"echo\",version=\"\"}";
    assert!(metric(&serving, &format!("{pending} 1")));
    gate.wait();
    answered.await.unwrap().unwrap();
    assert!(metric(&serving, &format!("{pending} 0")));
    assert!(metric(&serving, "modelmesh_req_queue_delay_milliseconds_count 1"));
    runtime.shutdown_background();
}

#[tokio::test]
async fn a_text_is_counted_token_by_token_and_giving_it_up_cancels_it() {
    let parrot = testing::Parrot::waiting();
    let permits = parrot.permits.clone().unwrap();
    let serving = serving_of(Catalogue::of([("parrot", None, parrot.model())]));
    let found = serving.catalogue().find("parrot", None).await.unwrap();
    let request = TextRequest::new(Prompt::Text("hello".to_owned()));
    let mut generation = serving.generate(found, request, Trace::default()).unwrap();
    let begun = generation.next().await.unwrap().unwrap();
    assert_eq!(begun, TextEvent::Begun { prompt_tokens: 5, cached_tokens: 2 });
    permits.add_permits(2);
    for text in ["h", "e"] {
        let TextEvent::Token(piece) = generation.next().await.unwrap().unwrap() else { panic!("no token") };
        assert_eq!(piece.text, text);
    }
    assert!(futures_util::poll!(generation.next()).is_pending());
    assert!(metric(&serving, "modelway_inferences_in_flight 1"));
    drop(generation);
    tokio::time::timeout(PATIENCE, parrot.given_up.acquire()).await.unwrap().unwrap().forget();
    for line in [
        "nv_inference_request_failure{model=\"parrot\",version=\"\",reason=\"CANCELED\"} 1",
        "modelway_prompt_tokens_total{model=\"parrot\",version=\"\"} 5",
        "modelway_generation_tokens_total{model=\"parrot\",version=\"\"} 2",
        "modelway_inferences_in_flight 0",
    ] {
        assert!(metric(&serving, line), "{line}");
    }
}

#[tokio::test]
async fn a_model_that_has_no_texts_says_how_it_is_asked() {
    let serving = serving();
    let found = serving.catalogue().find("sum", None).await.unwrap();
    let request = TextRequest::new(Prompt::Text("hello".to_owned()));
    let error = serving.generate(found, request, Trace::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("POST /v2/models/sum/infer"), "{error}");
    assert!(metric(&serving, "nv_inference_request_failure{model=\"sum\",version=\"\",reason=\"OTHER\"} 1"));
}
