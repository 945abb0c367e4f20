//! One request and its answer.

use std::rc::Rc;

use modelway_decision::brake::Ending;
use modelway_decision::header;
#[cfg(feature = "body")]
use modelway_decision::rewrite::Tail;
use modelway_decision::{Braked, Peek, Route, Router, Start};

use crate::chosen::Chosen;
use crate::head::Head;
use crate::host::{self, HeaderMap, Refused};
use crate::outcome;
use crate::plugin::Plugin;
#[cfg(feature = "body")]
use crate::settle::resize_content;
use crate::settle::{Outcome, settle};
use crate::stats;
#[cfg(feature = "body")]
use crate::tail::add_tail;

/// What the gateway is to do with what it has just shown.
#[repr(i32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Let it go on.
    Continue = 0,
    /// Hold it.
    Pause = 1,
}

/// A stream's state, from its headers to its end.
pub(crate) struct Stream {
    /// None only where the gateway runs streams of a plugin whose configuration it refused.
    plugin: Option<Rc<Plugin>>,
    request: Request,
    /// What is being done to the answer's body.
    #[cfg(feature = "body")]
    renaming: Option<modelway_decision::answer::Renaming>,
    /// Once it is known, and counted.
    outcome: Option<outcome::Outcome>,
}

enum Request {
    /// Nothing to do with the body.
    Settled(Option<Chosen>),
    /// Its headers wait for the body.
    #[cfg(feature = "body")]
    Held(crate::held::Held),
    /// Gone on, with something to add behind the message that follows.
    #[cfg(feature = "body")]
    Tailed { chosen: Option<Chosen>, tail: Box<Tail> },
    /// Let go by the timer, with nothing read.
    #[cfg(feature = "body")]
    Released { at: u64, chosen: Option<Chosen> },
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(plugin: Option<Rc<Plugin>>) -> Self {
        Self {
            plugin,
            request: Request::Settled(None),
            #[cfg(feature = "body")]
            renaming: None,
            outcome: None,
        }
    }

    pub(crate) fn request_headers(&mut self, context_id: u32, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        let headers = match host::request_headers() {
            Ok(headers) => headers,
            Err(refused) => {
                host::error(&format!(
                    "the gateway does not show the request's headers ({refused}): it goes on as it is"
                ));
                return Action::Continue;
            }
        };
        if !plugin.router.settings().dry_run {
            remove_ours(&plugin.router, &headers);
        }
        plugin.brakes.look(&plugin.router);
        let random = plugin.random();
        let head = Head::new(headers, plugin.clone());
        match plugin.router.start(&head, !end_of_stream, random) {
            Start::Known(route) => self.known(&plugin.router, &head, route),
            Start::Read(peek) => self.read(&plugin, context_id, head, random, peek),
        }
    }

    /// Does what the headers alone have decided. What is to be added behind a message waits for the body.
    #[cfg(feature = "body")]
    fn known(&mut self, router: &Router, head: &Head, mut route: Route<'_>) -> Action {
        let tail = match &mut route {
            Route::To(decision) if !router.settings().dry_run => decision.tail.take(),
            _ => None,
        };
        let action = self.settled(settle(router, head, route, None));
        if let (Some(tail), Request::Settled(chosen), Action::Continue) = (tail, &mut self.request, action) {
            if let Err(refused) = resize_content(head, |length| tail.new_length(length)) {
                host::error(&format!("the gateway does not take the new length ({refused})"));
            }
            self.request = Request::Tailed { chosen: chosen.take(), tail };
        }
        action
    }

    /// Does what the headers have decided. Without the body tier a message keeps the name that it has.
    #[cfg(not(feature = "body"))]
    fn known(&mut self, router: &Router, head: &Head, route: Route<'_>) -> Action {
        self.settled(settle(router, head, route, None))
    }

    #[cfg(feature = "body")]
    fn read(&mut self, plugin: &Plugin, context_id: u32, head: Head, random: u64, peek: Box<Peek>) -> Action {
        let held = crate::held::Held::new(head, random, peek);
        if held.may_wait(plugin, context_id) {
            self.request = Request::Held(held);
            return Action::Pause;
        }
        self.settled(held.decide_by_headers(plugin))
    }

    /// Without the body tier the headers decide.
    #[cfg(not(feature = "body"))]
    // As its twin with a body tier, which keeps the head.
    #[allow(clippy::needless_pass_by_value)]
    fn read(&mut self, plugin: &Plugin, _: u32, head: Head, random: u64, _: Box<Peek>) -> Action {
        stats::count_unread(&plugin.router, stats::NOT_SHOWN);
        let route = plugin.router.finish(&head, None, random);
        self.settled(settle(&plugin.router, &head, route, None))
    }

    #[cfg(feature = "body")]
    pub(crate) fn request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = &self.plugin else { return Action::Continue };
        match &mut self.request {
            Request::Settled(_) => Action::Continue,
            Request::Tailed { tail, .. } if tail.is_done() => Action::Continue,
            Request::Tailed { tail, .. } => add_tail(&plugin.router, tail, size, end_of_stream),
            Request::Held(held) => match held.read(plugin, size, end_of_stream) {
                Some(outcome) => self.settled(outcome),
                None => Action::Pause,
            },
            Request::Released { at, chosen } => {
                plugin.body_tier.body_after_release(*at, host::now());
                self.request = Request::Settled(chosen.take());
                Action::Continue
            }
        }
    }

    #[cfg(feature = "body")]
    pub(crate) fn request_trailers(&mut self) -> Action {
        let (Some(plugin), Request::Held(held)) = (&self.plugin, &self.request) else { return Action::Continue };
        let outcome = held.decide(plugin);
        self.settled(outcome)
    }

    /// Lets a held request go, routed by its headers. The stream must be the effective context.
    #[cfg(feature = "body")]
    pub(crate) fn release(&mut self, now: u64) {
        let (Some(plugin), Request::Held(held)) = (&self.plugin, &self.request) else { return };
        match held.decide_by_headers(plugin) {
            Outcome::GoesOn(chosen) => {
                self.request = Request::Released { at: now, chosen };
                if let Err(refused) = host::resume_request() {
                    host::error(&format!("the gateway does not let a held request go on ({refused})"));
                }
            }
            Outcome::Answered => self.request = Request::Settled(None),
        }
    }

    pub(crate) fn response_headers(&mut self, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        let done = host::response_headers().and_then(|answer| {
            let Some(chosen) = self.chosen() else { return remove_forged(&answer, None) };
            remove_forged(&answer, Some(chosen))?;
            label(chosen)?;
            if plugin.router.settings().dry_run {
                host::set_response_header(header::DRY_RUN.as_bytes(), b"true")?;
            }
            #[cfg(feature = "body")]
            let renaming = match &chosen.restoring {
                Some(restoring) if !end_of_stream => restoring.begin(chosen.protocol, chosen.model(), &answer)?,
                _ => None,
            };
            #[cfg(not(feature = "body"))]
            let _ = end_of_stream;
            if let Some(outcome) = outcome::Outcome::of_answer(chosen.protocol, &answer) {
                self.count(&plugin, outcome);
            }
            #[cfg(feature = "body")]
            {
                self.renaming = renaming;
            }
            Ok(())
        });
        if let Err(refused) = done {
            host::error(&format!("the gateway does not change an answer ({refused})"));
        }
        Action::Continue
    }

    #[cfg(feature = "body")]
    pub(crate) fn response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        match &mut self.renaming {
            Some(renaming) if !renaming.is_done() => crate::restore::rename(renaming, size, end_of_stream),
            _ => Action::Continue,
        }
    }

    /// A call of gRPC ends by its trailers.
    pub(crate) fn response_trailers(&mut self) -> Action {
        if let (None, Some(plugin), Some(_)) = (self.outcome, self.plugin.clone(), self.chosen()) {
            let status = host::response_trailer("grpc-status").unwrap_or_default();
            self.count(&plugin, outcome::Outcome::of_grpc(&status));
        }
        Action::Continue
    }

    /// The stream is over. Without an answer, or without the end of it, one side has left.
    pub(crate) fn end(&mut self) {
        let Some(plugin) = self.plugin.clone() else { return };
        let is_cut_short = self.outcome.is_none();
        if is_cut_short {
            self.count(&plugin, outcome::Outcome::Aborted);
        }
        let Some(chosen) = self.chosen() else { return };
        let Some(began) = chosen.began else { return };
        let now = host::now();
        let took = now.saturating_sub(began);
        if chosen.has_histogram {
            stats::record_latency(&plugin.router, chosen.labels(), took / 1_000_000);
        }
        if let Some(Braked { number, is_probe }) = chosen.brake {
            let failed = is_cut_short || self.outcome == Some(outcome::Outcome::ServerError);
            plugin.brakes.add(&plugin.router, number, Ending { failed, took, is_probe }, now);
        }
    }

    fn count(&mut self, plugin: &Plugin, outcome: outcome::Outcome) {
        if let Some(chosen) = self.chosen() {
            stats::count_request(&plugin.router, &plugin.series, chosen.labels(), chosen.protocol, outcome);
            self.outcome = Some(outcome);
        }
    }

    fn chosen(&self) -> Option<&Chosen> {
        match &self.request {
            Request::Settled(chosen) => chosen.as_ref(),
            #[cfg(feature = "body")]
            Request::Released { chosen, .. } | Request::Tailed { chosen, .. } => chosen.as_ref(),
            #[cfg(feature = "body")]
            Request::Held(_) => None,
        }
    }

    fn settled(&mut self, outcome: Outcome) -> Action {
        let (chosen, action) = match outcome {
            Outcome::GoesOn(chosen) => (chosen, Action::Continue),
            Outcome::Answered => (None, Action::Pause),
        };
        self.request = Request::Settled(chosen);
        action
    }
}

/// Removes every copy of our headers that the client sent.
fn remove_ours(router: &Router, headers: &HeaderMap) {
    for name in headers.names() {
        if router.is_ours(name)
            && let Err(refused) = host::remove_request_header(name)
        {
            host::error(&format!("the gateway does not remove a client's copy of our header ({refused})"));
        }
    }
}

/// Removes what only the filter may say, unless it is going to be set.
fn remove_forged(answer: &HeaderMap, chosen: Option<&Chosen>) -> Result<(), Refused> {
    for name in answer.names().filter(|name| is_only_ours(name)) {
        let is_set = chosen.is_some_and(|chosen| {
            name == header::MODEL.as_bytes() || (name == header::VARIANT.as_bytes() && chosen.variant().is_some())
        });
        if !is_set {
            host::remove_response_header(name)?;
        }
    }
    Ok(())
}

/// Whether no upstream may say this of an answer.
fn is_only_ours(name: &[u8]) -> bool {
    let always = header::ONLY_OURS_IN_ANSWERS.into_iter().map(str::as_bytes);
    header::may_be_ours(name) && always.chain([header::DRY_RUN.as_bytes(), header::EXPLAIN]).any(|ours| ours == name)
}

/// Sets what the client is to know.
fn label(chosen: &Chosen) -> Result<(), Refused> {
    host::set_response_header(header::MODEL.as_bytes(), chosen.model())?;
    if let Some(variant) = chosen.variant() {
        host::set_response_header(header::VARIANT.as_bytes(), variant)?;
    }
    if let Some(explanation) = &chosen.explanation {
        host::set_response_header(header::EXPLAIN, explanation.as_bytes())?;
    }
    match &chosen.set_cookie {
        Some(cookie) => host::add_response_header("set-cookie", cookie.as_bytes()),
        None => Ok(()),
    }
}
