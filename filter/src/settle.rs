//! Doing what a decision says: headers, the rewritten path or message, or an answer of the filter's own.

use modelway_decision::call::is_grpc;
use modelway_decision::header::{self, Headers};
use modelway_decision::rewrite::{Edit, Prefix, Tail};
use modelway_decision::{Decision, Dialect, Peek, Reply, Route};

use crate::host::{self, HeaderMap, Refused};
use crate::stream::Action;

/// What became of a request.
pub(crate) enum Outcome {
    /// It goes on, to a model if it is a call for one.
    GoesOn(Option<Chosen>),
    /// The filter has answered it.
    Answered,
}

/// What the answer's headers will say: the model and the variant, in one allocation.
pub(crate) struct Chosen {
    names: Box<[u8]>,
    model_length: usize,
    has_variant: bool,
}

// === impl Chosen ===

impl Chosen {
    fn of(decision: &Decision<'_>) -> Self {
        let names = [&*decision.model, decision.variant.unwrap_or_default()].concat();
        let has_variant = decision.variant.is_some();
        Self { names: names.into_boxed_slice(), model_length: decision.model.len(), has_variant }
    }

    pub(crate) fn model(&self) -> &[u8] {
        self.names.get(..self.model_length).unwrap_or_default()
    }

    pub(crate) fn variant(&self) -> Option<&[u8]> {
        self.names.get(self.model_length..).filter(|_| self.has_variant)
    }
}

/// Does what the route says. A header that cannot be set fails the request: half a decision must
/// not reach an upstream.
pub(crate) fn settle(head: &HeaderMap, route: Route<'_>, peek: Option<&Peek>) -> Outcome {
    match route {
        Route::Pass => Outcome::GoesOn(None),
        Route::Reply(reply) => answer(&reply),
        Route::To(decision) => match apply(head, &decision, peek) {
            Ok(()) => Outcome::GoesOn(Some(Chosen::of(&decision))),
            Err(refused) => {
                host::error(&format!("the gateway does not take the decision ({refused})"));
                let dialect = if is_grpc(head) { Dialect::Grpc } else { Dialect::Rest };
                answer(&Reply::internal("the gateway could not apply the routing decision").in_dialect(dialect))
            }
        },
    }
}

fn answer(reply: &Reply) -> Outcome {
    let sent = if reply.dialect == Dialect::Grpc {
        host::reply(reply.status, None, reply.message.as_bytes(), reply.grpc_status as i32)
    } else {
        host::reply(reply.status, Some("application/json"), reply.json().as_bytes(), -1)
    };
    if let Err(refused) = sent {
        host::error(&format!("the gateway does not send an answer of the filter ({refused})"));
    }
    Outcome::Answered
}

fn apply(head: &HeaderMap, decision: &Decision<'_>, peek: Option<&Peek>) -> Result<(), Refused> {
    host::set_request_header(header::MODEL, &decision.model)?;
    if let Some(variant) = decision.variant {
        host::set_request_header(header::VARIANT, variant)?;
    }
    host::set_request_header(header::TARGET, &decision.target)?;
    if let Some(version) = &decision.version {
        host::set_request_header(header::VERSION, version)?;
    }
    host::set_request_header(header::AFFINITY, &decision.affinity)?;
    if let Some(pool) = decision.pool {
        host::set_request_header(header::POOL, pool)?;
    }
    if let Some(path) = &decision.path {
        host::set_request_header(":path", path)?;
    }
    if decision.rewrites_message
        && let Some(peek) = peek
    {
        rewrite_message(head, decision, peek)?;
    }
    Ok(())
}

fn rewrite_message(head: &HeaderMap, decision: &Decision<'_>, peek: &Peek) -> Result<(), Refused> {
    let read = host::request_body(0, peek.renamed_bytes())?;
    let Some(prefix) = peek.renamed(&read, &decision.target, decision.version.as_deref()) else {
        host::warn("a message is too long to be renamed: the upstream goes by the headers");
        return Ok(());
    };
    resize_content(head, |length| prefix.new_length(length))?;
    host::replace_request_body_start(prefix.replaces, &prefix.with)
}

/// Changes the content-length, where there is one.
pub(crate) fn resize_content(head: &HeaderMap, new: impl Fn(u64) -> u64) -> Result<(), Refused> {
    let length = head.first(b"content-length").and_then(|length| std::str::from_utf8(length).ok());
    match length.and_then(|length| length.parse().ok()) {
        Some(length) => host::set_request_header("content-length", new(length).to_string().as_bytes()),
        None => Ok(()),
    }
}

/// Adds to a message what its tail is to be, as it goes by.
#[cfg(feature = "body")]
pub(crate) fn add_tail(tail: &mut Tail, size: usize, end_of_stream: bool) -> Action {
    let done = tail.edit(size, end_of_stream, |count| host::request_body(0, count)).and_then(|edit| match edit {
        Edit::Keep => Ok(Action::Continue),
        Edit::Wait => Ok(Action::Pause),
        Edit::Refuse(reply) => {
            answer(&reply);
            Ok(Action::Pause)
        }
        Edit::Change(start, end) => {
            if !end.is_empty() {
                host::append_request_body(size, &end)?;
            }
            if let Some(Prefix { replaces, with }) = start {
                host::replace_request_body_start(replaces, &with)?;
            }
            Ok(Action::Continue)
        }
    });
    done.unwrap_or_else(|refused| {
        host::error(&format!("the gateway does not take an edit of the body ({refused})"));
        let reply = Reply::internal("the gateway could not apply the routing decision");
        answer(&reply.in_dialect(Dialect::Grpc));
        Action::Pause
    })
}
