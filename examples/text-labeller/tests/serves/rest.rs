//! The Open Inference Protocol over REST, in its three dialects.

use std::net::SocketAddr;

use modelway_tests::client;
use modelway_tests::gateway::{Message, Request};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::Process;
use crate::tickets::{LABELS, LABELS_OF_V2, SCORES, TEXTS, models, raw_texts, scores_in, texts_in};

const V1: &str = "/v2/models/tickets-v1/infer";

pub(crate) async fn ask(address: SocketAddr, request: Request) -> Message {
    client::send(address, request).await.expect("an answer")
}

pub(crate) async fn ask_json(address: SocketAddr, request: Request) -> Value {
    let answer = ask(address, request).await;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.headers.text(":status").as_deref(), Some("200"), "{body}");
    serde_json::from_str(&body).expect("JSON")
}

/// The texts in `data`.
pub(crate) fn question() -> Vec<u8> {
    json!({"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}]}).to_string().into_bytes()
}

/// What a refusal says, and its status.
async fn refusal(address: SocketAddr, path: &str, body: &Value) -> (String, String) {
    let answer = ask(address, Request::post(path, body.to_string())).await;
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    (answer.headers.text(":status").expect("a status"), body["error"].as_str().expect("an error").to_owned())
}

#[tokio::test]
async fn texts_in_data_are_answered_in_data() {
    let process = Process::serve(&models(), &[]);
    let answer = ask_json(process.address, Request::post(V1, question())).await;
    assert_eq!(answer["outputs"][0]["name"], "label");
    assert_eq!(answer["outputs"][0]["datatype"], "BYTES");
    assert_eq!(answer["outputs"][0]["shape"], json!([3, 1]));
    assert_eq!(answer["outputs"][0]["data"], json!(LABELS));
    assert_eq!(answer["outputs"][1]["name"], "score");
    assert_eq!(answer["outputs"][1]["data"], json!(SCORES));
    let other = ask_json(process.address, Request::post("/v2/models/tickets-v2/infer", question())).await;
    assert_eq!(other["outputs"][0]["data"], json!(LABELS_OF_V2));
}

#[tokio::test]
async fn texts_in_contents_are_answered_in_contents() {
    let process = Process::serve(&models(), &[]);
    // `where is my refund` and `hello`.
    let contents = json!({"bytes_contents": ["d2hlcmUgaXMgbXkgcmVmdW5k", "aGVsbG8="]});
    let body = json!({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "contents": contents}]});
    let answer = ask_json(process.address, Request::post(V1, body.to_string())).await;
    assert_eq!(answer["modelName"], "tickets-v1");
    // `billing` and `other`.
    assert_eq!(answer["outputs"][0]["contents"]["bytesContents"], json!(["YmlsbGluZw==", "b3RoZXI="]));
    assert_eq!(answer["outputs"][1]["contents"]["fp32Contents"], json!([1.0, 0.0]));
}

#[tokio::test]
async fn binary_tensors_are_answered_so() {
    let process = Process::serve(&models(), &[]);
    let raw = raw_texts();
    let input =
        json!({"name": "text", "shape": [3], "datatype": "BYTES", "parameters": {"binary_data_size": raw.len()}});
    let head = json!({"inputs": [input], "parameters": {"binary_data_output": true}}).to_string();
    let request = Request::post(V1, [head.as_bytes(), &raw].concat());
    let request = request.header("inference-header-content-length", head.len().to_string());
    let answer = ask(process.address, request).await;
    let length = answer.headers.text("inference-header-content-length").expect("a binary answer");
    let (head, raw) = answer.body.split_at(length.parse().expect("a length"));
    let head: Value = serde_json::from_slice(head).expect("JSON");
    let size = |output: usize| head["outputs"][output]["parameters"]["binary_data_size"].as_u64().expect("a size");
    let (labels, scores) = raw.split_at(usize::try_from(size(0)).expect("small"));
    assert_eq!(texts_in(labels), LABELS);
    assert_eq!(scores_in(scores), SCORES);
}

#[tokio::test]
async fn only_the_output_that_was_asked_for_is_answered() {
    let process = Process::serve(&models(), &[]);
    let input = json!({"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS});
    let body = json!({"inputs": [input], "outputs": [{"name": "score"}]});
    let answer = ask_json(process.address, Request::post(V1, body.to_string())).await;
    assert_eq!(answer["outputs"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["outputs"][0]["data"], json!(SCORES));
}

#[tokio::test]
async fn metadata_says_what_it_takes_gives_and_knows() {
    let process = Process::serve(&models(), &[]);
    let metadata = ask_json(process.address, Request::get("/v2/models/tickets-v1")).await;
    assert_eq!(metadata["platform"], "text_labels");
    assert_eq!(metadata["inputs"], json!([{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}]));
    assert_eq!(metadata["outputs"][1], json!({"name": "score", "datatype": "FP32", "shape": [-1, 1]}));
    assert_eq!(metadata["properties"]["labels"], "billing, shipping, account, other");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_the_clients_to_know() {
    let process = Process::serve(&models(), &[]);
    let input = json!({"name": "text", "shape": [1], "datatype": "FP32", "data": [1.0]});
    let (status, error) = refusal(process.address, V1, &json!({"inputs": [input]})).await;
    assert_eq!((status.as_str(), error.as_str()), ("400", "input 'text': expected BYTES, got FP32"));
}

#[tokio::test]
async fn a_rules_file_that_is_wrong_fails_to_load_with_file_and_line() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("bad.labels"), "billing: refund\nshipping parcel\n").expect("written");
    let process = Process::serve(folder.path(), &[]);
    let input = json!({"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]});
    let (status, error) = refusal(process.address, "/v2/models/bad/infer", &json!({"inputs": [input]})).await;
    assert_eq!(status, "429", "{error}");
    assert!(error.ends_with("bad.labels: line 2: expected `label: words`, got 'shipping parcel'"), "{error}");
}

#[tokio::test]
async fn settings_name_it_by_its_format_whatever_the_file_is_called() {
    let folder = TempDir::new().expect("a folder");
    let model = folder.path().join("desk");
    std::fs::create_dir(&model).expect("a folder");
    std::fs::copy(models().join("tickets-v2.labels"), model.join("rules.txt")).expect("a copy");
    let settings = json!({"name": "desk", "implementation": "text_labels", "parameters": {"uri": "./rules.txt"}});
    std::fs::write(model.join("model-settings.json"), settings.to_string()).expect("written");
    let process = Process::serve(folder.path(), &[]);
    let answer = ask_json(process.address, Request::post("/v2/models/desk/infer", question())).await;
    assert_eq!(answer["outputs"][0]["data"], json!(LABELS_OF_V2));
}

#[tokio::test]
async fn the_formats_of_modelway_are_served_beside_it() {
    let folder = TempDir::new().expect("a folder");
    let digits = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/sklearn/digits/rbf.joblib");
    std::fs::copy(digits, folder.path().join("digits.joblib")).expect("a copy");
    std::fs::copy(models().join("tickets-v1.labels"), folder.path().join("tickets.labels")).expect("a copy");
    let process = Process::serve(folder.path(), &[]);
    for (model, platform) in [("digits", "sklearn_joblib"), ("tickets", "text_labels")] {
        let metadata = ask_json(process.address, Request::get(&format!("/v2/models/{model}"))).await;
        assert_eq!(metadata["platform"], platform);
    }
}
