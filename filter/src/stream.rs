//! One request and its answer.

use std::cell::RefCell;
use std::rc::Rc;

use modelway_decision::call::is_grpc;
use modelway_decision::header::{self, Headers};
use modelway_decision::rewrite::{Edit, Prefix, Tail};
use modelway_decision::{Decision, Dialect, Peek, Reply, Route, Start};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::body_tier::Hold;
use crate::host::{self, HeaderMap, Refused};
use crate::plugin::{Plugin, Watched};

/// A stream's state, from its headers to its answer.
pub(crate) struct Stream {
    context_id: u32,
    /// None only where the gateway runs streams of a plugin whose configuration it refused.
    plugin: Option<Rc<Plugin>>,
    request: Request,
}

enum Request {
    /// Nothing to do with the body.
    Settled(Option<Chosen>),
    /// Gone on, with something to add to the message that follows.
    Tailed(Option<Chosen>, Tail),
    /// Held, or held before.
    Held(Rc<RefCell<Held>>),
}

/// What the answer's headers will say.
struct Chosen {
    model: Vec<u8>,
    variant: Option<Vec<u8>>,
}

/// A request whose headers wait for its body. The timer reaches it too.
struct Held {
    head: HeaderMap,
    random: u64,
    stage: Stage,
}

// A held request is on the heap already, shared with the timer; another box would gain nothing.
#[allow(clippy::large_enum_variant)]
enum Stage {
    Waiting(Peek),
    /// Let go by the timer, with nothing read.
    Released {
        at: u64,
        chosen: Option<Chosen>,
    },
    Settled(Option<Chosen>),
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(context_id: u32, plugin: Option<Rc<Plugin>>) -> Self {
        Self { context_id, plugin, request: Request::Settled(None) }
    }

    fn hold(&mut self, plugin: &Rc<Plugin>, head: HeaderMap, peek: Peek, random: u64) -> Action {
        let now = host::now();
        let deadline = match plugin.body_tier.hold(now) {
            Hold::AsNeeded => None,
            Hold::Until(deadline) => Some(deadline),
            Hold::No => {
                let outcome = settle(&head, plugin.router.finish(&head, None, random), None);
                return self.settled(outcome);
            }
        };
        let held = Rc::new(RefCell::new(Held { head, random, stage: Stage::Waiting(peek) }));
        if let Some(deadline) = deadline {
            let watched: Rc<RefCell<dyn Watched>> = held.clone();
            plugin.watch(self.context_id, deadline, &watched);
        }
        self.request = Request::Held(held);
        Action::Pause
    }

    fn settled(&mut self, outcome: Outcome) -> Action {
        let (chosen, action) = outcome.parts();
        self.request = Request::Settled(chosen);
        action
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        let head = match host::request_headers() {
            Ok(head) => head,
            Err(refused) => {
                log::error!("the gateway does not show the request's headers ({refused:?}): it goes on as it is");
                return Action::Continue;
            }
        };
        remove_ours(&head);
        let random = plugin.random();
        match plugin.router.start(&head, !end_of_stream, random) {
            Start::Known(mut route) => {
                let tail = match &mut route {
                    Route::To(decision) => decision.tail.take(),
                    _ => None,
                };
                if let Some(Err(refused)) = tail.as_ref().map(|tail| resize_content(&head, |it| tail.new_length(it))) {
                    log::error!("the gateway does not take the new length ({refused:?})");
                }
                let (chosen, action) = settle(&head, route, None).parts();
                self.request = match tail {
                    Some(tail) => Request::Tailed(chosen, tail),
                    None => Request::Settled(chosen),
                };
                action
            }
            Start::Read(peek) => self.hold(&plugin, head, peek, random),
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match (&mut self.request, &self.plugin) {
            (Request::Held(held), Some(plugin)) => held.borrow_mut().body(plugin, size, end_of_stream),
            (Request::Tailed(_, tail), _) if !tail.is_done() => add_tail(tail, size, end_of_stream),
            _ => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let Request::Held(held) = &self.request else { return Action::Continue };
        let Some(plugin) = &self.plugin else { return Action::Continue };
        held.borrow_mut().decide(plugin)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        match &self.request {
            Request::Settled(chosen) | Request::Tailed(chosen, _) => label_answer(chosen.as_ref()),
            Request::Held(held) => match &held.borrow().stage {
                Stage::Released { chosen, .. } | Stage::Settled(chosen) => label_answer(chosen.as_ref()),
                Stage::Waiting(_) => label_answer(None),
            },
        }
        Action::Continue
    }
}

// === impl Held ===

impl Watched for Held {
    fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    fn release(&mut self, plugin: &Plugin, now: u64) {
        if !self.is_waiting() {
            return;
        }
        let (chosen, action) = settle(&self.head, plugin.router.finish(&self.head, None, self.random), None).parts();
        self.stage = Stage::Released { at: now, chosen };
        if action == Action::Continue
            && let Err(refused) = host::resume_request()
        {
            log::error!("the gateway does not let a held request go on ({refused:?})");
        }
    }
}

impl Held {
    fn body(&mut self, plugin: &Plugin, size: usize, end_of_stream: bool) -> Action {
        let peek = match &mut self.stage {
            Stage::Waiting(peek) => peek,
            Stage::Settled(_) => return Action::Continue,
            Stage::Released { at, chosen } => {
                plugin.body_tier.body_after_release(*at, host::now());
                self.stage = Stage::Settled(chosen.take());
                return Action::Continue;
            }
        };
        plugin.body_tier.body_while_held();
        let start = peek.taken();
        let length = size.saturating_sub(start).min(peek.room());
        let bytes = if length == 0 { Ok(Vec::new()) } else { host::request_body(start, length) };
        let is_enough = match bytes {
            Ok(bytes) => plugin.router.read(&self.head, peek, &bytes),
            Err(refused) => {
                log::error!("the gateway does not show the request's body ({refused:?})");
                true
            }
        };
        if is_enough || end_of_stream { self.decide(plugin) } else { Action::Pause }
    }

    fn decide(&mut self, plugin: &Plugin) -> Action {
        let Stage::Waiting(peek) = &self.stage else { return Action::Continue };
        let route = plugin.router.finish(&self.head, Some(peek), self.random);
        let (chosen, action) = settle(&self.head, route, Some(peek)).parts();
        self.stage = Stage::Settled(chosen);
        action
    }
}

/// What became of a request.
enum Outcome {
    GoesOn(Option<Chosen>),
    Answered,
}

impl Outcome {
    fn parts(self) -> (Option<Chosen>, Action) {
        match self {
            Self::GoesOn(chosen) => (chosen, Action::Continue),
            Self::Answered => (None, Action::Pause),
        }
    }
}

/// Does what the route says. A header that cannot be set fails the request: half a decision must
/// not reach an upstream.
fn settle(head: &HeaderMap, route: Route<'_>, peek: Option<&Peek>) -> Outcome {
    match route {
        Route::Pass => Outcome::GoesOn(None),
        Route::Reply(reply) => answer(&reply),
        Route::To(decision) => match apply(head, &decision, peek) {
            Ok(()) => {
                let variant = decision.variant.map(<[u8]>::to_vec);
                Outcome::GoesOn(Some(Chosen { model: decision.model.into_owned(), variant }))
            }
            Err(refused) => {
                log::error!("the gateway does not take the decision ({refused:?})");
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
        log::error!("the gateway does not send an answer of the filter ({refused:?})");
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
        log::warn!("a message is too long to be renamed: the upstream goes by the headers");
        return Ok(());
    };
    resize_content(head, |length| prefix.new_length(length))?;
    host::replace_request_body_start(prefix.replaces, &prefix.with)
}

/// Changes the content-length, where there is one.
fn resize_content(head: &HeaderMap, new: impl Fn(u64) -> u64) -> Result<(), Refused> {
    let length = head.first(b"content-length").and_then(|length| std::str::from_utf8(length).ok());
    match length.and_then(|length| length.parse().ok()) {
        Some(length) => host::set_request_header("content-length", new(length).to_string().as_bytes()),
        None => Ok(()),
    }
}

/// Adds to a message what its tail is to be, as it goes by.
fn add_tail(tail: &mut Tail, size: usize, end_of_stream: bool) -> Action {
    let done = tail.edit(size, end_of_stream, |count| host::request_body(0, count)).and_then(|edit| match edit {
        Edit::Keep => Ok(Action::Continue),
        Edit::Wait => Ok(Action::Pause),
        Edit::Refuse(reply) => Ok(answer(&reply).parts().1),
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
        log::error!("the gateway does not take an edit of the body ({refused:?})");
        let reply = Reply::internal("the gateway could not apply the routing decision");
        answer(&reply.in_dialect(Dialect::Grpc)).parts().1
    })
}

/// Removes every copy of our headers that the client sent.
fn remove_ours(head: &HeaderMap) {
    for (name, _) in head.iter() {
        if name.starts_with(header::PREFIX)
            && let Err(refused) = host::remove_request_header(name)
        {
            log::error!("the gateway does not remove a client's copy of our header ({refused:?})");
        }
    }
}

/// Sets what the client is to know, and removes what only the filter may say.
fn label_answer(chosen: Option<&Chosen>) {
    let value_of = |name: &str| match (name, chosen) {
        (header::MODEL, Some(chosen)) => Some(chosen.model.as_slice()),
        (header::VARIANT, Some(chosen)) => chosen.variant.as_deref(),
        _ => None,
    };
    for name in header::ONLY_OURS_IN_ANSWERS {
        let done = match value_of(name) {
            Some(value) => host::set_response_header(name, value),
            None => host::remove_response_header(name),
        };
        if let Err(refused) = done {
            log::error!("the gateway does not change {name} of an answer ({refused:?})");
        }
    }
}
