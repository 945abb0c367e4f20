//! Answers that the filter gives itself.

use crate::router::put_json_text;

/// An answer instead of the upstream's: v2-shaped JSON for REST, a status for gRPC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The HTTP status of a REST answer.
    pub status: u16,
    /// The gRPC status code.
    pub grpc_status: u32,
    /// What is wrong and what was expected.
    pub message: String,
}

// === impl Reply ===

impl Reply {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, grpc_status: 3, message: message.into() }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: 404, grpc_status: 5, message: message.into() }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: 403, grpc_status: 7, message: message.into() }
    }

    /// A fault of the gateway's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, grpc_status: 13, message: message.into() }
    }

    /// The body of a REST answer: `{"error":"…"}`.
    pub fn json(&self) -> String {
        let mut body = String::from("{\"error\":");
        put_json_text(&mut body, &self.message);
        body.push('}');
        body
    }
}

/// A name from the wire, for a text.
pub(crate) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 128;
    let mut text = String::from_utf8_lossy(name.get(..LONGEST).unwrap_or(name)).into_owned();
    if name.len() > LONGEST {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_of_a_reply_is_json_whatever_the_name_was() {
        let reply = Reply::not_found(format!("no model '{}'", shown(b"a\"\\\n\xff")));
        let body: serde_json::Value = serde_json::from_str(&reply.json()).unwrap();
        assert_eq!(body["error"], "no model 'a\"\\\n\u{fffd}'");
    }
}
