use super::*;
use crate::testing::Ruler;
use crate::{EmbeddingInput, EmbeddingRequest};

/// A server for the ruler, and for a language model and a model of tensors.
async fn start(ruler: &Ruler) -> Running {
    let catalogue = Catalogue::of([
        ("org/ruler", Some("1".to_owned()), ruler.model()),
        ("parrot", None, Parrot::new().model()),
        ("sum", None, RowSum::model()),
    ]);
    start_with(catalogue, &Options::default()).await
}

fn about(input: impl Into<Value>) -> Value {
    json!({"model": "org/ruler", "input": input.into()})
}

#[tokio::test]
async fn a_vector_comes_for_each_text_and_for_each_list_of_tokens() {
    let server = start(&Ruler::new()).await;
    for prefix in PREFIXES {
        let path = format!("{prefix}/embeddings");
        let answer = answered(&server, &path, about(json!(["a", "bcd", ""]))).await;
        let item = |index, values: [f32; 3]| json!({"object": "embedding", "index": index, "embedding": values});
        let data = json!([item(0, [1.0, 97.0, 0.5]), item(1, [3.0, 98.0, 0.5]), item(2, [0.0, -1.0, 0.5])]);
        let usage = json!({"prompt_tokens": 4, "total_tokens": 4});
        assert_eq!(answer, json!({"object": "list", "data": data, "model": "org/ruler", "usage": usage}));
        assert_eq!(answered(&server, &path, about(json!("a"))).await["data"], json!([data[0]]));
        assert_eq!(
            answered(&server, &path, about(json!([98, 99, 100]))).await["data"][0]["embedding"],
            data[1]["embedding"]
        );
        assert_eq!(
            answered(&server, &path, about(json!([[97], [98, 99, 100]]))).await["data"],
            json!([data[0], data[1]])
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn values_come_as_base64_of_little_endian_floats_where_that_is_asked_for() {
    let server = start(&Ruler::new()).await;
    let request = with(json!({"encoding_format": "base64"}), about(json!("a")));
    let answer = answered(&server, "/v1/embeddings", request).await;
    // 1.0, 97.0, 0.5
    assert_eq!(answer["data"][0]["embedding"], "AACAPwAAwkIAAAA/");
    let request = with(json!({"encoding_format": "float"}), about(json!("a")));
    assert_eq!(answered(&server, "/v1/embeddings", request).await["data"][0]["embedding"], json!([1.0, 97.0, 0.5]));
    server.stopped().await;
}

#[tokio::test]
async fn members_reach_the_model_and_those_that_nobody_knows_are_passed_over() {
    let ruler = Ruler::new();
    let server = start(&ruler).await;
    let more =
        json!({"dimensions": 2, "truncate": true, "normalize": false, "prompt_name": "query", "user": "me", "x": 1});
    answered(&server, "/v1/embeddings", with(more, about(json!("a")))).await;
    let inputs = vec![EmbeddingInput::Text("a".to_owned())];
    let expected = EmbeddingRequest {
        inputs: inputs.clone(),
        dimensions: Some(2),
        truncate: Some(true),
        normalize: Some(false),
        prompt_name: Some("query".to_owned()),
    };
    assert_eq!(ruler.last_asked(), expected);
    answered(&server, "/v1/embeddings", with(json!({"truncate_prompt_tokens": -1}), about(json!("a")))).await;
    assert_eq!(ruler.last_asked(), EmbeddingRequest { inputs, truncate: Some(true), ..EmbeddingRequest::default() });
    server.stopped().await;
}

#[tokio::test]
async fn mistakes_are_told_with_the_member_that_is_wrong() {
    let server = start(&Ruler::new()).await;
    let wrong = [
        (json!({"model": "org/ruler"}), "input", "is missing"),
        (about(json!([])), "input", "is an empty list"),
        (about(json!([[1], []])), "input", "is an empty list"),
        (about(json!({"text": "a"})), "input", "expected a text, a list of texts, a list of tokens"),
        (about(json!([-1])), "input", "expected a text, a list of texts, a list of tokens"),
        (
            with(json!({"encoding_format": "int8"}), about(json!("a"))),
            "encoding_format",
            "expected `float` or `base64`",
        ),
        (with(json!({"dimensions": 0}), about(json!("a"))), "dimensions", "is 0, expected at least 1"),
        (with(json!({"truncate_prompt_tokens": 5}), about(json!("a"))), "truncate_prompt_tokens", "as -1 only"),
        (json!({"input": "a"}), "model", "names no model"),
    ];
    for (request, param, text) in wrong {
        assert_problem(&ask(&server, "/v1/embeddings", request).await, 400, text, &invalid(param));
    }
    let none = json!({"type": "invalid_request_error", "param": null, "code": null});
    let long = ask(&server, "/v1/embeddings", about(json!(["a", "b".repeat(101)]))).await;
    assert_problem(&long, 400, "text 1 has 101 tokens", &none);
    assert_eq!(long.header("x-modelway-served"), "org/ruler/1@-");
    let malformed = server.post("/v1/embeddings", "{").await;
    assert_problem(&malformed, 400, "malformed JSON", &none);
    let unknown = json!({"type": "invalid_request_error", "param": "model", "code": "model_not_found"});
    let absent = ask(&server, "/v1/embeddings", json!({"model": "nope", "input": "a"})).await;
    assert_problem(&absent, 404, "unknown model 'nope'", &unknown);
    let fault = ask(&server, "/v1/embeddings", about(json!("panic"))).await;
    assert_problem(&fault, 500, "panicked", &json!({"type": "server_error", "param": null, "code": null}));
    let method = server.get("/v1/embeddings").await;
    assert_problem(&method, 405, "method GET", &none);
    server.stopped().await;
}

#[tokio::test]
async fn who_makes_texts_makes_no_vectors_and_the_other_way_round() {
    let server = start(&Ruler::new()).await;
    let none = json!({"type": "invalid_request_error", "param": null, "code": null});
    let parrot = ask(&server, "/v1/embeddings", json!({"model": "parrot", "input": "a"})).await;
    assert_problem(&parrot, 400, "model 'parrot' makes no embeddings: ask it for completions", &none);
    let sum = ask(&server, "/v1/embeddings", json!({"model": "sum", "input": "a"})).await;
    assert_problem(
        &sum,
        400,
        "model 'sum' makes no embeddings: ask it for tensors, by POST /v2/models/sum/infer",
        &none,
    );
    let ruler = ask(&server, "/v1/completions", json!({"model": "org/ruler", "prompt": "a"})).await;
    assert_problem(&ruler, 400, "'org/ruler' is not a language model: ask it for embeddings", &none);
    let told = server.get("/v1/models/org/ruler").await.json();
    assert_eq!(told["max_model_len"], 100);
    server.stopped().await;
}

#[tokio::test]
async fn the_gateways_headers_name_the_model_and_the_answer_has_the_name_that_was_asked() {
    let server = start(&Ruler::new()).await;
    let request = post("/openai/v1/embeddings").header("x-modelway-target", "org/ruler");
    let body = json!({"model": "public", "input": "a"}).to_string();
    let answer = server.send(request.body(body.into()).unwrap()).await;
    assert_eq!((answer.status, answer.header("x-modelway-served")), (200, "org/ruler/1@-"));
    assert_eq!(answer.json()["model"], "public");
    server.stopped().await;
}

#[tokio::test]
async fn requests_texts_and_tokens_are_counted() {
    let server = start(&Ruler::new()).await;
    answered(&server, "/v1/embeddings", about(json!(["a", "bcd"]))).await;
    let metrics = server.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let label = "{model=\"org/ruler\",version=\"1\"}";
    for line in [
        "nv_inference_request_success",
        "nv_inference_count",
        "nv_inference_exec_count",
        "modelway_prompt_tokens_total",
    ]
    .into_iter()
    .zip([1, 2, 1, 4])
    .map(|(name, count)| format!("{name}{label} {count}\n"))
    {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
    server.stopped().await;
}
