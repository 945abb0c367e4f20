//! Requests as JSON: of a request file, and of each line of a log.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::{Request, grpc};

/// A request as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: Option<String>,
    /// A value, or a list of them.
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    /// A text, or JSON.
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    body_base64: Option<String>,
    /// A ModelInferRequest.
    #[serde(default)]
    grpc: Option<Value>,
    #[serde(default)]
    source_address: Option<String>,
    #[serde(default)]
    claims: BTreeMap<String, Value>,
}

/// Reads a request.
pub(crate) fn from_json(bytes: &[u8]) -> anyhow::Result<Request> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let written: Written = serde_path_to_error::deserialize(&mut reader)?;
    let body = written.body()?;
    let path = match (&written.path, &written.grpc) {
        (Some(path), _) => path.as_str(),
        (None, Some(_)) => "/inference.GRPCInferenceService/ModelInfer",
        (None, None) => bail!("path: expected a path such as /v2/models/iris/infer"),
    };
    let method = written.method.as_deref().unwrap_or(if body.is_empty() { "GET" } else { "POST" });
    let mut request = Request::new(method, path);
    for (name, value) in &written.headers {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            other => std::slice::from_ref(other),
        };
        for value in values {
            request.add_header(name, &text(value).with_context(|| format!("headers.{name}: expected a text"))?)?;
        }
    }
    if written.grpc.is_some() {
        request.add_header("content-type", "application/grpc")?;
        request.add_header("te", "trailers")?;
    }
    for (name, value) in &written.claims {
        request
            .head
            .claims
            .insert(name.clone(), text(value).with_context(|| format!("claims.{name}: expected a text"))?);
    }
    request.head.source_address = written.source_address;
    request.body = body;
    request.complete()?;
    Ok(request)
}

// === impl Written ===

impl Written {
    fn body(&self) -> anyhow::Result<Vec<u8>> {
        match (&self.body, &self.body_base64, &self.grpc) {
            (None, None, None) => Ok(Vec::new()),
            (Some(Value::String(text)), None, None) => Ok(text.clone().into_bytes()),
            (Some(json), None, None) => Ok(json.to_string().into_bytes()),
            (None, Some(text), None) => BASE64_STANDARD.decode(text).context("bodyBase64: expected base64"),
            (None, None, Some(message)) => grpc::framed(message.to_string().as_bytes()).context("grpc"),
            _ => bail!("expected one of `body`, `bodyBase64` and `grpc`"),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use modelway_decision::header::Headers;

    use super::*;

    #[test]
    fn a_request_has_what_is_written_and_what_a_client_adds() {
        let json =
            br#"{"path": "/v2/models/a/infer", "headers": {"Cookie": ["a=1", "b=2"], "X-N": 7}, "body": {"id": "r"},
                       "claims": {"sub": "u"}, "sourceAddress": "10.0.0.1"}"#;
        let request = from_json(json).expect("a request");
        assert_eq!(request.line(), "POST /v2/models/a/infer");
        assert_eq!(request.head.cookie(b"b"), Some(&b"2"[..]));
        assert_eq!(request.head.first(b"x-n"), Some(&b"7"[..]));
        assert_eq!(request.head.first(b"content-length"), Some(&b"10"[..]));
        assert_eq!(request.head.claim(b"sub").as_deref(), Some(&b"u"[..]));
        assert_eq!(request.body, br#"{"id":"r"}"#);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let refusal = |json: &str| format!("{:#}", from_json(json.as_bytes()).expect_err("no request"));
        assert!(refusal(r#"{"path": "/", "headers": {"a": {}}}"#).contains("headers.a: expected a text"));
        assert!(refusal(r#"{"path": 1}"#).contains("path: invalid type"));
        assert!(refusal(r#"{"method": "GET"}"#).contains("path: expected"));
        assert!(refusal(r#"{"path": "/", "body": "a", "bodyBase64": "YQ=="}"#).contains("expected one of"));
    }
}
