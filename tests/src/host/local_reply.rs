//! The shape of an answer that the proxy gives itself (Envoy's `Utility::prepareLocalReply`).

use super::world::LocalReply;
use crate::headers::Headers;

/// Headers and body of the answer to a request with these headers.
pub(crate) fn render(reply: &LocalReply, request: &Headers) -> (Headers, Vec<u8>) {
    if is_grpc(request.get("content-type")) {
        return (render_grpc(reply), Vec::new());
    }
    let mut headers = Headers::new().with(":status", reply.status.to_string());
    for (name, value) in reply.headers.iter() {
        headers.add(name, value);
    }
    if reply.body.is_empty() {
        headers.remove(b"content-length");
        headers.remove(b"content-type");
    } else {
        headers.replace(b"content-length", reply.body.len().to_string().as_bytes());
        if headers.get("content-type").is_none() {
            headers.add(b"content-type", b"text/plain");
        }
    }
    let body = if request.get(":method") == Some(b"HEAD") { Vec::new() } else { reply.body.clone() };
    (headers, body)
}

/// A gRPC client is answered by status 200, headers that end the stream, and the body as its message.
fn render_grpc(reply: &LocalReply) -> Headers {
    let mut headers = Headers::new().with(":status", "200").with("content-type", "application/grpc");
    let status = if reply.grpc_status < 0 { grpc_status_for(reply.status) } else { reply.grpc_status };
    for (name, value) in reply.headers.iter() {
        headers.add(name, value);
    }
    headers.replace(b"content-type", b"application/grpc");
    headers.replace(b"grpc-status", status.to_string().as_bytes());
    if !reply.body.is_empty() {
        headers.replace(b"grpc-message", percent_encode(&reply.body).as_bytes());
    }
    headers
}

fn is_grpc(content_type: Option<&[u8]>) -> bool {
    let Some(rest) = content_type.and_then(|value| value.strip_prefix(b"application/grpc")) else { return false };
    matches!(rest.first(), None | Some(b'+'))
}

/// The gRPC project's mapping of HTTP status codes.
fn grpc_status_for(status: u32) -> i32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

fn percent_encode(text: &[u8]) -> String {
    let mut encoded = String::new();
    for byte in text {
        match byte {
            b'%' => encoded.push_str("%25"),
            b' '..=b'~' => encoded.push(char::from(*byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
