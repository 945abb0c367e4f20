//! Over real sockets.

use crate::testing::{self, Answer, post, start, start_with};
use crate::{Catalogue, Options};
use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};

const ROWS: &str = r#"{"id": "7", "inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [[1, 2, 3, 4], [0, 0, 0, 0.5]]}]}"#;

fn data_answer(model: &str) -> Value {
    json!({"model_name": model, "id": "7", "outputs": [
        {"name": "total", "datatype": "FP32", "shape": [2, 1], "parameters": {"content_type": "np"}, "data": [10.0, 0.5]}]})
}

fn assert_error(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    let error = answer.error();
    assert!(error.contains(text), "{error}");
}

#[tokio::test]
async fn health_and_metadata_have_json_bodies() {
    let server = start().await;
    assert_eq!(server.get("/v2/health/live").await.json(), json!({"live": true}));
    assert_eq!(server.get("/v2/health/ready").await.json(), json!({"ready": true}));
    for path in ["/v2", "/v2/"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["name"], "modelway");
        assert_eq!(answer.json()["extensions"], json!(["binary_tensor_data", "model_repository", "parameters"]));
    }
    let names = json!({"models": ["counting", "echo", "panicker", "sum", "tenant a/ä", "versioned"]});
    assert_eq!(server.get("/v2/models").await.json(), names);
    assert_eq!(
        server.get("/v2/models/sum").await.json(),
        json!({"name": "sum", "versions": [], "platform": "test_test",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
            "outputs": [{"name": "total", "datatype": "FP32", "shape": [-1, 1]}]})
    );
    assert_eq!(server.get("/v2/models/versioned/versions/1").await.json()["versions"], json!(["1", "2"]));
    assert_eq!(server.get("/v2/models/sum/ready").await.json(), json!({"name": "sum", "ready": true}));
    assert_eq!(server.get("/v2/models/versioned/versions/2/ready").await.status, 200);
    server.stopped().await;
}

#[tokio::test]
async fn data_is_answered_with_data() {
    let server = start().await;
    let answer = server.post("/v2/models/sum/infer", ROWS).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-modelway-served"), "sum/-@-");
    assert_eq!(answer.json(), data_answer("sum"));
    server.stopped().await;
}

#[tokio::test]
async fn contents_are_answered_with_contents_as_curl_sends_them() {
    let server = start().await;
    let body =
        r#"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","contents":{"fp32_contents":[1.0,2.0,3.0,4.0]}}]}"#;
    let request = post("/v2/models/sum/infer").header("content-type", "application/x-www-form-urlencoded");
    let answer = server.send(request.body(body.into()).unwrap()).await;
    assert_eq!(
        answer.json(),
        json!({"modelName": "sum", "outputs": [{"name": "total", "datatype": "FP32", "shape": ["1", "1"],
            "parameters": {"content_type": {"stringParam": "np"}}, "contents": {"fp32Contents": [10.0]}}]})
    );
    server.stopped().await;
}

#[tokio::test]
async fn raw_contents_are_answered_with_raw_contents() {
    let server = start().await;
    let body = r#"{"inputs":[{"name":"x","shape":["2"],"datatype":"FP32"}],"rawInputContents":["AACAPwAAAEA="]}"#;
    let answer = server.post("/v2/models/echo/infer", body).await;
    assert_eq!(answer.json()["rawOutputContents"], json!(["AACAPwAAAEA="]));
    assert_eq!(answer.json()["outputs"], json!([{"name": "x", "datatype": "FP32", "shape": ["2"]}]));
    server.stopped().await;
}

#[tokio::test]
async fn binary_tensors_are_answered_as_asked() {
    let server = start().await;
    let header = br#"{"parameters": {"binary_data_output": true}, "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}"#;
    let values: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    let request = post("/v2/models/sum/infer")
        .header("inference-header-content-length", header.len())
        .body(Bytes::from([header.as_slice(), &values].concat()));
    let answer = server.send(request.unwrap()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    let (json, raw) = answer.body.split_at(answer.header("inference-header-content-length").parse().unwrap());
    let json: Value = serde_json::from_slice(json).unwrap();
    assert_eq!(json["outputs"][0]["parameters"], json!({"content_type": "np", "binary_data_size": 4}));
    assert_eq!(raw, 10_f32.to_le_bytes());
    server.stopped().await;
}

#[tokio::test]
async fn a_raw_request_is_only_values_and_answered_so() {
    let server = start().await;
    let values: Vec<u8> = [1.0_f32; 8].iter().flat_map(|value| value.to_le_bytes()).collect();
    let request = |path: &str, body: Vec<u8>| {
        post(path).header("inference-header-content-length", 0).body(Bytes::from(body)).unwrap()
    };
    let answer = server.send(request("/v2/models/sum/infer", values.clone())).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    let json_length: usize = answer.header("inference-header-content-length").parse().unwrap();
    assert_eq!(answer.body[json_length..], [4_f32.to_le_bytes(), 4_f32.to_le_bytes()].concat());
    let uneven = server.send(request("/v2/models/sum/infer", values[..30].to_vec())).await;
    assert_error(&uneven, 400, "FP32 of shape [1, 4] needs 16 raw bytes, got 30");
    let unclear = server.send(request("/v2/models/echo/infer", values)).await;
    assert_error(&unclear, 400, "is for models with one input, 'echo' has 0");
    server.stopped().await;
}

#[tokio::test]
async fn compressed_and_chunked_bodies_are_read() {
    use std::io::Write;
    let server = start().await;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(ROWS.as_bytes()).unwrap();
    let request = post("/v2/models/sum/infer").header("content-encoding", "gzip");
    let answer = server.send(request.body(encoder.finish().unwrap().into()).unwrap()).await;
    assert_eq!(answer.json(), data_answer("sum"));
    server.stopped().await;
}

#[tokio::test]
async fn every_failure_on_every_path_is_an_error_in_json() {
    let server = start().await;
    let infer = "/v2/models/sum/infer";
    assert_error(&server.get("/").await, 404, "unknown path '/'");
    assert_error(&server.get("/v2/nope").await, 404, "unknown path '/v2/nope'");
    assert_error(&server.get("/v2/models/nope").await, 404, "unknown model 'nope'");
    assert_error(&server.get("/v2/models/nope/ready").await, 404, "unknown model 'nope'");
    assert_error(&server.get("/v2/models/versioned/versions/3").await, 404, "known: 1, 2");
    assert_error(&server.post("/v2/models/nope/infer", ROWS).await, 404, "nearest: ");
    assert_error(&server.get("/v2/models/%ff").await, 400, "not percent-encoded UTF-8");
    assert_error(&server.post(infer, "{").await, 400, "malformed JSON");
    assert_error(&server.post(infer, "").await, 400, "malformed JSON");
    assert_error(&server.post(infer, "{}").await, 400, "no inputs");
    assert_error(&server.post(infer, r#"{"inputs": []}"#).await, 400, "no inputs");
    assert_error(&server.post(infer, ROWS.replace("[2, 4]", "[4, 2]")).await, 400, "nested as [2, 4]");
    assert_error(&server.post(infer, ROWS.replace("FP32", "FP64")).await, 400, "expected FP32 [n, 4]");
    let wanted = ROWS.replace("\"id\"", "\"outputs\": [{\"name\": \"nope\"}], \"id\"");
    assert_error(&server.post(infer, wanted).await, 400, "unknown output 'nope'");
    assert_error(&server.post("/v2/models/panicker/infer", ROWS).await, 500, "panicked");
    assert_error(&server.post("/v2/models/counting/infer", ROWS).await, 501, "ModelStreamInfer");
    assert_error(&server.get("/v2/models/sum/config").await, 501, "not served");
    assert_error(&server.get("/v2/models/stats").await, 501, "not served");
    assert_error(&server.post("/v2/repository/models/nope/load", "").await, 404, "unknown model 'nope'");
    assert_error(&server.post("/v2/repository/models/nope/unload", "").await, 404, "unknown model 'nope'");
    let with_files = r#"{"parameters": {"file:1/model.onnx": "AAAA"}}"#;
    assert_error(&server.post("/v2/repository/models/sum/load", with_files).await, 501, "come from storage");
    assert_error(&server.post("/v2/repository/index", "[]x").await, 400, "expected {\"ready\": true}");
    let odd_length = post(infer).header("inference-header-content-length", "many");
    assert_error(&server.send(odd_length.body(ROWS.into()).unwrap()).await, 400, "expected a number of bytes");
    let odd_encoding = post(infer).header("content-encoding", "zstd");
    assert_error(&server.send(odd_encoding.body(ROWS.into()).unwrap()).await, 400, "unknown content-encoding 'zstd'");
    server.stopped().await;
}

#[tokio::test]
async fn a_failure_of_a_known_model_says_which_one_it_is_of() {
    let server = start().await;
    let answer = server.post("/v2/models/versioned/versions/1/infer", ROWS.replace("FP32", "FP64")).await;
    assert_eq!((answer.status, answer.header("x-modelway-served")), (400, "versioned/1@-"));
    assert_eq!(server.post("/v2/models/nope/infer", ROWS).await.header("x-modelway-served"), "");
    server.stopped().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one() {
    let server = start().await;
    for (method, path, allowed) in [
        (Method::GET, "/v2/models/sum/infer", "POST"),
        (Method::POST, "/v2/health/live", "GET,HEAD"),
        (Method::DELETE, "/v2/models/sum", "GET,HEAD"),
        (Method::PUT, "/v2/models", "GET,HEAD"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Bytes::new()).unwrap();
        let answer = server.send(request).await;
        assert_error(&answer, 405, path);
        assert_eq!(answer.header("allow"), allowed);
    }
    server.stopped().await;
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = start().await;
    let request = Request::builder().method(Method::HEAD).uri("/v2/models/sum/ready").body(Bytes::new()).unwrap();
    let answer = server.send(request).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-type"), "application/json");
    server.stopped().await;
}

#[tokio::test]
async fn names_are_percent_decoded() {
    let server = start().await;
    let answer = server.post("/v2/models/tenant%20a%2F%C3%A4/infer", ROWS).await;
    assert_eq!(answer.json(), data_answer("tenant a/ä"));
    assert_eq!(answer.header("x-modelway-served"), "tenant%20a/%C3%A4/-@-");
    server.stopped().await;
}

#[tokio::test]
async fn the_version_is_the_paths_or_the_bodys_or_the_highest() {
    let server = start().await;
    let versioned =
        |answer: Answer| (answer.header("x-modelway-served").to_owned(), answer.json()["model_version"].clone());
    let default = server.post("/v2/models/versioned/infer", ROWS).await;
    assert_eq!(versioned(default), ("versioned/2@-".to_owned(), json!("2")));
    let by_path = server.post("/v2/models/versioned/versions/1/infer", ROWS).await;
    assert_eq!(versioned(by_path), ("versioned/1@-".to_owned(), json!("1")));
    let in_body = ROWS.replace("\"id\"", "\"model_version\": \"1\", \"id\"");
    let by_body = server.post("/v2/models/versioned/infer", in_body.clone()).await;
    assert_eq!(versioned(by_body), ("versioned/1@-".to_owned(), json!("1")));
    let by_both = server.post("/v2/models/versioned/versions/2/infer", in_body).await;
    assert_eq!(versioned(by_both), ("versioned/2@-".to_owned(), json!("2")));
    server.stopped().await;
}

#[tokio::test]
async fn the_gateways_headers_override_the_path_and_the_answer_bears_the_public_name() {
    let server = start().await;
    let request = post("/v2/models/digits/versions/9/infer")
        .header("x-modelway-model", "digits")
        .header("x-modelway-target", "versioned")
        .header("x-modelway-version", "1");
    let answer = server.send(request.body(ROWS.into()).unwrap()).await;
    assert_eq!(answer.header("x-modelway-served"), "versioned/1@-");
    assert_eq!(answer.json()["model_name"], "digits");
    assert_eq!(answer.json()["model_version"], "1");
    let request = Request::builder().uri("/v2/models/digits/ready").header("x-modelway-target", "versioned");
    let answer = server.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.json(), json!({"name": "digits", "ready": true}));
    server.stopped().await;
}

#[tokio::test]
async fn the_index_lists_every_model_and_metrics_count_them() {
    let server = start().await;
    for body in ["", "{}", r#"{"ready": true}"#] {
        let answer = server.post("/v2/repository/index", body).await;
        let rows = answer.json();
        assert_eq!(rows.as_array().unwrap().len(), 7);
        assert_eq!(rows[5], json!({"name": "versioned", "version": "1", "state": "READY"}));
    }
    server.post("/v2/models/sum/infer", ROWS).await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("nv_inference_count{model=\"sum\",version=\"\"} 2"), "{text}");
    server.stopped().await;
}

#[tokio::test]
async fn bodies_of_megabytes_pass_and_one_byte_over_the_limit_does_not() {
    let limit = Options::default().body_limit;
    let server = start().await;
    let empty = r#"{"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": [""]}]}"#;
    for length in [5_000_000, limit, limit + 1] {
        let text = "a".repeat(length - empty.len());
        let body = empty.replace("[\"\"]", &format!("[\"{text}\"]"));
        assert_eq!(body.len(), length);
        let answer = server.post("/v2/models/echo/infer", body).await;
        if length > limit {
            assert_error(&answer, 413, "larger than the limit of 67108864 bytes");
        } else {
            assert_eq!(answer.status, 200);
            assert!(answer.body.len() > text.len());
        }
    }
    server.stopped().await;
}

#[tokio::test]
async fn the_body_limit_can_be_set() {
    let options = Options { body_limit: 100, ..Options::default() };
    let server = start_with(testing::everything(), &options).await;
    assert_error(&server.post("/v2/models/sum/infer", ROWS).await, 413, "limit of 100 bytes");
    server.stopped().await;
}

#[tokio::test]
async fn a_server_without_models_is_ready_and_says_so() {
    let server = start_with(Catalogue::of::<String>([]), &Options::default()).await;
    assert_eq!(server.get("/v2/models").await.json(), json!({"models": []}));
    assert_error(&server.post("/v2/models/m/infer", ROWS).await, 404, "this server has none");
    server.stopped().await;
}
