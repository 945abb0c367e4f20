use super::*;
use crate::text::Prompt;

const PATH: &str = "/v1/chat/completions";

/// The request, of one message where it says nothing else.
fn hi(request: Value) -> Value {
    with(request, json!({"model": "parrot", "messages": [{"role": "user", "content": "hi"}]}))
}

/// The conversation that reached the model, and the template's variables.
fn conversation(parrot: &Parrot) -> (Value, Value) {
    let Prompt::Chat { messages, variables } = parrot.last_asked().prompt else { panic!("no chat") };
    (Value::Array(messages), Value::Object(variables))
}

#[tokio::test]
async fn a_conversation_is_answered_with_a_message() {
    let server = start(&Parrot::new()).await;
    for path in [PATH, "/openai/v1/chat/completions"] {
        let mut answer = answered(&server, path, hi(json!({}))).await;
        let id = answer["id"].take();
        assert!(id.as_str().unwrap().starts_with("chatcmpl-"), "{id}");
        answer["created"].take();
        let message = json!({"role": "assistant", "content": "user: hi\n", "refusal": null});
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 4}});
        let whole = json!({"id": null, "object": "chat.completion", "created": null, "model": "parrot",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": "stop"}], "usage": usage});
        assert_eq!(answer, whole);
    }
    server.stopped().await;
}

#[tokio::test]
async fn messages_reach_the_template_with_texts_and_objects() {
    let parrot = Parrot::new();
    let server = start(&parrot).await;
    let call =
        |arguments: Value| json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}});
    let messages = json!([
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "s"},
        {"role": "assistant", "content": null, "tool_calls": [call(json!("{\"x\": 1}")), call(json!(""))]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]);
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let body = json!({"messages": messages, "tools": tools, "tool_choice": "auto", "max_completion_tokens": 3,
        "max_tokens": 9, "chat_template_kwargs": {"enable_thinking": false}, "add_generation_prompt": true,
        "response_format": {"type": "text"}, "modalities": ["text"], "parallel_tool_calls": true, "store": true});
    answered(&server, PATH, hi(body)).await;
    let (messages, variables) = conversation(&parrot);
    let expected = json!([
        {"role": "system", "content": "a\nb", "name": "s"},
        {"role": "assistant", "content": null, "tool_calls": [call(json!({"x": 1})), call(json!({}))]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
    ]);
    assert_eq!(messages, expected);
    assert_eq!(variables, json!({"tools": tools, "enable_thinking": false, "add_generation_prompt": true}));
    assert_eq!(parrot.last_asked().max_new_tokens, Some(3));
    answered(&server, PATH, hi(json!({"tools": tools, "tool_choice": "none"}))).await;
    assert_eq!(conversation(&parrot).1, json!({}));
    // A message may be as long as the model has room for.
    assert_eq!(parrot.last_asked().max_new_tokens, None);
    server.stopped().await;
}

#[tokio::test]
async fn log_probabilities_are_an_object_a_token() {
    let server = start(&Parrot::new()).await;
    let body =
        json!({"messages": [{"role": "é", "content": ""}], "logprobs": true, "top_logprobs": 2, "max_tokens": 3});
    let answer = answered(&server, PATH, hi(body)).await;
    let content = &answer["choices"][0]["logprobs"]["content"];
    // A part of a character has no bytes that a text could tell.
    assert_eq!(content[0]["token"], "�");
    assert_eq!(content[0]["bytes"], Value::Null);
    let top = json!([{"token": ":", "logprob": -0.5, "bytes": [58]}, {"token": ":+1", "logprob": -1.5, "bytes": [58, 43, 49]}]);
    assert_eq!(content[2], json!({"token": ":", "logprob": -0.5, "bytes": [58], "top_logprobs": top}));
    let answer = answered(&server, PATH, hi(json!({"logprobs": true, "max_tokens": 1}))).await;
    let content = &answer["choices"][0]["logprobs"]["content"];
    assert_eq!(content[0], json!({"token": "u", "logprob": -0.5, "bytes": [117], "top_logprobs": []}));
    server.stopped().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    let server = start(&Parrot::new()).await;
    let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for (more, param, text) in [
        (json!({"messages": null}), "messages", "is missing or empty"),
        (json!({"messages": []}), "messages", "is missing or empty"),
        (json!({"messages": ["hi"]}), "messages[0]", "invalid type"),
        (json!({"messages": [{"content": "hi"}]}), "messages[0].role", "is missing"),
        (json!({"messages": [{"role": "user", "content": 5}]}), "messages[0].content", "expected a text"),
        (part(json!({"type": "image_url", "image_url": {"url": "x"}})), "messages[0].content[0].type", "'image_url'"),
        (part(json!({"type": "text"})), "messages[0].content[0].text", "expected a text"),
        (json!({"response_format": {"type": "json_object"}}), "response_format", "not supported"),
        (json!({"functions": [{"name": "f"}]}), "functions", "not supported"),
        (json!({"tool_choice": "required"}), "tool_choice", "\"auto\" or \"none\""),
        (json!({"modalities": ["text", "audio"]}), "modalities", "more than \"text\""),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens", "at least 1"),
        (json!({"top_logprobs": 2}), "top_logprobs", "\"logprobs\": true"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs", "at most 20"),
        (json!({"n": 200}), "n", "at most 128"),
    ] {
        assert_problem(&ask(&server, PATH, hi(more)).await, 400, text, &invalid(param));
    }
    server.stopped().await;
}
