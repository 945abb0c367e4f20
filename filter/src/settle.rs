//! Doing what a decision says: headers, the rewritten path or message, or an answer of the filter's own.

use std::borrow::Cow;

use modelway_decision::call::is_grpc;
use modelway_decision::header::Headers;
use modelway_decision::{Decision, Dialect, Peek, Reply, Route, Router};

use crate::chosen::Chosen;
use crate::head::Head;
use crate::host::{self, Refused};
use crate::stats;

/// What became of a request.
pub(crate) enum Outcome {
    /// It goes on, to a model if it is a call for one.
    GoesOn(Option<Chosen>),
    /// The filter has answered it.
    Answered,
}

/// What is known of a held request's body.
pub(crate) struct Body<'a> {
    pub(crate) peek: &'a Peek,
    /// Its first bytes, as far as they are still at hand.
    pub(crate) start: &'a [u8],
}

/// Does what the route says. A header that cannot be set fails the request: half a decision must
/// not reach an upstream.
pub(crate) fn settle(router: &Router, head: &Head, mut route: Route<'_>, body: Option<&Body<'_>>) -> Outcome {
    let is_dry = router.settings().dry_run;
    // A decision is large: it stays where it is.
    match &mut route {
        Route::Pass => Outcome::GoesOn(None),
        Route::Reply(reply) if is_dry => {
            stats::count_refused(router, reply.status);
            Outcome::GoesOn(None)
        }
        Route::Reply(reply) => answer(router, reply),
        Route::To(decision) if is_dry => {
            decision.set_cookie = None;
            leave_filter_state(router, decision);
            Outcome::GoesOn(Some(Chosen::of(decision, head)))
        }
        Route::To(decision) => match apply(router, head, decision, body) {
            Ok(()) => {
                leave_filter_state(router, decision);
                Outcome::GoesOn(Some(Chosen::of(decision, head)))
            }
            Err(refused) => {
                host::error(&format!("the gateway does not take the decision ({refused})"));
                let dialect = if is_grpc(head) { Dialect::Grpc } else { Dialect::Rest };
                answer(router, &Reply::internal("the gateway could not apply the routing decision").in_dialect(dialect))
            }
        },
    }
}

pub(crate) fn answer(router: &Router, reply: &Reply) -> Outcome {
    stats::count_refused(router, reply.status);
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

fn apply(router: &Router, head: &Head, decision: &Decision<'_>, body: Option<&Body<'_>>) -> Result<(), Refused> {
    for (field, name) in router.headers() {
        if let Some(value) = decision.field(field) {
            host::set_request_header(name, value)?;
        }
    }
    if let Some(path) = &decision.path {
        host::set_request_header(":path", path)?;
    }
    if decision.rewrites_message
        && let Some(body) = body
    {
        rewrite_message(head, decision, body)?;
    }
    Ok(())
}

/// For access logs: `%FILTER_STATE(wasm.modelway.variant:PLAIN)%`. A log that lacks it harms no request.
fn leave_filter_state(router: &Router, decision: &Decision<'_>) {
    if router.settings().filter_state {
        let state = [
            ("modelway.model", Some(&*decision.model)),
            ("modelway.variant", decision.variant),
            ("modelway.target", Some(&*decision.target)),
        ];
        for (name, value) in state {
            let Some(Err(refused)) = value.map(|value| host::set_filter_state(name, value)) else { continue };
            host::warn(&format!("the gateway does not keep {name} for its access log ({refused})"));
        }
    }
    if decision.exposure.is_some()
        && let Some(record) = decision.exposure_record(host::now())
        && let Err(refused) = host::set_filter_state("modelway.exposure", record.as_bytes())
    {
        host::warn(&format!("the gateway does not keep modelway.exposure for its access log ({refused})"));
    }
}

fn rewrite_message(head: &Head, decision: &Decision<'_>, body: &Body<'_>) -> Result<(), Refused> {
    let length = body.peek.renamed_bytes();
    let start = match body.start.get(..length) {
        Some(start) => Cow::Borrowed(start),
        None => Cow::Owned(host::request_body(0, length)?),
    };
    let Some(prefix) = body.peek.renamed(&start, &decision.target, decision.version.as_deref()) else {
        host::warn("a message is too long to be renamed: the upstream goes by the headers");
        return Ok(());
    };
    resize_content(head, |length| prefix.new_length(length))?;
    host::replace_request_body_start(prefix.replaces, &prefix.with)
}

/// Changes the content-length, where there is one.
pub(crate) fn resize_content(head: &Head, new: impl Fn(u64) -> u64) -> Result<(), Refused> {
    let length = head.first(b"content-length").and_then(|length| std::str::from_utf8(length).ok());
    match length.and_then(|length| length.parse().ok()) {
        Some(length) => host::set_request_header("content-length", new(length).to_string().as_bytes()),
        None => Ok(()),
    }
}
