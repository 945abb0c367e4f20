//! The stages of a decision: from the headers, from what the body tells, and the end of both.

use std::borrow::Cow;

use super::{Asked, Route, Router, Start};
use crate::call::{Call, RestCall, can_be_header_value};
use crate::config::{Admin, OnPeekLimit, Protocol, UnknownModels};
use crate::header::Headers;
use crate::message::{Message, Needs};
use crate::peek::Peek;
use crate::read::Wanted;
use crate::reply::{Reply, shown};
use crate::rewrite;

/// What routing needs of a message, given the request's headers.
struct WantedBy<'a, H> {
    router: &'a Router,
    head: &'a H,
}

// === impl Router ===

impl Router {
    /// What can be decided from the headers. `random` is a draw of 64 bits for requests without a key.
    pub fn start<'a>(&'a self, head: &'a impl Headers, body_follows: bool, random: u64) -> Start<'a> {
        let path = head.first(b":path").unwrap_or_default();
        match Call::of(path, head) {
            Call::Other => Start::Known(Route::Pass),
            Call::Admin => Start::Known(self.route_admin()),
            Call::Ambiguous => Start::Known(Route::Reply(ambiguous())),
            Call::Grpc if body_follows => Start::Read(Peek::grpc(self.peek_limit)),
            Call::Grpc => Start::Known(Route::Pass),
            Call::Rest(call) => {
                let needed = self.needed(head, Protocol::Rest, &call.model, call.version.as_deref());
                if body_follows && !needed.is_empty() {
                    return Start::Read(Peek::json(needed, self.peek_limit));
                }
                Start::Known(self.route_rest(head, path, call, &Message::default(), random))
            }
        }
    }

    /// Takes the next bytes of a body; true once [`Self::finish`] can decide.
    pub fn read(&self, head: &impl Headers, peek: &mut Peek, bytes: &[u8]) -> bool {
        peek.feed(bytes, &WantedBy { router: self, head })
    }

    /// The decision with what a body has told; `None` for a body that the host never showed.
    pub fn finish<'a>(&'a self, head: &'a impl Headers, peek: Option<&'a Peek>, random: u64) -> Route<'a> {
        let path = head.first(b":path").unwrap_or_default();
        match (Call::of(path, head), peek) {
            (Call::Rest(call), None) => self.route_rest(head, path, call, &Message::default(), random),
            (Call::Rest(call), Some(peek)) => {
                let needed = || self.needed(head, Protocol::Rest, &call.model, call.version.as_deref());
                match self.too_late(peek, needed) {
                    Some(reply) => Route::Reply(reply),
                    None => self.route_rest(head, path, call, peek.message(), random),
                }
            }
            (Call::Grpc, Some(peek)) => self.route_grpc(head, peek, random),
            _ => Route::Pass,
        }
    }

    fn route_admin(&self) -> Route<'_> {
        match self.admin {
            Admin::Allow => Route::Pass,
            Admin::Deny => Route::Reply(Reply::forbidden(
                "administrative calls are not allowed through this gateway; `admin: Allow` in the routing allows them",
            )),
        }
    }

    fn route_rest<'a>(
        &'a self,
        head: &impl Headers,
        path: &[u8],
        call: RestCall<'a>,
        message: &Message,
        random: u64,
    ) -> Route<'a> {
        let RestCall { model, version, span } = call;
        let asked = Asked { model, version };
        let mut decision = match self.decide(head, Protocol::Rest, asked.clone(), message, random) {
            Ok(decision) => decision,
            Err(reply) => return Route::Reply(reply),
        };
        if self.rewrites(&asked, &decision) {
            decision.path = Some(rewrite::path(path, &span, &decision.target, decision.version.as_deref()));
        }
        Route::To(decision)
    }

    fn route_grpc<'a>(&'a self, head: &impl Headers, peek: &'a Peek, random: u64) -> Route<'a> {
        let Some(reader) = peek.grpc_reader() else { return Route::Pass };
        if let Some(fault) = peek.fault() {
            return match self.unknown_models {
                UnknownModels::Pass => Route::Pass,
                UnknownModels::Reject => Route::Reply(Reply::invalid(format!("cannot read the request: {fault}"))),
            };
        }
        let Some(name) = reader.name().filter(|name| !name.is_empty()) else {
            return self.route_unnamed(peek);
        };
        let version = reader.version();
        if !can_be_header_value(name) || !version.is_none_or(can_be_header_value) {
            return Route::Reply(Reply::invalid("the model's name or version has control characters"));
        }
        if let Some(reply) = self.too_late(peek, || self.needed(head, Protocol::Grpc, name, version)) {
            return Route::Reply(reply);
        }
        let asked = Asked { model: name.into(), version: version.map(Cow::Borrowed) };
        match self.decide(head, Protocol::Grpc, asked.clone(), peek.message(), random) {
            Ok(mut decision) => {
                decision.rewrites_message = self.rewrites(&asked, &decision);
                Route::To(decision)
            }
            Err(reply) => Route::Reply(reply),
        }
    }

    /// A message without a name, as far as it was read.
    fn route_unnamed(&self, peek: &Peek) -> Route<'_> {
        if peek.is_at_limit() {
            return match (self.on_peek_limit, self.unknown_models) {
                (OnPeekLimit::Default, UnknownModels::Pass) => Route::Pass,
                _ => Route::Reply(Reply::invalid(format!(
                    "the model's name does not stand in the first {} bytes of the message; write it first or raise peekLimit",
                    self.peek_limit
                ))),
            };
        }
        match self.unknown_models {
            UnknownModels::Pass => Route::Pass,
            UnknownModels::Reject => Route::Reply(Reply::invalid("the message names no model: model_name is empty")),
        }
    }

    /// The refusal of a body whose first bytes do not hold what routing needs, where that is configured.
    fn too_late(&self, peek: &Peek, needed: impl FnOnce() -> Needs) -> Option<Reply> {
        let is_refused = self.on_peek_limit == OnPeekLimit::Reject
            && peek.is_at_limit()
            && !peek.message().found().contains(needed());
        is_refused.then(|| {
            let names: Vec<String> = self.parameter_names.iter().map(|name| shown(name)).collect();
            Reply::invalid(format!(
                "the first {} bytes of the body do not hold every parameter that routing may need ({}); write `parameters` before `inputs` or raise peekLimit",
                self.peek_limit,
                names.join(", ")
            ))
        })
    }
}

// === impl WantedBy ===

impl<H: Headers> Wanted for WantedBy<'_, H> {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        self.router.parameter_number(name)
    }

    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> Needs {
        self.router.needed(self.head, Protocol::Grpc, name, version)
    }
}

fn ambiguous() -> Reply {
    Reply::invalid("the path can be read in several ways; write /v2/models/NAME/… without empty or dot segments")
}
