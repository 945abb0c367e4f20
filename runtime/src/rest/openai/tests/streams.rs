use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::*;
use crate::testing::{PATIENCE, until};

const COMPLETIONS: &str = "/v1/completions";
const CHAT: &str = "/v1/chat/completions";

/// An answer that is still coming, and the connection that it comes on.
struct Coming {
    body: hyper::body::Incoming,
    _sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    connection: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Coming {
    async fn begin(server: &Running, path: &str, body: &Value) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = post(path).header("host", "localhost").body(Full::new(Bytes::from(body.to_string()))).unwrap();
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), _sender: sender, connection }
    }

    /// What comes next.
    async fn next(&mut self) -> String {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.unwrap().unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_text_comes_in_parts_with_its_reason_last() {
    let server = start(&Parrot::new()).await;
    let body = json!({"model": "parrot", "prompt": "aé", "stream": true});
    let answer = ask(&server, COMPLETIONS, body).await;
    assert_eq!(answer.header("x-modelway-served"), "parrot/-@-");
    let parts = parts(&answer);
    let is_of_one = |part: &&Value| {
        part["id"] == parts[0]["id"] && part["object"] == "text_completion" && part["model"] == "parrot"
    };
    assert!(parts.iter().all(|part| is_of_one(&part) && part.get("usage").is_none()));
    let choices: Vec<_> = parts.iter().map(|part| part["choices"].clone()).collect();
    let choice =
        |text: &str, reason: Value| json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": reason}]);
    assert_eq!(choices, [choice("a", Value::Null), choice("é", Value::Null), choice("", json!("stop"))]);
    server.stopped().await;
}

#[tokio::test]
async fn a_message_comes_in_parts_with_its_role_first() {
    let server = start(&Parrot::new()).await;
    let messages = json!([{"role": "x", "content": ""}]);
    let body = json!({"model": "parrot", "messages": messages, "stream": true, "max_tokens": 2});
    let parts = parts(&ask(&server, CHAT, body).await);
    assert!(parts.iter().all(|part| part["object"] == "chat.completion.chunk"));
    let deltas: Vec<_> = parts.iter().map(|part| part["choices"][0]["delta"].clone()).collect();
    let expected =
        [json!({"role": "assistant", "content": ""}), json!({"content": "x"}), json!({"content": ":"}), json!({})];
    assert_eq!(deltas, expected);
    let reasons: Vec<_> = parts.iter().map(|part| part["choices"][0]["finish_reason"].clone()).collect();
    assert_eq!(reasons, [Value::Null, Value::Null, Value::Null, json!("length")]);
    server.stopped().await;
}

#[tokio::test]
async fn usage_comes_last_where_it_is_asked_for_and_with_every_part_where_that_is() {
    let server = start(&Parrot::new()).await;
    let mut body = json!({"model": "parrot", "prompt": ["ab", "c"], "stream": true, "n": 2,
        "stream_options": {"include_usage": true}});
    let all = parts(&ask(&server, COMPLETIONS, body.clone()).await);
    let (last, before) = all.split_last().unwrap();
    assert!(before.iter().all(|part| part["usage"].is_null() && part.get("usage").is_some()));
    assert_eq!(last["choices"], json!([]));
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 1}});
    assert_eq!(last["usage"], usage);
    let text = |wanted: usize| {
        let of_it = before.iter().map(|part| &part["choices"][0]).filter(|choice| choice["index"] == wanted);
        of_it.map(|choice| choice["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!([0, 1, 2, 3].map(text), ["ab", "ab", "c", "c"]);
    body["stream_options"] = json!({"continuous_usage_stats": true, "include_usage": null});
    body["prompt"] = json!("ab");
    body["n"] = json!(1);
    let all = parts(&ask(&server, COMPLETIONS, body).await);
    let counts: Vec<_> = all.iter().map(|part| part["usage"]["completion_tokens"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 3]);
    server.stopped().await;
}

#[tokio::test]
async fn parts_have_the_log_probabilities_of_their_token_and_an_echo_comes_first() {
    let server = start(&Parrot::new()).await;
    let body = json!({"model": "parrot", "prompt": "é", "stream": true, "logprobs": 0});
    let all = parts(&ask(&server, COMPLETIONS, body).await);
    let places: Vec<_> = all.iter().map(|part| part["choices"][0]["logprobs"]["text_offset"].clone()).collect();
    assert_eq!(places, [json!([0]), json!([1]), json!([2]), Value::Null]);
    let body = json!({"model": "parrot", "prompt": "ab", "stream": true, "echo": true, "max_tokens": 1});
    let all = parts(&ask(&server, COMPLETIONS, body).await);
    let texts: Vec<_> = all.iter().map(|part| part["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["ab", "a", ""]);
    server.stopped().await;
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_event_and_one_before_it_has_a_status() {
    let server = start(&Parrot::new()).await;
    let body = |prompt: &str| json!({"model": "parrot", "prompt": prompt, "stream": true});
    let events = events(&ask(&server, COMPLETIONS, body("break")).await);
    assert_eq!(events.len(), 5, "{events:?}");
    let error: Value = serde_json::from_str(&events[3]).unwrap();
    let object = json!({"message": "the parrot flew away", "type": "server_error", "param": null, "code": null});
    assert_eq!(error, json!({"error": object}));
    assert_eq!(events[4], "[DONE]");
    let early = ask(&server, COMPLETIONS, body(&"x".repeat(300))).await;
    assert_eq!(problem(&early).0, 400);
    server.stopped().await;
}

#[tokio::test]
async fn a_part_is_sent_as_soon_as_it_is_there() {
    let parrot = Parrot::waiting();
    let permits = parrot.permits.clone().unwrap();
    let server = start(&parrot).await;
    let mut coming = Coming::begin(
        &server,
        CHAT,
        &json!({"model": "parrot", "stream": true, "max_tokens": 2,
        "messages": [{"role": "hi", "content": ""}]}),
    )
    .await;
    // The answer has begun and has no token yet.
    assert!(coming.next().await.contains("\"role\":\"assistant\""));
    for text in ["h", "i"] {
        permits.add_permits(1);
        assert!(coming.next().await.contains(&format!("\"content\":\"{text}\"")));
    }
    assert!(coming.next().await.contains("\"finish_reason\":\"length\""));
    coming.connection.abort();
    server.stopped().await;
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_text() {
    let parrot = Parrot::waiting();
    let permits = parrot.permits.clone().unwrap();
    let server = start(&parrot).await;
    let body = |stream: bool| json!({"model": "parrot", "prompt": "hello", "stream": stream, "n": 2});
    permits.add_permits(1);
    let mut coming = Coming::begin(&server, COMPLETIONS, &body(true)).await;
    coming.next().await;
    coming.connection.abort();
    drop(coming);
    // Both of its choices.
    tokio::time::timeout(PATIENCE, parrot.given_up.acquire_many(2)).await.unwrap().unwrap().forget();
    // And before there is an answer.
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = post(COMPLETIONS).header("host", "localhost").body(Full::new(Bytes::from(body(false).to_string())));
    let call = tokio::spawn(async move { sender.send_request(request.unwrap()).await.map(drop) });
    until(async || parrot.asked.lock().unwrap().len() == 4).await;
    call.abort();
    connection.abort();
    tokio::time::timeout(PATIENCE, parrot.given_up.acquire_many(2)).await.unwrap().unwrap().forget();
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    let cancelled = "nv_inference_request_failure{model=\"parrot\",version=\"\",reason=\"CANCELED\"} 4";
    assert!(text.contains(cancelled), "{text}");
    assert!(text.contains("modelway_inferences_in_flight 0"));
    server.stopped().await;
}

#[tokio::test]
async fn a_gateway_that_gives_up_a_stream_of_its_connection_cancels_the_text() {
    let parrot = Parrot::waiting();
    let server = start(&parrot).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let body = json!({"model": "parrot", "stream": true, "messages": [{"role": "hi"}]}).to_string();
    let request = post(&format!("http://{}{CHAT}", server.address)).body(Full::new(Bytes::from(body))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    tokio::time::timeout(PATIENCE, parrot.given_up.acquire()).await.unwrap().unwrap().forget();
    assert!(!connection.is_finished());
    connection.abort();
    server.stopped().await;
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_by_comments() {
    let parrot = Parrot::waiting();
    let server = start(&parrot).await;
    let mut coming =
        Coming::begin(&server, CHAT, &json!({"model": "parrot", "stream": true, "messages": [{"role": "hi"}]})).await;
    coming.next().await;
    // The clock runs on by itself while nothing else does.
    tokio::time::pause();
    let frame = tokio::time::timeout(Duration::from_secs(3600), coming.body.frame()).await;
    assert_eq!(frame.unwrap().unwrap().unwrap().into_data().unwrap(), ":\n\n");
    tokio::time::resume();
    coming.connection.abort();
    drop(coming);
    tokio::time::timeout(PATIENCE, parrot.given_up.acquire()).await.unwrap().unwrap().forget();
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_that_is_left_when_the_server_ends_ends_with_an_error() {
    let parrot = Parrot::waiting();
    let catalogue = Catalogue::of([("parrot", None, parrot.model())]);
    let options = Options { drain_timeout: Duration::from_millis(50), ..Options::default() };
    let mut server = start_with(catalogue, &options).await;
    let mut coming =
        Coming::begin(&server, CHAT, &json!({"model": "parrot", "stream": true, "messages": [{"role": "hi"}]})).await;
    coming.next().await;
    server.begin_stop();
    let last = coming.next().await;
    assert!(last.contains("the server is shutting down"), "{last}");
    assert!(last.contains("\"type\":\"server_error\""), "{last}");
    server.stopped().await;
}

#[tokio::test]
async fn tokens_and_their_times_are_counted() {
    let server = start(&Parrot::new()).await;
    for stream in [false, true] {
        ask(&server, COMPLETIONS, json!({"model": "parrot", "prompt": "abcd", "stream": stream})).await;
    }
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "nv_inference_request_success{model=\"parrot\",version=\"\"} 2",
        "nv_inference_count{model=\"parrot\",version=\"\"} 2",
        "nv_inference_first_response_histogram_ms_count{model=\"parrot\",version=\"\"} 2",
        "modelway_prompt_tokens_total{model=\"parrot\",version=\"\"} 8",
        "modelway_prompt_tokens_cached_total{model=\"parrot\",version=\"\"} 4",
        "modelway_generation_tokens_total{model=\"parrot\",version=\"\"} 10",
        "modelway_time_to_first_token_seconds_count{model=\"parrot\",version=\"\"} 2",
        "modelway_inter_token_latency_seconds_count{model=\"parrot\",version=\"\"} 8",
        "modelway_inference_prompt_tokens_total 8",
        "modelway_inference_generation_tokens_total 10",
        "modelway_inferences_in_flight 0",
    ] {
        assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("modelway_prompt_tokens_total{model=\"sum\""));
    server.stopped().await;
}
