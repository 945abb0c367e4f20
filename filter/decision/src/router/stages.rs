//! The stages of a decision: from the headers, from what the body tells, and the end of both.

mod reading;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::reading::WantedBy;
use super::{Asked, Route, Router, Start};
use crate::call::{Call, RestCall, can_be_header_value, is_grpc, is_openai_path, without_prefix};
use crate::config::{Admin, Mode, OnPeekLimit, Protocol, Rewrite, UnknownModels};
use crate::header::Headers;
use crate::message::{Message, Needs};
use crate::peek::Peek;
use crate::reply::{Dialect, Reply, shown};
use crate::rewrite::{self, Tail};

// === impl Router ===

impl Router {
    /// What can be decided from the headers. `random` is a draw of 64 bits for requests without a key.
    pub fn start<'a>(&'a self, head: &'a impl Headers, body_follows: bool, random: u64) -> Start<'a> {
        let path = head.first(b":path").unwrap_or_default();
        let mut start = Start::Known(match Call::of(path, head, &self.path_prefixes) {
            Call::Other => Route::Pass,
            Call::Admin => self.route_admin(),
            Call::Ambiguous => Route::Reply(ambiguous()),
            Call::Grpc if body_follows => return Start::Read(Box::new(self.peek_grpc(head))),
            Call::OpenAi if body_follows && reading::may_be_json(head) => {
                return Start::Read(Box::new(self.peek_open_ai(head)));
            }
            Call::Grpc | Call::OpenAi => Route::Pass,
            Call::Rest(call) => {
                let known = reading::known_from(head);
                if body_follows && self.reads_bodies && call.protocol == Protocol::Rest {
                    let needed = self.needed(head, call.protocol, &call.model, call.version.as_deref());
                    if !known.found().contains(needed) {
                        return Start::Read(Box::new(self.peek_inference(head, known, needed)));
                    }
                }
                self.route_rest(head, path, call, &known, random)
            }
            Call::Transcoded(call) => self.route_transcoded(head, call, body_follows, random),
        });
        if let Start::Known(route) = &mut start {
            self.put_in_dialect_of(head, route);
        }
        start
    }

    /// Takes the next bytes of a body; true once [`Self::finish`] can decide.
    pub fn read(&self, head: &impl Headers, peek: &mut Peek, bytes: &[u8]) -> bool {
        let protocol = peek.protocol();
        peek.feed(bytes, &WantedBy { router: self, head, protocol })
    }

    /// The decision with what a body has told; `None` for a body that the host never showed.
    pub fn finish<'a>(&'a self, head: &'a impl Headers, peek: Option<&'a Peek>, random: u64) -> Route<'a> {
        let mut route = match peek {
            // What it was read for tells the call.
            Some(peek) if peek.protocol() != Protocol::Rest => self.route_named(head, peek, random),
            peek => self.route_in_path(head, peek, random),
        };
        self.put_in_dialect_of(head, &mut route);
        route
    }

    /// A call whose path is to name the model, with what its body has told.
    fn route_in_path<'a>(&'a self, head: &'a impl Headers, peek: Option<&Peek>, random: u64) -> Route<'a> {
        let path = head.first(b":path").unwrap_or_default();
        let Call::Rest(call) = Call::of(path, head, &self.path_prefixes) else { return Route::Pass };
        let Some(peek) = peek else { return self.route_rest(head, path, call, &reading::known_from(head), random) };
        let needed = || self.needed(head, call.protocol, &call.model, call.version.as_deref());
        match strict_refusal(peek).or_else(|| self.too_late(peek, needed)) {
            Some(reply) => Route::Reply(reply),
            None => self.route_rest(head, path, call, peek.message(), random),
        }
    }

    /// A refusal in the words of the protocol that was asked in.
    fn put_in_dialect_of(&self, head: &impl Headers, route: &mut Route<'_>) {
        let Route::Reply(reply) = route else { return };
        let path = without_prefix(head.first(b":path").unwrap_or_default(), &self.path_prefixes);
        let dialect = match path {
            _ if is_grpc(head) => Dialect::Grpc,
            path if is_openai_path(path) => Dialect::OpenAi,
            _ => Dialect::Rest,
        };
        reply.dialect = dialect;
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
        let RestCall { protocol, model, version, span } = call;
        let asked = Asked { model, version };
        let mut route = self.decide(head, protocol, asked.clone(), message, random);
        if let Route::To(decision) = &mut route
            && self.rewrites(&asked, decision)
        {
            // KServe's v1 and OpenAI's paths have no place for a version.
            let version = decision.version.as_deref().filter(|_| protocol == Protocol::Rest || asked.version.is_some());
            decision.path = Some(rewrite::path(path, &span, &decision.target, version));
        }
        route
    }

    /// A gRPC message whose model is known from the path that a transcoder has made it of. Nothing
    /// is read of it; the upstream's name goes behind the one that the transcoder writes.
    fn route_transcoded<'a>(
        &'a self,
        head: &impl Headers,
        call: RestCall<'a>,
        body_follows: bool,
        random: u64,
    ) -> Route<'a> {
        let asked = Asked { model: call.model, version: call.version };
        let mut route = self.decide(head, call.protocol, asked, &Message::default(), random);
        if let Route::To(decision) = &mut route {
            // Even where the name stays: a client may send the header itself, with another name in its message.
            if body_follows && self.rewrite != Rewrite::Headers {
                decision.tail = Some(Box::new(Tail::new(&decision.target, decision.version.as_deref())));
            }
            decision.protocol = Protocol::Grpc;
        }
        route
    }

    /// A call whose body names the model.
    fn route_named<'a>(&'a self, head: &impl Headers, peek: &'a Peek, random: u64) -> Route<'a> {
        if let Some(reply) = strict_refusal(peek) {
            return Route::Reply(reply);
        }
        if let Some(fault) = peek.fault() {
            return match self.unknown_models {
                UnknownModels::Pass => Route::Pass,
                UnknownModels::Reject => Route::Reply(unreadable(fault)),
            };
        }
        let Some(name) = peek.name().filter(|name| !name.is_empty()) else {
            return self.route_unnamed(peek);
        };
        let version = peek.version();
        if !can_be_header_value(name) || !version.is_none_or(can_be_header_value) {
            return Route::Reply(Reply::invalid(
                "the model's name or version has control characters, or spaces at its ends",
            ));
        }
        let protocol = peek.protocol();
        if let Some(reply) = self.too_late(peek, || self.needed(head, protocol, name, version)) {
            return Route::Reply(reply);
        }
        let asked = Asked { model: name.into(), version: version.map(Cow::Borrowed) };
        let mut route = self.decide(head, protocol, asked.clone(), peek.message(), random);
        if let Route::To(decision) = &mut route {
            decision.rewrites_message = match (self.rewrite, protocol) {
                // OpenAI's body has no place for a version.
                (Rewrite::Auto, Protocol::OpenAi) => asked.model != decision.target,
                _ => self.rewrites(&asked, decision),
            };
        }
        route
    }

    /// A body without a name, as far as it was read.
    fn route_unnamed(&self, peek: &Peek) -> Route<'_> {
        if peek.is_past_limit() {
            return match (self.on_peek_limit, self.unknown_models) {
                (OnPeekLimit::Default, UnknownModels::Pass) => Route::Pass,
                _ => Route::Reply(Reply::invalid(format!(
                    "the model's name does not stand in the first {} bytes of the message; write it first or raise peekLimit",
                    self.peek_limit
                ))),
            };
        }
        let field = if peek.protocol() == Protocol::OpenAi { "model" } else { "model_name" };
        match self.unknown_models {
            UnknownModels::Pass => Route::Pass,
            UnknownModels::Reject => {
                Route::Reply(Reply::invalid(format!("the message names no model: {field} is empty")))
            }
        }
    }

    /// The refusal of a body whose first bytes do not hold what routing needs, where that is configured.
    fn too_late(&self, peek: &Peek, needed: impl FnOnce() -> Needs) -> Option<Reply> {
        if self.on_peek_limit != OnPeekLimit::Reject || !peek.is_past_limit() {
            return None;
        }
        if self.mode == Mode::Strict {
            return Some(Reply::invalid(format!(
                "the body is longer than the {} bytes that this gateway reads to be sure of it; raise peekLimit",
                self.peek_limit
            )));
        }
        (!peek.message().found().contains(needed())).then(|| {
            let names: Vec<String> = self.parameter_names.iter().map(|name| shown(name)).collect();
            Reply::invalid(format!(
                "the first {} bytes of the body do not hold every parameter that routing may need ({}); write `parameters` before `inputs` or raise peekLimit",
                self.peek_limit,
                names.join(", ")
            ))
        })
    }
}

fn strict_refusal(peek: &Peek) -> Option<Reply> {
    peek.strict_fault().map(unreadable)
}

fn unreadable(fault: &str) -> Reply {
    Reply::invalid(format!("cannot read the request: {fault}"))
}

fn ambiguous() -> Reply {
    Reply::invalid(
        "the path can be read in several ways; write it without empty or dot segments and without percent-encoded slashes",
    )
}
