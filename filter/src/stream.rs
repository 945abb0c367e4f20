//! One request and its answer.

use std::rc::Rc;

use modelway_decision::header::{self, Headers};
#[cfg(feature = "body")]
use modelway_decision::rewrite::Tail;
use modelway_decision::{Peek, Route, Router, Start};

use crate::host::{self, HeaderMap};
use crate::plugin::Plugin;
use crate::settle::{Chosen, Outcome, settle};
#[cfg(feature = "body")]
use crate::settle::{add_tail, resize_content};

/// What the gateway is to do with what it has just shown.
#[repr(i32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// Let it go on.
    Continue = 0,
    /// Hold it.
    Pause = 1,
}

/// A stream's state, from its headers to its answer.
pub(crate) struct Stream {
    /// None only where the gateway runs streams of a plugin whose configuration it refused.
    plugin: Option<Rc<Plugin>>,
    request: Request,
}

enum Request {
    /// Nothing to do with the body.
    Settled(Option<Chosen>),
    /// Its headers wait for the body.
    #[cfg(feature = "body")]
    Held(Box<crate::held::Held>),
    /// Gone on, with something to add behind the message that follows.
    #[cfg(feature = "body")]
    Tailed { chosen: Option<Chosen>, tail: Tail },
    /// Let go by the timer, with nothing read.
    #[cfg(feature = "body")]
    Released { at: u64, chosen: Option<Chosen> },
}

// === impl Stream ===

impl Stream {
    pub(crate) fn new(plugin: Option<Rc<Plugin>>) -> Self {
        Self { plugin, request: Request::Settled(None) }
    }

    pub(crate) fn request_headers(&mut self, context_id: u32, end_of_stream: bool) -> Action {
        let Some(plugin) = self.plugin.clone() else { return Action::Continue };
        let head = match host::request_headers() {
            Ok(head) => head,
            Err(refused) => {
                host::error(&format!(
                    "the gateway does not show the request's headers ({refused}): it goes on as it is"
                ));
                return Action::Continue;
            }
        };
        remove_ours(&plugin.router, &head);
        let random = plugin.random();
        match plugin.router.start(&head, !end_of_stream, random) {
            Start::Known(route) => self.known(&head, route),
            Start::Read(peek) => self.read(&plugin, context_id, head, random, peek),
        }
    }

    /// Does what the headers alone have decided. What is to be added behind a message waits for the body.
    fn known(&mut self, head: &HeaderMap, mut route: Route<'_>) -> Action {
        let tail = match &mut route {
            Route::To(decision) => decision.tail.take(),
            _ => None,
        };
        let action = self.settled(settle(head, route, None));
        #[cfg(feature = "body")]
        if let (Some(tail), Request::Settled(chosen), Action::Continue) = (tail, &mut self.request, action) {
            if let Err(refused) = resize_content(head, |length| tail.new_length(length)) {
                host::error(&format!("the gateway does not take the new length ({refused})"));
            }
            self.request = Request::Tailed { chosen: chosen.take(), tail };
        }
        action
    }

    #[cfg(feature = "body")]
    fn read(&mut self, plugin: &Plugin, context_id: u32, head: HeaderMap, random: u64, peek: Peek) -> Action {
        match crate::held::Held::new(head, random, peek).hold(plugin, context_id) {
            Ok(held) => {
                self.request = Request::Held(held);
                Action::Pause
            }
            Err(outcome) => self.settled(outcome),
        }
    }

    /// Without the body tier the headers decide.
    #[cfg(not(feature = "body"))]
    fn read(&mut self, plugin: &Plugin, _: u32, head: HeaderMap, random: u64, _: Peek) -> Action {
        self.settled(settle(&head, plugin.router.finish(&head, None, random), None))
    }

    #[cfg(feature = "body")]
    pub(crate) fn request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        let Some(plugin) = &self.plugin else { return Action::Continue };
        match &mut self.request {
            Request::Settled(_) => Action::Continue,
            Request::Tailed { tail, .. } if tail.is_done() => Action::Continue,
            Request::Tailed { tail, .. } => add_tail(tail, size, end_of_stream),
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

    pub(crate) fn response_headers(&mut self) -> Action {
        label_answer(match &self.request {
            Request::Settled(chosen) => chosen.as_ref(),
            #[cfg(feature = "body")]
            Request::Released { chosen, .. } | Request::Tailed { chosen, .. } => chosen.as_ref(),
            #[cfg(feature = "body")]
            Request::Held(_) => None,
        });
        Action::Continue
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
fn remove_ours(router: &Router, head: &HeaderMap) {
    for (name, _) in head.iter() {
        if router.is_ours(name)
            && let Err(refused) = host::remove_request_header(name)
        {
            host::error(&format!("the gateway does not remove a client's copy of our header ({refused})"));
        }
    }
}

/// Sets what the client is to know, and removes what only the filter may say.
fn label_answer(chosen: Option<&Chosen>) {
    let value_of = |name: &str| match (name, chosen) {
        (header::MODEL, Some(chosen)) => Some(chosen.model()),
        (header::VARIANT, Some(chosen)) => chosen.variant(),
        _ => None,
    };
    for name in header::ONLY_OURS_IN_ANSWERS {
        let done = match value_of(name) {
            Some(value) => host::set_response_header(name, value),
            None => host::remove_response_header(name),
        };
        if let Err(refused) = done {
            host::error(&format!("the gateway does not change {name} of an answer ({refused})"));
        }
    }
}
