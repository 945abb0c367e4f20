//! The model's public name in answers, where the upstream has another.

use modelway_decision::Decision;
use modelway_decision::answer::{Naming, Renaming, Step};
use modelway_decision::config::Protocol;
use modelway_decision::header::Headers;

use crate::host::{self, HeaderMap, Refused};
use crate::stream::Action;

/// The two names of a model, until its answer says how it names it.
pub(crate) struct Restoring {
    upstream: Box<[u8]>,
    is_stream: bool,
}

// === impl Restoring ===

impl Restoring {
    /// None where the client has asked by the upstream's name.
    pub(crate) fn of(decision: &Decision<'_>, head: &impl Headers) -> Option<Self> {
        if decision.model == decision.target {
            return None;
        }
        let path = head.first(b":path").unwrap_or_default();
        Some(Self { upstream: (&*decision.target).into(), is_stream: path.ends_with(b"/ModelStreamInfer") })
    }

    /// What is to be done to an answer with these headers. The answer's length is taken away where it may change.
    pub(crate) fn begin(
        &self,
        protocol: Protocol,
        public: &[u8],
        answer: &HeaderMap,
    ) -> Result<Option<Renaming>, Refused> {
        let Some(naming) = self.naming(protocol, answer) else { return Ok(None) };
        let renaming = Renaming::new(naming, &self.upstream, public);
        if !renaming.keeps_length() && answer.first(b"content-length").is_some() {
            host::remove_response_header(b"content-length")?;
        }
        Ok(Some(renaming))
    }

    /// None where the answer does not name a model, or cannot be changed unharmed: it is compressed,
    /// or a header tells where tensors begin behind its JSON.
    fn naming(&self, protocol: Protocol, answer: &HeaderMap) -> Option<Naming> {
        let is_plain = answer.first(b"content-encoding").is_none_or(|coding| coding == b"identity");
        let is_ok = answer.first(b":status").is_some_and(|status| status.starts_with(b"2"));
        if !is_plain || !is_ok || answer.first(b"inference-header-content-length").is_some() {
            return None;
        }
        let content_type = answer.first(b"content-type").unwrap_or_default();
        let is = |kind: &[u8]| content_type.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind));
        match protocol {
            Protocol::Grpc if self.is_stream => Some(Naming::NestedMessages),
            Protocol::Grpc => Some(Naming::Messages),
            Protocol::Rest if is(b"application/json") => Some(Naming::Document),
            Protocol::OpenAi if is(b"application/json") => Some(Naming::OpenAiDocument),
            Protocol::OpenAi if is(b"text/event-stream") => Some(Naming::OpenAiEvents),
            Protocol::Rest | Protocol::OpenAi | Protocol::V1 => None,
        }
    }
}

/// Changes what of an answer's body is at hand.
pub(crate) fn rename(renaming: &mut Renaming, size: usize, is_last: bool) -> Action {
    let stepped = renaming.step(size, is_last, host::response_body).and_then(|step| match step {
        Step::Keep => Ok(Action::Continue),
        Step::Wait => Ok(Action::Pause),
        Step::Change(prefix) => {
            host::replace_response_body_start(prefix.replaces, &prefix.with).map(|()| Action::Continue)
        }
    });
    stepped.unwrap_or_else(|refused| {
        host::error(&format!("the gateway does not let an answer bear the model's public name ({refused})"));
        Action::Continue
    })
}
