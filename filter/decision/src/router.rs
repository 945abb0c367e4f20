//! The decision: from a call to the variant that serves it.

mod compile;
mod entry;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use self::entry::{Asking, Entry, Variant};
use crate::call::{Call, RestCall, can_be_header_value};
use crate::config::{Admin, ConfigError, OnPeekLimit, Protocol, Rewrite, Routing, UnknownModels};
use crate::header::Headers;
use crate::nearest::nearest;
use crate::parameter::{ParameterSet, Parameters};
use crate::peek::Peek;
use crate::read::Wanted;
use crate::reply::{Reply, shown};
use crate::rewrite;

/// A configuration, compiled: nothing in it needs checking any more.
#[derive(Debug)]
pub struct Router {
    entries: Vec<Entry>,
    exact: HashMap<Vec<u8>, usize>,
    /// Prefixes of names, the longest first.
    prefixes: Vec<(Vec<u8>, usize)>,
    parameter_names: Vec<Vec<u8>>,
    unknown_models: UnknownModels,
    rewrite: Rewrite,
    admin: Admin,
    peek_limit: usize,
    on_peek_limit: OnPeekLimit,
}

/// What to do once the headers are there.
#[derive(Debug)]
pub enum Start<'a> {
    /// The headers tell all.
    Known(Route<'a>),
    /// The body tells the rest: hold the headers and feed the peek.
    Read(Peek),
}

/// Where a request goes.
#[derive(Debug)]
pub enum Route<'a> {
    /// On, as it is: no call for a model, or none whose model could be read.
    Pass,
    /// Nowhere: this is the answer.
    Reply(Reply),
    /// To a model.
    To(Decision<'a>),
}

/// Where a call for a model goes, and what the headers of the contract say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision<'a> {
    /// The model by the name that was asked for.
    pub model: Cow<'a, [u8]>,
    /// The variant chosen; none for a model that is not listed.
    pub variant: Option<&'a [u8]>,
    /// The upstream's name of the model.
    pub target: Cow<'a, [u8]>,
    /// The variant's version, else the one asked for.
    pub version: Option<Cow<'a, [u8]>>,
    /// What the gateway hashes.
    pub affinity: Cow<'a, [u8]>,
    /// What a route may match.
    pub pool: Option<&'a [u8]>,
    /// The path to send on, where it changes.
    pub path: Option<Vec<u8>>,
    /// Whether the gRPC message's name and version are to be replaced.
    pub rewrites_message: bool,
}

/// Model and version as asked for.
#[derive(Clone)]
struct Asked<'a> {
    model: Cow<'a, [u8]>,
    version: Option<Cow<'a, [u8]>>,
}

/// What routing needs of a message, given the request's headers.
struct WantedBy<'a, H> {
    router: &'a Router,
    head: &'a H,
}

// === impl Router ===

impl Router {
    /// Reads and compiles a configuration; the error tells every fault with its path.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(&Routing::from_json(json)?)
    }

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
                Start::Known(self.route_rest(head, path, call, &Parameters::default(), random))
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
            (Call::Rest(call), None) => self.route_rest(head, path, call, &Parameters::default(), random),
            (Call::Rest(call), Some(peek)) => {
                let needed = || self.needed(head, Protocol::Rest, &call.model, call.version.as_deref());
                match self.too_late(peek, needed) {
                    Some(reply) => Route::Reply(reply),
                    None => self.route_rest(head, path, call, peek.parameters(), random),
                }
            }
            (Call::Grpc, Some(peek)) => self.route_grpc(head, peek, random),
            _ => Route::Pass,
        }
    }

    /// The number of a parameter that rules or keys look at.
    fn parameter_number(&self, name: &[u8]) -> Option<usize> {
        self.parameter_names.iter().position(|known| known == name)
    }

    /// The parameters that can matter for this model, given the headers.
    fn needed(&self, head: &impl Headers, protocol: Protocol, model: &[u8], version: Option<&[u8]>) -> ParameterSet {
        let asking = Asking { head, protocol, version };
        self.entry(model).map(|entry| entry.needed(&asking)).unwrap_or_default()
    }

    fn entry(&self, model: &[u8]) -> Option<&Entry> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, index)| index);
        self.exact.get(model).or_else(by_prefix).and_then(|index| self.entries.get(*index))
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
        parameters: &Parameters,
        random: u64,
    ) -> Route<'a> {
        let RestCall { model, version, span } = call;
        let asked = Asked { model, version };
        let mut decision = match self.decide(head, Protocol::Rest, asked.clone(), parameters, random) {
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
        match self.decide(head, Protocol::Grpc, asked.clone(), peek.parameters(), random) {
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
    fn too_late(&self, peek: &Peek, needed: impl FnOnce() -> ParameterSet) -> Option<Reply> {
        let is_refused = self.on_peek_limit == OnPeekLimit::Reject
            && peek.is_at_limit()
            && !peek.parameters().found().contains(needed());
        is_refused.then(|| {
            let names: Vec<String> = self.parameter_names.iter().map(|name| shown(name)).collect();
            Reply::invalid(format!(
                "the first {} bytes of the body do not hold every parameter that routing may need ({}); write `parameters` before `inputs` or raise peekLimit",
                self.peek_limit,
                names.join(", ")
            ))
        })
    }

    fn decide<'a>(
        &'a self,
        head: &impl Headers,
        protocol: Protocol,
        asked: Asked<'a>,
        parameters: &Parameters,
        random: u64,
    ) -> Result<Decision<'a>, Reply> {
        let Some(entry) = self.entry(&asked.model) else {
            return match self.unknown_models {
                UnknownModels::Pass => Ok(Decision::unlisted(asked)),
                UnknownModels::Reject => Err(self.no_such_model(&asked.model)),
            };
        };
        let asking = Asking { head, protocol, version: asked.version.as_deref() };
        match entry.choose(&asking, parameters, random) {
            Some(variant) => Ok(Decision::listed(asked, entry, variant)),
            None if self.unknown_models == UnknownModels::Pass => Ok(Decision::unlisted(asked)),
            None => Err(Reply::not_found(format!(
                "model '{}' has no version '{}', it has {}",
                shown(&asked.model),
                shown(asked.version.as_deref().unwrap_or_default()),
                entry.versions().map(|version| format!("'{}'", shown(version))).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    fn no_such_model(&self, model: &[u8]) -> Reply {
        /// Comparing is quadratic in the names' lengths: a stranger must not make it expensive.
        const MOST_COMPARED: usize = 256;
        let asked = shown(model);
        let known = self.entries.iter().take(MOST_COMPARED).filter_map(|entry| std::str::from_utf8(&entry.name).ok());
        match nearest(&asked, known) {
            Some(known) => Reply::not_found(format!("model '{asked}' is not known, did you mean '{known}'?")),
            None => Reply::not_found(format!("model '{asked}' is not known")),
        }
    }

    fn rewrites(&self, asked: &Asked<'_>, decision: &Decision<'_>) -> bool {
        match self.rewrite {
            Rewrite::Auto => asked.model != decision.target || asked.version != decision.version,
            Rewrite::Headers => false,
            Rewrite::Always => true,
        }
    }
}

// === impl WantedBy ===

impl<H: Headers> Wanted for WantedBy<'_, H> {
    fn parameter(&self, name: &[u8]) -> Option<usize> {
        self.router.parameter_number(name)
    }

    fn needed(&self, name: &[u8], version: Option<&[u8]>) -> ParameterSet {
        self.router.needed(self.head, Protocol::Grpc, name, version)
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    /// The name asked for is the upstream's own.
    fn unlisted(asked: Asked<'a>) -> Self {
        Self {
            variant: None,
            target: asked.model.clone(),
            affinity: asked.model.clone(),
            model: asked.model,
            version: asked.version,
            pool: None,
            path: None,
            rewrites_message: false,
        }
    }

    fn listed(asked: Asked<'a>, entry: &'a Entry, variant: &'a Variant) -> Self {
        let target: Cow<'a, [u8]> = match (&variant.model, entry.is_pattern) {
            (Some(model), _) => model.as_slice().into(),
            (None, true) => asked.model.clone(),
            (None, false) => entry.name.as_slice().into(),
        };
        Self {
            variant: Some(&variant.name),
            affinity: variant.affinity.as_deref().map_or_else(|| target.clone(), Cow::Borrowed),
            target,
            version: variant.version.as_deref().map(Cow::Borrowed).or(asked.version),
            model: asked.model,
            pool: variant.pool.as_deref(),
            path: None,
            rewrites_message: false,
        }
    }
}

fn ambiguous() -> Reply {
    Reply::invalid("the path can be read in several ways; write /v2/models/NAME/… without empty or dot segments")
}
