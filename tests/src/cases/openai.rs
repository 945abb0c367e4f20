//! OpenAI's protocol: the model stands in the JSON body, which is renamed where the variant has another name.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::check::{SECOND, header_is, pass, passed, refused_openai, routed, says, send, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Message, Part, Protocol, Request, Setup};
use crate::headers::Headers;

const CHAT: &str = "/v1/chat/completions";

pub(super) fn cases() -> Vec<Case> {
    let mut all = cases![Setup::new(&routing("Pass"));
        the_model_in_the_body_is_routed_and_renamed,
        every_operation_is_routed_under_both_paths,
        the_model_may_stand_anywhere_and_in_any_spelling,
        of_repeated_models_the_last_counts_and_all_are_renamed,
        a_body_in_pieces_is_routed_like_a_whole_one,
        a_chunked_body_and_one_with_trailers_are_routed,
        a_name_that_stays_changes_nothing,
        a_scalar_of_the_body_decides_a_rule_and_a_key,
        megabytes_of_messages_pass,
        what_names_no_model_passes_as_it_is,
        calls_without_a_body_are_answered,
    ];
    all.extend(cases![Setup::new(&routing("Reject"));
        refusals_are_openais,
        the_model_in_the_body_is_routed_and_renamed,
    ]);
    all.extend(cases![Setup::example("openai");
        the_user_of_the_body_sticks,
        streams_go_where_their_rule_says,
    ]);
    let small = Setup::new(&routing("Pass")).with_buffer_limit(32 * 1024);
    all.extend(cases![small; megabytes_of_messages_pass, a_model_beyond_the_limit_passes_unrouted]);
    all
}

fn routing(unknown: &str) -> Value {
    json!({ "unknownModels": unknown, "models": [
        {
            "name": "chat", "aliases": ["gpt \"4\""],
            "variants": [
                { "name": "stable", "model": "org/chat-model-of-a-longer-name" },
                { "name": "canary", "model": "c2", "version": "2", "weight": 0 },
            ],
            "rules": [{ "name": "slow", "match": { "parameters": [{ "name": "stream", "value": false }] }, "variant": "canary" }],
        },
        { "name": "same" },
        {
            "name": "sticky",
            "variants": [{ "name": "a", "model": "s-a" }, { "name": "b", "model": "s-b" }],
            "sticky": { "by": [{ "header": "x-user" }, { "parameter": "user" }] },
        },
    ] })
}

fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "{\"model\": \"no\"}" }], "temperature": 0.5 })
}

/// The upstream's body must be JSON, be this but for the model, and be as long as the headers say.
fn renamed(upstream: &Message, mut asked: Value, model: &str) -> Result<()> {
    let seen: Value = serde_json::from_slice(&upstream.body).context("the upstream cannot read the body")?;
    if let Some(field) = asked.get_mut("model") {
        *field = json!(model);
    }
    ensure!(seen == asked, "the upstream read {seen}");
    if upstream.headers.get("content-length").is_some() {
        header_is(upstream, "content-length", Some(&upstream.body.len().to_string()))?;
    }
    Ok(())
}

fn the_model_in_the_body_is_routed_and_renamed(gateway: &mut dyn Gateway) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let target = "org/chat-model-of-a-longer-name";
        let upstream = pass(gateway, Request::post(CHAT, chat("chat").to_string()).over(protocol))?;
        routed(&upstream, [Some("chat"), Some("stable"), Some(target), None, Some(target), None])?;
        header_is(&upstream, ":path", Some(CHAT))?;
        renamed(&upstream, chat("chat"), target)?;

        let mut shorter = chat("chat");
        if let Some(fields) = shorter.as_object_mut() {
            fields.insert("stream".to_owned(), json!(false));
        }
        let upstream = pass(gateway, Request::post(CHAT, shorter.to_string()).over(protocol))?;
        header_is(&upstream, "x-modelway-version", Some("2"))?;
        renamed(&upstream, shorter, "c2")?;
    }
    Ok(())
}

fn every_operation_is_routed_under_both_paths(gateway: &mut dyn Gateway) -> Result<()> {
    for operation in ["chat/completions", "completions", "embeddings", "responses", "rerank", "score"] {
        for path in [format!("/v1/{operation}"), format!("/openai/v1/{operation}?x=1")] {
            let upstream = pass(gateway, Request::post(&path, r#"{"input":["a"],"model":"chat"}"#))?;
            header_is(&upstream, ":path", Some(&path))?;
            renamed(&upstream, json!({ "input": ["a"], "model": "" }), "org/chat-model-of-a-longer-name")?;
        }
    }
    Ok(())
}

fn the_model_may_stand_anywhere_and_in_any_spelling(gateway: &mut dyn Gateway) -> Result<()> {
    for body in [
        r#"{"messages":[{"model":"same"}],"metadata":{"model":"same"},"model":"chat"}"#,
        "{\n  \"model\" :\t\"chat\" ,\r\n\"n\":1 }\n",
        r#"{"mod\u0065l":"ch\u0061t"}"#,
        r#"{"model":"gpt \"4\""}"#,
    ] {
        let upstream = pass(gateway, Request::post(CHAT, body))?;
        header_is(&upstream, "x-modelway-target", Some("org/chat-model-of-a-longer-name"))?;
        renamed(&upstream, serde_json::from_str(body)?, "org/chat-model-of-a-longer-name")?;
    }
    Ok(())
}

fn of_repeated_models_the_last_counts_and_all_are_renamed(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, Request::post(CHAT, r#"{"model":"same","n":1,"model":"chat"}"#))?;
    let name = "\"org/chat-model-of-a-longer-name\"";
    let expected = format!("{{\"model\":{name},\"n\":1,\"model\":{name}}}");
    ensure!(upstream.body == expected.as_bytes(), "the upstream got {}", upstream.body.escape_ascii());
    Ok(())
}

fn a_body_in_pieces_is_routed_like_a_whole_one(gateway: &mut dyn Gateway) -> Result<()> {
    let body = r#"{"x":"\"","model":"chat","stream":true}"#;
    let mut requests = Vec::new();
    for split in 0..body.len() {
        let (first, rest) = body.as_bytes().split_at(split);
        let mut request = Request::post(CHAT, body);
        request.body = vec![
            Part { after: std::time::Duration::ZERO, bytes: first.to_vec() },
            Part { after: std::time::Duration::from_millis(3), bytes: rest.to_vec() },
        ];
        requests.push(request);
    }
    for exchange in gateway.exchange(requests)? {
        renamed(passed(&exchange)?, serde_json::from_str(body)?, "org/chat-model-of-a-longer-name")?;
    }
    Ok(())
}

fn a_chunked_body_and_one_with_trailers_are_routed(gateway: &mut dyn Gateway) -> Result<()> {
    let parts = || [br#"{"model":"#.to_vec(), br#""chat"}"#.to_vec()];
    let chunked = Request::new(Protocol::Http1, "POST", CHAT).parts(parts());
    let mut with_trailers = Request::new(Protocol::Http2, "POST", CHAT).parts(parts());
    with_trailers.trailers = Some(Headers::new().with("x-checksum", "7"));
    for request in [chunked, with_trailers] {
        let trailers = request.trailers.clone();
        let upstream = pass(gateway, request)?;
        renamed(&upstream, json!({ "model": "" }), "org/chat-model-of-a-longer-name")?;
        let seen = upstream.trailers.as_ref().and_then(|trailers| trailers.text("x-checksum"));
        ensure!(seen == trailers.and_then(|trailers| trailers.text("x-checksum")), "the trailers are {seen:?}");
    }
    Ok(())
}

fn a_name_that_stays_changes_nothing(gateway: &mut dyn Gateway) -> Result<()> {
    let body = "{ \"model\":\"s\\u0061me\" , \"n\":1 }";
    let upstream = pass(gateway, Request::post(CHAT, body))?;
    header_is(&upstream, "x-modelway-target", Some("same"))?;
    ensure!(upstream.body == body.as_bytes(), "the body has changed");
    Ok(())
}

fn a_scalar_of_the_body_decides_a_rule_and_a_key(gateway: &mut dyn Gateway) -> Result<()> {
    for (stream, expected) in [("true", "stable"), ("false", "canary"), ("\"false\"", "canary"), ("[false]", "stable")]
    {
        let body = format!("{{\"stream\":{stream},\"model\":\"chat\"}}");
        let upstream = pass(gateway, Request::post(CHAT, body))?;
        ensure!(variant(&upstream)? == expected, "stream {stream} went to {}", variant(&upstream)?);
    }
    for user in 0..20 {
        let by_body = format!("{{\"model\":\"sticky\",\"prompt\":[],\"user\":\"user-{user}\"}}");
        let by_body = pass(gateway, Request::post("/v1/completions", by_body))?;
        let by_header =
            Request::post("/v1/completions", r#"{"model":"sticky"}"#).header("x-user", format!("user-{user}"));
        ensure!(variant(&by_body)? == variant(&pass(gateway, by_header)?)?, "user {user} saw both variants");
    }
    Ok(())
}

fn megabytes_of_messages_pass(gateway: &mut dyn Gateway) -> Result<()> {
    let text = "a long story, ".repeat(200_000);
    let body = format!("{{\"model\":\"chat\",\"prompt\":\"{text}\"}}");
    let exchange = send(gateway, Request::post("/v1/completions", body))?;
    let upstream = passed(&exchange)?;
    renamed(upstream, json!({ "model": "", "prompt": text }), "org/chat-model-of-a-longer-name")
}

fn a_model_beyond_the_limit_passes_unrouted(gateway: &mut dyn Gateway) -> Result<()> {
    let body = format!("{{\"prompt\":\"{}\",\"model\":\"chat\"}}", "x".repeat(100_000));
    let upstream = pass(gateway, Request::post("/v1/completions", body.clone()))?;
    routed(&upstream, [None; 6])?;
    ensure!(upstream.body == body.as_bytes(), "the body has changed");
    Ok(())
}

fn what_names_no_model_passes_as_it_is(gateway: &mut dyn Gateway) -> Result<()> {
    let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nchat\r\n--x--\r\n";
    let multipart = Request::new(Protocol::Http1, "POST", "/v1/audio/transcriptions")
        .header("content-type", "multipart/form-data; boundary=x")
        .whole_body(form);
    let compressed = Request::post(CHAT, [0x1f, 0x8b, 8, 0, 1, 2, 3]).header("content-encoding", "gzip");
    let requests = [
        multipart,
        compressed,
        Request::post(CHAT, "{}"),
        Request::post(CHAT, r#"{"model":null}"#),
        Request::post(CHAT, r#"{"model":"chat""#.replace("chat", "")),
        Request::post(CHAT, "[\"model\"]"),
        Request::post("/v1/files", r#"{"model":"chat"}"#),
    ];
    for request in requests {
        let body = request.body_bytes();
        let upstream = pass(gateway, request)?;
        routed(&upstream, [None; 6])?;
        ensure!(upstream.body == body, "{} has changed", body.escape_ascii());
    }
    Ok(())
}

fn calls_without_a_body_are_answered(gateway: &mut dyn Gateway) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for method in ["GET", "HEAD", "POST", "OPTIONS"] {
            for path in ["/v1/models", "/openai/v1/models", CHAT, "/v1/embeddings"] {
                let exchange = send(gateway, Request::new(protocol, method, path))?;
                ensure!(exchange.took < SECOND, "{method} {path} took {:?}", exchange.took);
                routed(passed(&exchange)?, [None; 6])?;
            }
        }
        let empty = send(gateway, Request::post(CHAT, "").over(protocol))?;
        ensure!(empty.took < SECOND, "an empty body took {:?}", empty.took);
        passed(&empty)?;
    }
    let upstream = pass(gateway, Request::post(CHAT, chat("chat").to_string()).header("expect", "100-continue"))?;
    renamed(&upstream, chat("chat"), "org/chat-model-of-a-longer-name")
}

fn refusals_are_openais(gateway: &mut dyn Gateway) -> Result<()> {
    let error = refused_openai(&send(gateway, Request::post(CHAT, chat("chta").to_string()))?, 404)?;
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    says(&text("message"), "did you mean 'chat'")?;
    ensure!(text("code") == "model_not_found" && text("param") == "model", "the error is {error}");
    for body in ["{}", "no json", r#"{"model":7}"#] {
        refused_openai(&send(gateway, Request::post("/openai/v1/embeddings", body))?, 400)?;
    }
    refused_openai(&send(gateway, Request::post("/v1/./embeddings", chat("chat").to_string()))?, 400).map(drop)
}

/// A chat of `docs/examples/openai.yaml`.
fn chat_of(user: usize, stream: bool) -> Request {
    let mut body = chat("gpt-4o-mini");
    if let Some(fields) = body.as_object_mut() {
        fields.insert("user".to_owned(), json!(format!("user-{user}")));
        fields.insert("stream".to_owned(), json!(stream));
    }
    Request::post(CHAT, body.to_string())
}

fn the_user_of_the_body_sticks(gateway: &mut dyn Gateway) -> Result<()> {
    let mut tuned = 0;
    for user in 0..40 {
        let upstream = pass(gateway, chat_of(user, false))?;
        let chosen = variant(&upstream)?;
        tuned += usize::from(chosen == "tuned");
        let target = if chosen == "tuned" { "sklearn-mnist-v2" } else { "sklearn-mnist-v1" };
        let body: Value = serde_json::from_slice(&upstream.body)?;
        ensure!(body["model"] == target, "the upstream read {body}");
        ensure!(variant(&pass(gateway, chat_of(user, false))?)? == chosen, "user {user} moved");
    }
    ensure!((1..=20).contains(&tuned), "{tuned} of 40 users got the tuned model, expected about 8");
    says(&refused_openai(&send(gateway, Request::post(CHAT, chat("caht").to_string()))?, 404)?.to_string(), "chat")
}

fn streams_go_where_their_rule_says(gateway: &mut dyn Gateway) -> Result<()> {
    for user in 0..20 {
        let upstream = pass(gateway, chat_of(user, true))?;
        ensure!(variant(&upstream)? == "stable", "user {user}");
    }
    Ok(())
}
