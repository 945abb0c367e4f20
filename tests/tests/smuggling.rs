//! Bytes that no HTTP library sends, to a real Envoy: what of them reaches the upstream is what the filter has seen,
//! nothing is smuggled past it, and every client is answered or its connection closed.

use anyhow::{Context as _, Result, ensure};
use modelway_tests::gateway::{EnvoyGateway, REQUEST_MARK, Setup};
use modelway_tests::headers::Headers;
use modelway_tests::host::filter_path;
use modelway_tests::reading::{agrees, read};
use serde_json::json;

/// The mark of a request that must never be one.
const SMUGGLED: &str = "smuggled";
const BODY: &str = r#"{"parameters":{"tier":"beta"}}"#;

/// What may come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum May {
    /// An answer 4xx or a closed connection, and nothing reaches the upstream.
    BeRefused,
    /// The upstream may get it too.
    PassOrBeRefused,
    /// It must be answered by the upstream.
    Pass,
}

fn gateway() -> Result<EnvoyGateway> {
    let two = |model: &str| json!([{ "name": "stable", "model": format!("{model}-v1") }, { "name": "canary", "model": format!("{model}-v2"), "weight": 0 }]);
    let routing = json!({ "models": [
        { "name": "iris", "variants": two("iris") },
        { "name": "ruled", "variants": two("ruled"), "rules": [
            { "name": "beta", "match": { "parameters": [{ "name": "tier", "value": "beta" }] }, "variant": "canary" },
        ] },
    ] });
    EnvoyGateway::start(&Setup::new(&routing), &filter_path())
}

/// A request from its line on, with the header lines between.
fn request(line: &str, fields: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!("{line}\r\nHost: models.example\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

fn post(path: &str, fields: &[&str], body: &str) -> Vec<u8> {
    request(&format!("POST {path} HTTP/1.1"), fields, body)
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A whole request with a mark of its own, to be hidden in another's body.
fn hidden() -> String {
    format!(
        "POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\n{REQUEST_MARK}: {SMUGGLED}\r\nx-modelway-target: forged\r\nContent-Length: 2\r\n\r\n{{}}"
    )
}

fn cases() -> Vec<(&'static str, Vec<u8>, May)> {
    use May::{BeRefused, Pass, PassOrBeRefused};
    let infer = "/v2/models/ruled/infer";
    let length = format!("Content-Length: {}", BODY.len());
    let hidden = hidden();
    let behind = |body: &str| format!("{body}{hidden}");
    vec![
        ("a plain request", post(infer, &[&length], BODY), Pass),
        (
            "names in odd case",
            post(infer, &["CONTENT-length: 2", "X-ModelWay-Target: forged", "X_MODELWAY_TARGET: forged"], "{}"),
            Pass,
        ),
        (
            "two lengths that differ",
            post(infer, &["Content-Length: 2", "Content-Length: 60"], &behind("{}")),
            BeRefused,
        ),
        ("two lengths in one field", post(infer, &["Content-Length: 2, 60"], &behind("{}")), BeRefused),
        ("the same length twice", post(infer, &[&length, &length], BODY), PassOrBeRefused),
        ("a length with a sign", post(infer, &["Content-Length: +2"], "{}"), BeRefused),
        ("a negative length", post(infer, &["Content-Length: -2"], "{}"), BeRefused),
        ("a length in hexadecimal", post(infer, &["Content-Length: 0x2"], "{}"), BeRefused),
        ("a length of more than 64 bits", post(infer, &["Content-Length: 18446744073709551618"], "{}"), BeRefused),
        (
            "length and chunks",
            post(infer, &["Content-Length: 4", "Transfer-Encoding: chunked"], &behind("0\r\n\r\n")),
            BeRefused,
        ),
        (
            "chunks and length",
            post(infer, &["Transfer-Encoding: chunked", "Content-Length: 60"], &behind("0\r\n\r\n")),
            BeRefused,
        ),
        ("chunks", post(infer, &["Transfer-Encoding: chunked"], &chunked(BODY)), Pass),
        ("chunks in odd case", post(infer, &["transfer-ENCODING: Chunked"], &chunked(BODY)), PassOrBeRefused),
        (
            "chunks twice",
            post(infer, &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], &chunked(BODY)),
            BeRefused,
        ),
        ("chunks behind another coding", post(infer, &["Transfer-Encoding: gzip, chunked"], &chunked(BODY)), BeRefused),
        (
            "another coding behind chunks",
            post(infer, &["Transfer-Encoding: chunked, identity"], &chunked(BODY)),
            BeRefused,
        ),
        ("an unknown coding", post(infer, &["Transfer-Encoding: xchunked"], &chunked(BODY)), BeRefused),
        ("a coding behind a vertical tab", post(infer, &["Transfer-Encoding: \x0bchunked"], &chunked(BODY)), BeRefused),
        ("a space before the colon", post(infer, &["Transfer-Encoding : chunked"], &chunked(BODY)), BeRefused),
        ("a folded field", post(infer, &["X-Odd: a", " Transfer-Encoding: chunked", &length], BODY), PassOrBeRefused),
        (
            "chunk extensions",
            post(infer, &["Transfer-Encoding: chunked"], "2;a=b;c=\"d\"\r\n{}\r\n0\r\n\r\n"),
            PassOrBeRefused,
        ),
        (
            "a chunk size of more than 64 bits",
            post(infer, &["Transfer-Encoding: chunked"], "10000000000000002\r\n{}\r\n0\r\n\r\n"),
            BeRefused,
        ),
        (
            "a chunk that is longer than it says",
            post(infer, &["Transfer-Encoding: chunked"], "2\r\n{}{}\r\n0\r\n\r\n"),
            PassOrBeRefused,
        ),
        (
            "trailers of ours",
            post(infer, &["Transfer-Encoding: chunked"], "2\r\n{}\r\n0\r\nx-modelway-target: forged\r\n\r\n"),
            PassOrBeRefused,
        ),
        (
            "a line end of one byte",
            b"POST /v2/models/ruled/infer HTTP/1.1\nHost: a\nContent-Length: 2\n\n{}".to_vec(),
            PassOrBeRefused,
        ),
        ("a NUL in a field", post(infer, &["X-Odd: a\0b", &length], BODY), BeRefused),
        (
            "a carriage return in a field",
            post(infer, &["X-Odd: a\rx-modelway-target: forged", &length], BODY),
            PassOrBeRefused,
        ),
        ("a field without a name", post(infer, &[": a", &length], BODY), BeRefused),
        ("a field without a colon", post(infer, &["odd", &length], BODY), BeRefused),
        ("two hosts", post(infer, &["Host: other", &length], BODY), PassOrBeRefused),
        ("a whole URL", post("http://other.example/v2/models/ruled/infer", &[&length], BODY), PassOrBeRefused),
        (
            "a whole URL without a path",
            post("http://other.example?/v2/models/ruled/infer", &[&length], BODY),
            PassOrBeRefused,
        ),
        ("a fragment", post("/v2/models/ruled/infer#/v2/models/iris/infer", &[&length], BODY), PassOrBeRefused),
        ("a fragment as the path", post("/#/v2/models/iris/infer", &[&length], BODY), PassOrBeRefused),
        ("a space in the path", post("/v2/models/ruled /infer", &[&length], BODY), BeRefused),
        ("a tab in the path", post("/v2/models/ruled\t/infer", &[&length], BODY), BeRefused),
        ("a NUL in the path", post("/v2/models/ruled\0/infer", &[&length], BODY), BeRefused),
        ("letters beyond ASCII in the path", post("/v2/models/rulé/infer", &[&length], BODY), PassOrBeRefused),
        ("a path without a slash", post("v2/models/ruled/infer", &[&length], BODY), PassOrBeRefused),
        ("a star", request("OPTIONS * HTTP/1.1", &[], ""), PassOrBeRefused),
        ("a tunnel", request("CONNECT models.example:80 HTTP/1.1", &[], ""), BeRefused),
        (
            "an upgrade to HTTP/2",
            post(
                infer,
                &["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", &length],
                BODY,
            ),
            PassOrBeRefused,
        ),
        (
            "fields that are to be dropped",
            post(infer, &["Connection: close, x-modelway-target, x-modelway-variant", &length], BODY),
            PassOrBeRefused,
        ),
        ("an old version", request("POST /v2/models/ruled/infer HTTP/1.0", &[&length], BODY), PassOrBeRefused),
        ("an older version", b"GET /v2/models/ruled\r\n".to_vec(), BeRefused),
        ("an unknown method", request("INFER /v2/models/ruled/infer HTTP/1.1", &[&length], BODY), PassOrBeRefused),
        (
            "a method of another",
            post(infer, &["X-HTTP-Method-Override: DELETE", "X-Original-URL: /v2/repository/index", &length], BODY),
            Pass,
        ),
    ]
}

fn status_of(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse().ok()
}

#[test]
fn what_no_library_sends_is_refused_or_read_as_the_upstream_reads_it() -> Result<()> {
    let gateway = gateway()?;
    let mut faults = Vec::new();
    for (number, (name, bytes, may)) in cases().into_iter().enumerate() {
        if let Err(fault) = check(&gateway, &number.to_string(), &bytes, may) {
            faults.push(format!("{name}: {fault:#}"));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn check(gateway: &EnvoyGateway, mark: &str, bytes: &[u8], may: May) -> Result<()> {
    // The mark goes behind the request's line, whatever follows.
    let line_end = bytes.iter().position(|byte| *byte == b'\n').context("a line")? + 1;
    let (line, rest) = bytes.split_at(line_end);
    let marked = [line, format!("{REQUEST_MARK}: {mark}\r\n").as_bytes(), rest].concat();
    let answer = gateway.send_bytes(&[("", &marked)])?;
    let status = status_of(&answer);
    let received = gateway.received(mark);
    ensure!(gateway.received(SMUGGLED).is_none(), "a request was smuggled");
    ensure!(!answer.is_empty() || received.is_none(), "the upstream got it and the client no answer");
    // 501 is the answer to a coding that Envoy does not know.
    ensure!(status.is_none_or(|status| status < 500 || status == 501), "answered {status:?}");
    if let Some(received) = &received {
        agrees(received)?;
        ensure!(not_forged(&received.headers), "{:?}", received.headers);
    }
    match may {
        May::BeRefused => ensure!(
            received.is_none() && status.is_none_or(|status| status >= 400),
            "answered {status:?}, and the upstream got {received:?}"
        ),
        May::PassOrBeRefused => {}
        May::Pass => {
            let received = received.with_context(|| format!("answered {status:?}"))?;
            ensure!(status == Some(200), "answered {status:?}");
            let reading = read(&received).with_context(|| format!("{:?}", received.headers))?;
            ensure!(reading.model.starts_with("ruled-v"), "the upstream reads {reading:?}");
        }
    }
    Ok(())
}

fn not_forged(headers: &Headers) -> bool {
    headers.iter().all(|(_, value)| value != b"forged")
}

#[test]
fn requests_in_a_row_on_one_connection_are_each_routed_by_their_own() -> Result<()> {
    let gateway = gateway()?;
    let mut bytes = Vec::new();
    for number in 0..20 {
        let model = if number % 2 == 0 { "iris" } else { "ruled" };
        let mark = format!("{REQUEST_MARK}: row-{number}");
        let length = format!("Content-Length: {}", BODY.len());
        bytes.extend_from_slice(&post(&format!("/v2/models/{model}/infer"), &[&mark, &length], BODY));
    }
    let answers = gateway.send_bytes(&[("", &bytes)])?;
    let answers = String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count();
    ensure!(answers == 20, "{answers} answers");
    for number in 0..20 {
        let received = gateway.received(&format!("row-{number}")).context("a request was lost")?;
        agrees(&received)?;
        let expected = if number % 2 == 0 { "iris-v1" } else { "ruled-v2" };
        ensure!(received.headers.text("x-modelway-target").as_deref() == Some(expected), "{:?}", received.headers);
    }
    Ok(())
}

/// The filter holds such a request for its body, and its body waits for the answer to the headers.
#[test]
fn a_client_that_waits_for_100_before_its_body_gets_it_while_its_request_is_held() -> Result<()> {
    let gateway = gateway()?;
    let length = format!("Content-Length: {}", BODY.len());
    for (number, encoding) in [length.as_str(), "Transfer-Encoding: chunked"].into_iter().enumerate() {
        let mark = format!("{REQUEST_MARK}: expect-{number}");
        let head = post("/v2/models/ruled/infer", &[&mark, "Expect: 100-continue", encoding], "");
        let body = if number == 0 { BODY.to_owned() } else { chunked(BODY) };
        let answer = gateway.send_bytes(&[("", &head), ("HTTP/1.1 100", body.as_bytes())])?;
        ensure!(String::from_utf8_lossy(&answer).contains("HTTP/1.1 200"), "{}", answer.escape_ascii());
        let received = gateway.received(&format!("expect-{number}")).context("the upstream got nothing")?;
        agrees(&received)?;
        ensure!(received.headers.get("x-modelway-variant") == Some(b"canary"), "{:?}", received.headers);
        ensure!(received.body == BODY.as_bytes(), "the body has changed");
    }
    Ok(())
}
