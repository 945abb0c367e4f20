//! OpenAI's bodies: the model is the one that serde_json reads, and a renamed body is the same document but for it.

use std::sync::LazyLock;

use modelway_decision::Router;
use serde_json::{Value, json};

use crate::gateway::{Request, Seen, router, send_in_pieces};
use crate::input::Input;
use crate::json::Members;

/// Longer names are not read.
const LONGEST_NAME: usize = 1024;
/// Near the depth that either reader follows they may differ.
const DEEPEST: usize = 120;

/// Read as far as it must be, to a small limit, and strictly; whatever its name, a model is renamed.
static ROUTERS: LazyLock<[Router; 3]> = LazyLock::new(|| {
    [("Fast", "1MiB"), ("Fast", "512"), ("Strict", "1MiB")].map(|(mode, limit)| {
        router(&json!({ "mode": mode, "peekLimit": limit, "models": [{
            "name": "*", "variants": [{ "name": "a", "model": "the \"target\" \\ é" }, { "name": "b", "weight": 0 }],
            "rules": [{ "name": "r", "match": { "parameters": [{ "name": "user", "value": "u7" }] }, "variant": "b" }],
        }] }))
    })
});

/// One input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let choices = input.byte();
    let cuts = input.cuts();
    let body = input.rest();
    let path = if choices & 1 == 0 { "/v1/chat/completions" } else { "/openai/v1/embeddings" };
    let mut request = Request::json(path, body);
    if choices & 2 != 0 {
        request = request.header("content-length", body.len().to_string());
    }
    let [whole, narrow, strict] = &*ROUTERS;
    send_in_pieces(narrow, &request, &cuts);
    if let Seen::Routed(routed) = send_in_pieces(strict, &request, &cuts) {
        is_renamed(body, &routed.body, &routed.target);
    }
    let seen = send_in_pieces(whole, &request, &cuts);
    let Some(model) = model_of(body) else { return };
    let Seen::Routed(routed) = seen else { panic!("{seen:?} of {}", body.escape_ascii()) };
    assert_eq!(routed.model, model.as_bytes());
    is_renamed(body, &routed.body, &routed.target);
}

/// Another reader reads the target, and all else as before.
fn is_renamed(before: &[u8], after: &[u8], target: &[u8]) {
    let Ok(Value::Object(mut before)) = serde_json::from_slice(before) else { return };
    let Ok(Value::Object(after)) = serde_json::from_slice(after) else {
        panic!("it is no document any more: {}", after.escape_ascii())
    };
    let target = String::from_utf8_lossy(target).into_owned();
    assert_eq!(after.get("model"), Some(&Value::String(target.clone())));
    before.insert("model".to_owned(), Value::String(target));
    assert_eq!(before, after);
}

/// The model that must be read; `None` where readers may differ or nobody would route it.
fn model_of(body: &[u8]) -> Option<String> {
    let deep = body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > DEEPEST;
    let value: Value = serde_json::from_slice(body).ok().filter(|_| !deep)?;
    let members = Members::of(body)?;
    if members.0.iter().filter(|(name, _)| name == "model").count() != 1 {
        return None;
    }
    let model = value.get("model")?.as_str()?;
    let is_name = !model.is_empty()
        && model.len() <= LONGEST_NAME
        && !model.bytes().any(|byte| byte.is_ascii_control())
        && model.trim_ascii() == model;
    is_name.then(|| model.to_owned())
}
