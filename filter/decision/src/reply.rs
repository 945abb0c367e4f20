//! Answers that the filter gives itself.

use crate::router::put_json_text;

/// An answer instead of the upstream's, in the words of the protocol that was asked in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The HTTP status of an answer that is not gRPC's.
    pub status: u16,
    /// The gRPC status code.
    pub grpc_status: u32,
    /// What is wrong and what was expected.
    pub message: String,
    /// How it is said.
    pub dialect: Dialect,
}

/// How a protocol tells an error.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Dialect {
    /// `{"error":"…"}`, as v2 and v1 have it.
    #[default]
    Rest,
    /// A status in the headers.
    Grpc,
    /// `{"error":{"message":"…","type":"…","param":…,"code":…}}`.
    OpenAi,
}

// === impl Reply ===

impl Reply {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, 3, message.into())
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, 5, message.into())
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, 7, message.into())
    }

    /// A fault of the gateway's.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, 13, message.into())
    }

    /// The same in another protocol's words.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The body of an answer that is not gRPC's.
    pub fn json(&self) -> String {
        let mut message = String::new();
        put_json_text(&mut message, &self.message);
        if self.dialect != Dialect::OpenAi {
            return format!("{{\"error\":{message}}}");
        }
        // The words that OpenAI's own clients tell errors apart by.
        let (kind, param, code) = match self.status {
            404 => ("invalid_request_error", "\"model\"", "\"model_not_found\""),
            403 => ("permission_error", "null", "null"),
            500.. => ("server_error", "null", "null"),
            _ => ("invalid_request_error", "null", "null"),
        };
        format!("{{\"error\":{{\"message\":{message},\"type\":\"{kind}\",\"param\":{param},\"code\":{code}}}}}")
    }

    fn new(status: u16, grpc_status: u32, message: String) -> Self {
        Self { status, grpc_status, message, dialect: Dialect::default() }
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
        let reply = reply.in_dialect(Dialect::OpenAi);
        let body: serde_json::Value = serde_json::from_str(&reply.json()).unwrap();
        assert_eq!(body["error"]["message"], "no model 'a\"\\\n\u{fffd}'");
        assert_eq!(body["error"]["code"], "model_not_found");
        assert_eq!(body["error"]["param"], "model");
    }

    #[test]
    fn every_error_object_has_the_four_members_that_clients_read() {
        for reply in [Reply::invalid("x"), Reply::forbidden("x"), Reply::internal("x"), Reply::not_found("x")] {
            let body: serde_json::Value = serde_json::from_str(&reply.in_dialect(Dialect::OpenAi).json()).unwrap();
            let mut members: Vec<&String> = body["error"].as_object().unwrap().keys().collect();
            members.sort_unstable();
            assert_eq!(members, ["code", "message", "param", "type"]);
        }
    }
}
