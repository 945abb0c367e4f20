//! What the upstream is to answer, where a case wants another answer than the usual one. It travels in a header of the
//! request, so that the upstream needs no state and the same case runs against both gateways.

use serde_json::{Value, json};

use crate::gateway::is_grpc;
use crate::headers::Headers;
use crate::upstream::{ANSWER, FORGED, GRPC_ANSWER, SERVED};

/// The header of a request that says how it is to be answered.
pub const ANSWER_HEADER: &str = "x-test-answer";

/// A variant whose requests fail at the upstream, as a header of the request: HTTP 500, or gRPC's INTERNAL in the trailers.
pub const BROKEN_VARIANT: &str = "x-test-broken";

/// An answer of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP's status.
    pub status: u16,
    /// Header fields beside those that every answer has; they replace fields of the same name.
    pub headers: Vec<(String, String)>,
    /// The body in the pieces that the upstream sends it in; `None`: the usual one.
    pub body: Option<Vec<Vec<u8>>>,
    /// The status of a gRPC answer.
    pub grpc_status: u32,
    /// Whether a gRPC answer has its status in the headers, and nothing behind them.
    pub headers_only: bool,
    /// Whether the upstream never answers.
    pub never: bool,
}

// === impl Answer ===

impl Default for Answer {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: None, grpc_status: 0, headers_only: false, never: false }
    }
}

impl Answer {
    /// The usual answer with this status.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// The usual gRPC answer with this status in its trailers.
    pub fn grpc_status(grpc_status: u32) -> Self {
        Self { grpc_status, ..Self::default() }
    }

    /// An answer with this body in these pieces.
    pub fn body(pieces: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        Self { body: Some(pieces.into_iter().map(Into::into).collect()), ..Self::default() }
    }

    /// The same with a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a request asks for.
    pub fn asked_by(request: &Headers) -> Self {
        let read = |text: String| Self::from_json(&serde_json::from_str(&text).ok()?);
        let mut answer = request.text(ANSWER_HEADER).and_then(read).unwrap_or_default();
        if request.get(BROKEN_VARIANT).is_some_and(|broken| request.get("x-modelway-variant") == Some(broken)) {
            match is_grpc(request) {
                true => answer.grpc_status = 13,
                false => answer.status = 500,
            }
        }
        answer
    }

    /// What goes into [`ANSWER_HEADER`].
    pub(crate) fn to_text(&self) -> String {
        let body: Option<Vec<String>> = self.body.as_ref().map(|pieces| pieces.iter().map(|it| hex(it)).collect());
        json!([self.status, self.headers, body, self.grpc_status, self.headers_only, self.never]).to_string()
    }

    fn from_json(value: &Value) -> Option<Self> {
        let [status, headers, body, grpc_status, headers_only, never] = value.as_array()?.as_slice() else {
            return None;
        };
        let piece = |piece: &Value| unhex(piece.as_str()?);
        Some(Self {
            status: u16::try_from(status.as_u64()?).ok()?,
            headers: serde_json::from_value(headers.clone()).ok()?,
            body: body.as_array().map(|pieces| pieces.iter().filter_map(piece).collect()),
            grpc_status: u32::try_from(grpc_status.as_u64()?).ok()?,
            headers_only: headers_only.as_bool()?,
            never: never.as_bool()?,
        })
    }

    /// The header fields; of every answer the same but for what is asked for.
    pub fn head(&self, request: &Headers) -> Headers {
        let grpc = is_grpc(request);
        let mut headers = Headers::new()
            .with(":status", self.status.to_string())
            .with("content-type", if grpc { "application/grpc" } else { "application/json" })
            .with("x-modelway-served", SERVED)
            .with("x-modelway-model", FORGED)
            .with("x-modelway-variant", FORGED);
        if grpc && self.headers_only {
            headers.replace(b"grpc-status", self.grpc_status.to_string().as_bytes());
        }
        for (name, value) in &self.headers {
            headers.replace(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    /// The pieces of the body; `None` where nothing follows the headers.
    pub(crate) fn pieces(&self, request: &Headers) -> Option<Vec<Vec<u8>>> {
        let grpc = is_grpc(request);
        if (grpc && self.headers_only) || (!grpc && request.get(":method") == Some(b"HEAD")) {
            return None;
        }
        let usual = || vec![if grpc { GRPC_ANSWER.to_vec() } else { ANSWER.to_vec() }];
        Some(self.body.clone().unwrap_or_else(usual))
    }
}

/// More of the same pair of bytes are counted instead of written out: a header has no room for a large answer.
const SHORTEST_RUN: usize = 8;

/// Bytes as `68656c6c6f 3131*500 0a`.
fn hex(bytes: &[u8]) -> String {
    let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let pairs: Vec<&[u8]> = bytes.chunks(2).collect();
    let runs = pairs.chunk_by(|left, right| left == right).map(|run| match run {
        [pair, ..] if run.len() >= SHORTEST_RUN => format!(" {}*{} ", digits(pair), run.len()),
        pairs => digits(&pairs.concat()),
    });
    runs.collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in text.split_whitespace() {
        let (digits, times) = part.split_once('*').unwrap_or((part, "1"));
        let part: Option<Vec<u8>> =
            (0..digits.len() / 2).map(|at| u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()).collect();
        bytes.extend(part?.repeat(times.parse().ok()?));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_out_of_its_header_as_it_went_in() {
        let long = [b"x".to_vec(), b"1,".repeat(1_000_000), vec![7; 99], b"end".to_vec()].concat();
        let answer = Answer::body([long, Vec::new(), b"a".to_vec()]).header("etag", "\"1\"");
        let answer = Answer { status: 503, grpc_status: 14, headers_only: true, ..answer };
        let text = answer.to_text();
        assert!(text.len() < 300, "{text}");
        assert_eq!(Answer::asked_by(&Headers::new().with(ANSWER_HEADER, text)), answer);
    }
}
