//! Over real sockets, with a model by rule.

mod chat;
mod client;
mod completions;
mod embeddings;
mod streams;

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::PREFIXES;

use crate::testing::{Answer, Parrot, RowSum, Running, post, start_with};
use crate::{Catalogue, Options};

/// A server for the parrot, and for a model that is none.
async fn start(parrot: &Parrot) -> Running {
    let one = || Some("1".to_owned());
    let catalogue = Catalogue::of([
        ("parrot", None, parrot.model()),
        ("org/bird", one(), parrot.model()),
        ("sum", None, RowSum::model()),
    ]);
    start_with(catalogue, &Options::default()).await
}

async fn ask(server: &Running, path: &str, body: Value) -> Answer {
    server.post(path, body.to_string()).await
}

/// Asked right: the answer's JSON.
async fn answered(server: &Running, path: &str, body: Value) -> Value {
    let answer = ask(server, path, body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

/// A request, with these members where it has none of its own.
fn with(request: Value, usual: Value) -> Value {
    let (Value::Object(request), Value::Object(mut whole)) = (request, usual) else { panic!("no objects") };
    whole.extend(request);
    Value::Object(whole)
}

/// The data of each event.
fn events(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let events = text.split_terminator("\n\n");
    events.map(|event| event.strip_prefix("data: ").unwrap_or_else(|| panic!("{event}")).to_owned()).collect()
}

/// The same of an answer that ended well, as JSON without the end.
fn parts(answer: &Answer) -> Vec<Value> {
    let mut events = events(answer);
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    events.iter().map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// The error object, whole: message, and the rest.
fn problem(answer: &Answer) -> (u16, String, Value) {
    assert_eq!(answer.header("content-type"), "application/json");
    let json = answer.json();
    let mut error = json["error"].as_object().unwrap_or_else(|| panic!("no error in {json}")).clone();
    let message = error.remove("message").unwrap().as_str().unwrap().to_owned();
    (answer.status, message, Value::Object(error))
}

fn assert_problem(answer: &Answer, status: u16, text: &str, rest: &Value) {
    let (got, message, told) = problem(answer);
    assert_eq!((got, &told), (status, rest), "{message}");
    assert!(message.contains(text), "{message}");
}

fn invalid(param: &str) -> Value {
    json!({"type": "invalid_request_error", "param": param, "code": null})
}

#[tokio::test]
async fn all_models_of_the_catalogue_are_listed_and_each_by_its_name() {
    let server = start(&Parrot::new()).await;
    for prefix in ["/v1", "/openai/v1"] {
        let list = server.get(&format!("{prefix}/models")).await.json();
        assert_eq!(list["object"], "list");
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].clone()).collect();
        assert_eq!(ids, ["org/bird", "parrot", "sum"]);
        let model = &list["data"][0];
        assert_eq!((&model["object"], &model["owned_by"]), (&json!("model"), &json!("modelway")));
        assert!(model["created"].as_u64().unwrap() > 1_700_000_000);
        assert_eq!((&model["max_model_len"], &list["data"][2]["max_model_len"]), (&json!(200), &Value::Null));
        for path in ["org/bird", "org%2Fbird"] {
            let one = server.get(&format!("{prefix}/models/{path}")).await;
            assert_eq!(&one.json(), model, "{path}");
        }
        let unknown = json!({"type": "invalid_request_error", "param": "model", "code": "model_not_found"});
        assert_problem(&server.get(&format!("{prefix}/models/nope")).await, 404, "unknown model 'nope'", &unknown);
    }
    let routed = Request::builder().uri("/v1/models/public").header("x-modelway-target", "parrot");
    assert_eq!(server.send(routed.body(Bytes::new()).unwrap()).await.json()["id"], "public");
    server.stopped().await;
}

#[tokio::test]
async fn what_is_not_there_is_told_in_openais_words() {
    let server = start(&Parrot::new()).await;
    let unknown = json!({"type": "invalid_request_error", "param": null, "code": "unknown_url"});
    for path in ["/v1/rerank", "/openai/v1/responses", "/v1/nope"] {
        assert_problem(&ask(&server, path, json!({})).await, 404, "is not served", &unknown);
    }
    let method = json!({"type": "invalid_request_error", "param": null, "code": null});
    let answer = server.get("/v1/completions").await;
    assert_problem(&answer, 405, "method GET", &method);
    assert_eq!(answer.header("allow"), "POST");
    // KServe's first protocol has its models at the same place, and is not served.
    assert_problem(&ask(&server, "/v1/models/sum:predict", json!({})).await, 405, "method POST", &method);
    server.stopped().await;
}

#[tokio::test]
async fn the_gateways_headers_override_the_bodys_model_and_answers_bear_the_name_that_was_asked() {
    let server = start(&Parrot::new()).await;
    let body = json!({"model": "public", "prompt": "hi"}).to_string();
    let request = post("/v1/completions").header("x-modelway-target", "org/bird").header("x-modelway-version", "1");
    let answer = server.send(request.body(body.clone().into()).unwrap()).await;
    assert_eq!(answer.header("x-modelway-served"), "org/bird/1@-");
    assert_eq!(answer.json()["model"], "public");
    let request = post("/v1/completions").header("x-modelway-target", "parrot").header("x-modelway-model", "front");
    let answer = server.send(request.body(body.into()).unwrap()).await;
    assert_eq!(answer.json()["model"], "front");
    // A model that the gateway has named need not be named again.
    let request = post("/v1/completions").header("x-modelway-target", "parrot");
    let answer = server.send(request.body(json!({"prompt": "hi"}).to_string().into()).unwrap()).await;
    assert_eq!(answer.status, 200);
    server.stopped().await;
}

#[tokio::test]
async fn a_refusal_says_so_to_gateways_too() {
    let server = start(&Parrot::new()).await;
    let limit = json!({"type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"});
    for stream in [false, true] {
        let body = json!({"model": "parrot", "prompt": "refuse", "stream": stream});
        let answer = ask(&server, "/v1/completions", body).await;
        assert_problem(&answer, 429, "no room", &limit);
        assert_eq!(answer.header("x-modelway-refused"), "no-room");
        assert_eq!(answer.header("x-modelway-served"), "parrot/-@-");
    }
    server.stopped().await;
}
