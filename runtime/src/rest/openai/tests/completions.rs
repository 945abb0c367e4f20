use super::*;
use crate::text::{Prompt, Sampling};

const PATH: &str = "/v1/completions";

/// The request, of a short prompt where it says nothing else.
fn hi(request: Value) -> Value {
    with(request, json!({"model": "parrot", "prompt": "hi"}))
}

#[tokio::test]
async fn a_prompt_is_gone_on_with() {
    let server = start(&Parrot::new()).await;
    for path in [PATH, "/openai/v1/completions"] {
        let mut answer = answered(&server, path, json!({"model": "parrot", "prompt": "hello"})).await;
        let id = answer["id"].take();
        assert!(id.as_str().unwrap().starts_with("cmpl-"), "{id}");
        assert!(answer["created"].take().as_u64().unwrap() > 1_700_000_000);
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 2}});
        let choices = json!([{"index": 0, "text": "hello", "logprobs": null, "finish_reason": "stop"}]);
        let whole = json!({"id": null, "object": "text_completion", "created": null, "model": "parrot",
            "choices": choices, "usage": usage});
        assert_eq!(answer, whole);
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_prompt_is_a_text_or_tokens_or_several_of_either() {
    let server = start(&Parrot::new()).await;
    let texts = async |prompt: Value| {
        let answer = answered(&server, PATH, json!({"model": "parrot", "prompt": prompt})).await;
        let choices = answer["choices"].as_array().unwrap().clone();
        let texts: Vec<_> = choices.iter().map(|choice| choice["text"].as_str().unwrap().to_owned()).collect();
        assert!(choices.iter().enumerate().all(|(index, choice)| choice["index"] == index));
        (texts.join("|"), answer["usage"]["prompt_tokens"].as_u64().unwrap())
    };
    let is = |text: &str, tokens| (text.to_owned(), tokens);
    assert_eq!(texts(json!("ab")).await, is("ab", 2));
    assert_eq!(texts(json!(["ab", "cde"])).await, is("ab|cde", 5));
    assert_eq!(texts(json!([104, 105])).await, is("hi", 2));
    assert_eq!(texts(json!([[104, 105], [33]])).await, is("hi|!", 3));
    server.stopped().await;
}

#[tokio::test]
async fn a_prompt_counts_once_however_many_choices_it_has() {
    let parrot = Parrot::new();
    let server = start(&parrot).await;
    let body = json!({"model": "parrot", "prompt": ["ab", "c"], "n": 2, "seed": 7, "best_of": 2});
    let answer = answered(&server, PATH, body).await;
    let texts: Vec<_> = answer["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
    assert_eq!(texts, ["ab", "ab", "c", "c"]);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    assert_eq!(answer["usage"]["completion_tokens"], 3 + 3 + 2 + 2);
    let seeds: Vec<_> = parrot.asked.lock().unwrap().iter().map(|request| request.sampling.seed.unwrap()).collect();
    assert_eq!(seeds, [7, 8, 7, 8]);
    server.stopped().await;
}

#[tokio::test]
async fn what_is_asked_reaches_the_model_and_what_is_not_is_openais_usual() {
    let parrot = Parrot::new();
    let server = start(&parrot).await;
    answered(&server, PATH, hi(json!({"user": "someone", "stop": null, "suffix": null, "logit_bias": {}}))).await;
    let usual = parrot.last_asked();
    assert_eq!(usual.prompt, Prompt::Text("hi".to_owned()));
    assert_eq!(usual.sampling, Sampling { temperature: 1.0, ..Sampling::default() });
    assert_eq!((usual.max_new_tokens, usual.logprobs, usual.ignore_end), (Some(16), None, false));
    let body = json!({"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "seed": -1,
        "presence_penalty": 0.25, "frequency_penalty": -0.5, "repetition_penalty": 1.5, "ignore_eos": true,
        "stop": ["x", "yz"], "logprobs": 3});
    answered(&server, PATH, hi(body)).await;
    let asked = parrot.last_asked();
    let sampling = Sampling {
        temperature: 0.5,
        top_p: 0.9,
        top_k: 40,
        seed: Some(u64::MAX),
        repetition_penalty: 1.5,
        presence_penalty: 0.25,
        frequency_penalty: -0.5,
    };
    assert_eq!(asked.sampling, sampling);
    assert_eq!((asked.max_new_tokens, asked.logprobs, asked.ignore_end), (Some(5), Some(3), true));
    assert_eq!(asked.stop, ["x", "yz"]);
    answered(&server, PATH, hi(json!({"top_p": 0, "top_k": -1, "stop": "x"}))).await;
    let greedy = parrot.last_asked();
    assert_eq!(greedy.sampling, Sampling::default());
    assert_eq!(greedy.stop, ["x"]);
    server.stopped().await;
}

#[tokio::test]
async fn a_text_ends_by_length_or_before_a_stop_text() {
    let server = start(&Parrot::new()).await;
    let ended = async |more: Value| {
        let answer = answered(&server, PATH, with(more, json!({"model": "parrot", "prompt": "hello world"}))).await;
        let choice = &answer["choices"][0];
        (choice["text"].as_str().unwrap().to_owned(), choice["finish_reason"].as_str().unwrap().to_owned())
    };
    let is = |text: &str, reason: &str| (text.to_owned(), reason.to_owned());
    assert_eq!(ended(json!({"max_tokens": 4})).await, is("hell", "length"));
    assert_eq!(ended(json!({"stop": "wo"})).await, is("hello ", "stop"));
    assert_eq!(ended(json!({"stop": ["zz", "lo"]})).await, is("hel", "stop"));
    assert_eq!(ended(json!({"echo": true, "max_tokens": 2})).await, is("hello worldhe", "length"));
    // What is held back for a stop text that does not come is told at the end.
    assert_eq!(ended(json!({"stop": "lo!", "max_tokens": 5})).await, is("hello", "length"));
    server.stopped().await;
}

#[tokio::test]
async fn log_probabilities_are_lists_with_the_token_itself_and_where_it_stands() {
    let server = start(&Parrot::new()).await;
    let answer = answered(&server, PATH, json!({"model": "parrot", "prompt": "aé", "logprobs": 2})).await;
    let logprobs = json!({
        "tokens": ["a", "�", "�", "</s>"],
        "token_logprobs": [-0.5, -0.5, -0.5, -0.5],
        "top_logprobs": [
            {"a": -0.5, "a+1": -1.5}, {"�": -0.5, "�+1": -1.5}, {"�": -0.5, "�+1": -1.5}, {"</s>": -0.5, "</s>+1": -1.5},
        ],
        "text_offset": [0, 1, 2, 3],
    });
    assert_eq!(answer["choices"][0]["logprobs"], logprobs);
    let answer = answered(&server, PATH, hi(json!({"logprobs": 0}))).await;
    assert_eq!(answer["choices"][0]["logprobs"]["top_logprobs"][0], json!({"h": -0.5}));
    server.stopped().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let server = start(&Parrot::new()).await;
    for (more, param, text) in [
        (json!({"prompt": null}), "prompt", "is missing"),
        (json!({"prompt": 5}), "prompt", "expected a text, a list of texts"),
        (json!({"prompt": [-1]}), "prompt", "expected a text, a list of texts"),
        (json!({"prompt": []}), "prompt", "empty list"),
        (json!({"prompt": [[]]}), "prompt", "empty list"),
        (json!({"n": 0}), "n", "at least 1"),
        (json!({"n": 129}), "n", "at most 128"),
        (json!({"n": 128, "prompt": vec!["x"; 33]}), "prompt", "at most 4096"),
        (json!({"max_tokens": 0}), "max_tokens", "at least 1"),
        (json!({"max_tokens": "many"}), "max_tokens", "invalid type"),
        (json!({"temperature": -1}), "temperature", "0 or more"),
        (json!({"top_p": 1.5}), "top_p", "at most 1"),
        (json!({"top_k": -2}), "top_k", "-1 for all"),
        (json!({"presence_penalty": 3}), "presence_penalty", "-2 to 2"),
        (json!({"frequency_penalty": -3}), "frequency_penalty", "-2 to 2"),
        (json!({"repetition_penalty": 0}), "repetition_penalty", "more than 0"),
        (json!({"logprobs": 21}), "logprobs", "at most 20"),
        (json!({"stop": ""}), "stop", "empty text"),
        (json!({"stop": vec!["x"; 65]}), "stop", "at most 64"),
        (json!({"stream_options": {"include_usage": true}}), "stream_options", "\"stream\": true"),
        (json!({"best_of": 2}), "best_of", "not supported"),
        (json!({"suffix": "end"}), "suffix", "not supported"),
        (json!({"logit_bias": {"50256": -100}}), "logit_bias", "not supported"),
        (json!({"min_p": 0.1}), "min_p", "not supported"),
        (json!({"guided_json": {"type": "object"}}), "guided_json", "not supported"),
        (json!({"prompt_logprobs": 0}), "prompt_logprobs", "not supported"),
        (json!({"echo": true, "logprobs": 0}), "echo", "'logprobs'"),
        (json!({"echo": true, "prompt": [104]}), "echo", "prompt of tokens"),
        (json!({"model": ""}), "model", "names no model"),
    ] {
        assert_problem(&ask(&server, PATH, hi(more)).await, 400, text, &invalid(param));
    }
    let nothing = json!({"type": "invalid_request_error", "param": null, "code": null});
    for body in ["", "{", "[]", "{}x"] {
        assert_problem(&server.post(PATH, body).await, 400, "malformed JSON", &nothing);
    }
    let unknown = json!({"type": "invalid_request_error", "param": "model", "code": "model_not_found"});
    assert_problem(&ask(&server, PATH, hi(json!({"model": "nope"}))).await, 404, "unknown model 'nope'", &unknown);
    let answer = ask(&server, PATH, hi(json!({"model": "sum"}))).await;
    assert_problem(&answer, 400, "'sum' is not a language model", &nothing);
    assert_eq!(answer.header("x-modelway-served"), "sum/-@-");
    let long = hi(json!({"prompt": "x".repeat(201)}));
    assert_problem(&ask(&server, PATH, long).await, 400, "the prompt has 201 tokens", &nothing);
    let fault = json!({"type": "server_error", "param": null, "code": null});
    assert_problem(&ask(&server, PATH, hi(json!({"prompt": "panic"}))).await, 500, "panicked", &fault);
    assert_problem(&ask(&server, PATH, hi(json!({"prompt": "break"}))).await, 500, "flew away", &fault);
    server.stopped().await;
}
