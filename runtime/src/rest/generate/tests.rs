//! Over real sockets, with a model by rule.

use serde_json::{Value, json};

use crate::testing::{Answer, Parrot, RowSum, Running, post, start_with};
use crate::text::{Prompt, Sampling};
use crate::{Catalogue, Options};

async fn start(parrot: &Parrot) -> Running {
    let catalogue = Catalogue::of([
        ("parrot", None, parrot.model()),
        ("bird", Some("3".to_owned()), parrot.model()),
        ("sum", None, RowSum::model()),
    ]);
    start_with(catalogue, &Options::default()).await
}

async fn ask(server: &Running, path: &str, body: Value) -> Answer {
    server.post(&format!("/v2/models/{path}"), body.to_string()).await
}

fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header("content-type"), "text/event-stream; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let events = text.split_terminator("\n\n");
    events.map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn assert_error(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert!(answer.error().contains(text), "{}", answer.error());
}

#[tokio::test]
async fn a_text_is_gone_on_with() {
    let server = start(&Parrot::new()).await;
    let answer = ask(&server, "bird/generate", json!({"text_input": "hello", "parameters": {"stream": false}})).await;
    assert_eq!(answer.json(), json!({"model_name": "bird", "model_version": "3", "text_output": "hello"}));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-modelway-served"), "bird/3@-");
    let body = json!({"text_input": ["hello"], "id": "7", "max_tokens": 3, "exclude_input_in_output": false,
        "return_finish_reason": true, "return_num_input_tokens": true, "return_num_output_tokens": true});
    let answer = ask(&server, "bird/versions/3/generate", body).await;
    let whole = json!({"id": "7", "model_name": "bird", "model_version": "3", "text_output": "hellohel",
        "finish_reason": "length", "num_input_tokens": 5, "num_output_tokens": 3});
    assert_eq!(answer.json(), whole);
    let request = post("/v2/models/public/generate").header("x-modelway-target", "parrot");
    let answer = server.send(request.body(json!({"text_input": "a"}).to_string().into()).unwrap()).await;
    assert_eq!(answer.json(), json!({"model_name": "public", "text_output": "a"}));
    server.stopped().await;
}

#[tokio::test]
async fn a_stream_has_an_event_a_token() {
    let server = start(&Parrot::new()).await;
    let texts = async |body: Value| {
        let answer = ask(&server, "parrot/generate_stream", body).await;
        assert_eq!(answer.header("x-modelway-served"), "parrot/-@-");
        let events = events(&answer);
        assert!(events.iter().all(|event| event["model_name"] == "parrot"));
        events.iter().map(|event| event["text_output"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The character comes with its second byte, and the end is a token, too.
    assert_eq!(texts(json!({"text_input": "aé"})).await, ["a", "", "é", ""]);
    assert_eq!(texts(json!({"text_input": "ab", "parameters": {"stream": true, "max_tokens": 1}})).await, ["a"]);
    // Asked for in one piece.
    assert_eq!(texts(json!({"text_input": "ab", "parameters": {"stream": false}})).await, ["ab"]);
    // What was held back comes last.
    assert_eq!(texts(json!({"text_input": "ab", "max_tokens": 2, "stop_words": ["bc"]})).await, ["a", "", "b"]);
    let body = json!({"text_input": "ab", "return_finish_reason": true, "exclude_input_in_output": false});
    let answer = events(&ask(&server, "parrot/generate_stream", body).await);
    assert_eq!(answer[0]["text_output"], "aba");
    assert_eq!(answer.last().unwrap()["finish_reason"], "stop");
    assert_eq!(answer[0].get("finish_reason"), None);
    server.stopped().await;
}

#[tokio::test]
async fn members_are_those_of_tritons_backends_wherever_they_stand() {
    let parrot = Parrot::new();
    let server = start(&parrot).await;
    let asked = async |body: Value| {
        let answer = ask(&server, "parrot/generate", body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        parrot.last_asked()
    };
    let usual =
        asked(json!({"text_input": "a", "bad_words": [""], "stop_words": "", "stop": false, "beam_width": 1})).await;
    assert_eq!(usual.prompt, Prompt::Text("a".to_owned()));
    assert_eq!(usual.sampling, Sampling::default());
    assert_eq!((usual.max_new_tokens, usual.stop.len(), usual.ignore_end), (None, 0, false));
    let full = json!({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 3, "stop": "x",
        "stop_words": ["y"], "repetition_penalty": 1.5, "presence_penalty": 1, "frequency_penalty": 2,
        "ignore_eos": true});
    let mut beside = full.clone();
    beside["text_input"] = json!("a");
    let beside = asked(beside).await;
    assert_eq!(beside, asked(json!({"text_input": "a", "parameters": full})).await);
    assert_eq!(beside, asked(json!({"text_input": "a", "sampling_parameters": full.to_string()})).await);
    let sampling = Sampling {
        temperature: 0.5,
        top_p: 0.9,
        top_k: 4,
        seed: Some(3),
        repetition_penalty: 1.5,
        presence_penalty: 1.0,
        frequency_penalty: 2.0,
    };
    assert_eq!(beside.sampling, sampling);
    assert_eq!((beside.max_new_tokens, beside.ignore_end), (Some(5), true));
    assert_eq!(beside.stop, ["x", "y"]);
    // Who limits the choice wants one, and 1 of all is none.
    assert_eq!(asked(json!({"text_input": "a", "top_p": 0.5})).await.sampling.temperature, 1.0);
    assert_eq!(asked(json!({"text_input": "a", "top_k": 1})).await.sampling.temperature, 0.0);
    assert_eq!(asked(json!({"text_input": "a", "top_k": -1, "top_p": 0})).await.sampling, Sampling::default());
    assert_eq!(asked(json!({"text_input": "a", "random_seed": 9})).await.sampling.seed, Some(9));
    server.stopped().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_what_to_do() {
    let server = start(&Parrot::new()).await;
    for (body, text) in [
        (json!([]), "malformed JSON"),
        (json!({}), "no 'text_input'"),
        (json!({"inputs": []}), "go to …/infer"),
        (json!({"text_input": 5}), "'text_input' is not a text"),
        (json!({"text_input": ["a", "b"]}), "a list of 2"),
        (json!({"text_input": "a", "parameters": []}), "'parameters' is not an object"),
        (json!({"text_input": "a", "max_tokens": "five"}), "'max_tokens': invalid type"),
        (json!({"text_input": "a", "max_tokens": 0}), "at least 1"),
        (json!({"text_input": "a", "temperature": -1}), "'temperature' is out of range"),
        (json!({"text_input": "a", "parameters": {"beam_width": 2}}), "'beam_width' is not supported"),
        (json!({"text_input": "a", "bad_words": ["b"]}), "'bad_words' is not supported"),
        (json!({"text_input": "a", "stop": true}), "closing its connection"),
        (json!({"text_input": "a", "sampling_parameters": "x"}), "'sampling_parameters'"),
    ] {
        for verb in ["generate", "generate_stream"] {
            assert_error(&ask(&server, &format!("parrot/{verb}"), body.clone()).await, 400, text);
        }
    }
    let body = json!({"text_input": "a"});
    for verb in ["generate", "generate_stream"] {
        assert_error(&ask(&server, &format!("nope/{verb}"), body.clone()).await, 404, "unknown model");
        assert_error(&ask(&server, &format!("sum/{verb}"), body.clone()).await, 400, "/v2/models/sum/infer");
        let refused = ask(&server, &format!("parrot/{verb}"), json!({"text_input": "refuse"})).await;
        assert_error(&refused, 429, "no room");
        assert_eq!(refused.header("x-modelway-refused"), "no-room");
        let panicked = ask(&server, &format!("parrot/{verb}"), json!({"text_input": "panic"})).await;
        assert_error(&panicked, 500, "panicked");
    }
    server.stopped().await;
}

#[tokio::test]
async fn an_error_in_the_middle_is_an_event() {
    let server = start(&Parrot::new()).await;
    let events = events(&ask(&server, "parrot/generate_stream", json!({"text_input": "break"})).await);
    assert_eq!(events.len(), 4);
    assert_eq!(events[3], json!({"error": "the parrot flew away"}));
    assert_error(&ask(&server, "parrot/generate", json!({"text_input": "break"})).await, 500, "flew away");
    server.stopped().await;
}
