//! What the cases look at in an exchange.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::gateway::{Exchange, Gateway, Message, Request};
use crate::inference::messages;

/// The answer must come within this time where nothing of the body is late.
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// Sends one request.
pub(super) fn send(gateway: &mut dyn Gateway, request: Request) -> Result<Exchange> {
    gateway.exchange(vec![request])?.pop().ok_or_else(|| anyhow!("the gateway lost a request"))
}

/// What the client got; it must have got something.
pub(super) fn answered(exchange: &Exchange) -> Result<&Message> {
    let failure = exchange.failure.as_deref().unwrap_or_default();
    exchange.answer.as_ref().with_context(|| format!("no answer after {:?}: {failure}", exchange.took))
}

/// What the upstream got; it must have got something, and the client a good answer.
pub(super) fn passed(exchange: &Exchange) -> Result<&Message> {
    let answer = answered(exchange)?;
    ensure!(
        answer.headers.get(":status") == Some(b"200"),
        "the gateway answered {:?} {}",
        answer.headers,
        answer.body.escape_ascii()
    );
    exchange.upstream.as_ref().with_context(|| format!("the upstream got nothing, the client {:?}", answer.headers))
}

/// Sends a request that must go through, and says what the upstream got.
pub(super) fn pass(gateway: &mut dyn Gateway, request: Request) -> Result<Message> {
    let exchange = send(gateway, request)?;
    passed(&exchange).cloned()
}

/// Every value of a header that the upstream got must be just this one; `None`: it must have none.
pub(super) fn header_is(message: &Message, name: &str, expected: Option<&str>) -> Result<()> {
    let values: Vec<String> = message.headers.all(name).map(|value| value.escape_ascii().to_string()).collect();
    let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
    ensure!(values == expected, "{name} is {values:?}, expected {expected:?}, in {:?}", message.headers);
    Ok(())
}

/// The routing headers that the upstream got: model, variant, target, version, affinity, pool.
pub(super) fn routed(message: &Message, expected: [Option<&str>; 6]) -> Result<()> {
    let names = ["model", "variant", "target", "version", "affinity", "pool"];
    for (name, expected) in names.into_iter().zip(expected) {
        header_is(message, &format!("x-modelway-{name}"), expected)?;
    }
    Ok(())
}

/// The only message in a body of gRPC frames, decoded.
pub(super) fn decoded<M: prost::Message + Default>(body: &[u8]) -> Result<M> {
    match messages(body).context("the body is not whole frames")?.as_slice() {
        [message] => M::decode(*message).context("the upstream cannot decode the message"),
        other => bail!("{} messages, expected one", other.len()),
    }
}

/// The variant that the upstream was told.
pub(super) fn variant(message: &Message) -> Result<String> {
    message.headers.text("x-modelway-variant").context("no variant")
}

/// A REST refusal: the status, nothing at the upstream, and the `error` of a v2 body, which is returned.
pub(super) fn refused_rest(exchange: &Exchange, status: u16) -> Result<String> {
    ensure!(exchange.upstream.is_none(), "the upstream got {:?}", exchange.upstream);
    let answer = answered(exchange)?;
    let seen = answer.headers.text(":status").unwrap_or_default();
    ensure!(seen == status.to_string(), "status {seen}, expected {status}: {}", answer.body.escape_ascii());
    header_is(answer, "content-type", Some("application/json"))?;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).context("the body is not JSON")?;
    let error = body.get("error").and_then(serde_json::Value::as_str).context("the body has no error")?;
    ensure!(!error.is_empty(), "the error says nothing");
    Ok(error.to_owned())
}

/// A refusal in OpenAI's words: the status, nothing at the upstream, and the error object, which is returned.
pub(super) fn refused_openai(exchange: &Exchange, status: u16) -> Result<serde_json::Value> {
    ensure!(exchange.upstream.is_none(), "the upstream got {:?}", exchange.upstream);
    let answer = answered(exchange)?;
    header_is(answer, ":status", Some(&status.to_string()))?;
    header_is(answer, "content-type", Some("application/json"))?;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).context("the body is not JSON")?;
    let error = body.get("error").filter(|error| error.get("type").is_some_and(serde_json::Value::is_string));
    error.cloned().context("the body has no error object")
}

/// A gRPC refusal: the status, nothing at the upstream, and the message, which is returned.
pub(super) fn refused_grpc(exchange: &Exchange, code: u32) -> Result<String> {
    ensure!(exchange.upstream.is_none(), "the upstream got {:?}", exchange.upstream);
    let answer = answered(exchange)?;
    header_is(answer, ":status", Some("200"))?;
    header_is(answer, "content-type", Some("application/grpc"))?;
    header_is(answer, "grpc-status", Some(&code.to_string()))?;
    let message = answer.headers.text("grpc-message").unwrap_or_default();
    ensure!(!message.is_empty(), "the grpc-message says nothing");
    Ok(message)
}

/// The text must name this.
pub(super) fn says(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "expected {part:?} in {text:?}");
    Ok(())
}
