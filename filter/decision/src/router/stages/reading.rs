//! How bodies are read: what of them routing needs, and how far they go.

use super::Router;
use crate::config::{Mode, Protocol};
use crate::header::Headers;
use crate::message::{Encoding, Message, Needs};
use crate::peek::{Bounds, Peek};
use crate::read::{Plan, Wanted};

/// A JSON document of so many bytes stands in front of tensors in binary.
const BINARY: &[u8] = b"inference-header-content-length";

/// What routing needs of a body, given the request's headers.
pub(super) struct WantedBy<'a, H> {
    pub(super) router: &'a Router,
    pub(super) head: &'a H,
    pub(super) protocol: Protocol,
}

// === impl Router ===

impl Router {
    pub(super) fn peek_inference(&self, head: &impl Headers, known: Message, needed: Needs) -> Peek {
        let end = length(head, BINARY).or_else(|| length(head, b"content-length"));
        Peek::inference(self.plan(end, known), self.bounds(head, end), needed)
    }

    pub(super) fn peek_open_ai(&self, head: &impl Headers) -> Peek {
        let end = length(head, b"content-length");
        Peek::open_ai(self.plan(end, Message::default()), self.bounds(head, end))
    }

    pub(super) fn peek_grpc(&self, head: &impl Headers) -> Peek {
        Peek::grpc(self.plan(None, Message::default()), self.bounds(head, None))
    }

    fn plan(&self, length: Option<usize>, known: Message) -> Plan {
        Plan {
            is_strict: self.mode == Mode::Strict,
            whole_up_to: self.peek_limit,
            length,
            known,
            leaves_inputs: !self.keeps_inputs,
        }
    }

    fn bounds(&self, head: &impl Headers, end: Option<usize>) -> Bounds {
        let encoding = head.first(b"content-encoding").map(<[u8]>::trim_ascii);
        let is_plain = encoding.is_none_or(|it| it.is_empty() || it.eq_ignore_ascii_case(b"identity"));
        Bounds { limit: self.peek_limit, end, is_compressed: !is_plain }
    }
}

// === impl WantedBy ===

impl<H: Headers> Wanted for WantedBy<'_, H> {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        self.router.parameter_number(name)
    }

    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> Needs {
        self.router.needed(self.head, self.protocol, name, version)
    }
}

/// What the headers of a v2 request tell of its body.
pub(super) fn known_from(head: &impl Headers) -> Message {
    let mut known = Message::default();
    if length(head, BINARY).is_some() {
        known.encoding = Some(Encoding::Binary);
        known.mark_found(Needs::ENCODING);
    }
    known
}

/// Whether a body may be JSON. Clients that leave the content type out, or to a form's default, mean
/// JSON as well; files and pictures do not.
pub(super) fn may_be_json(head: &impl Headers) -> bool {
    const OTHERS: [&[u8]; 5] = [b"multipart/", b"audio/", b"image/", b"video/", b"application/octet-stream"];
    let content_type = head.first(b"content-type").unwrap_or_default();
    let begins_so =
        |other: &&[u8]| content_type.get(..other.len()).is_some_and(|start| start.eq_ignore_ascii_case(other));
    !OTHERS.iter().any(begins_so)
}

fn length(head: &impl Headers, name: &[u8]) -> Option<usize> {
    let value = head.first(name)?.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
