//! A request whose headers wait for its body.

use std::cell::RefCell;

use modelway_decision::Peek;

use crate::body_tier::Hold;
use crate::head::Head;
use crate::host;
use crate::plugin::Plugin;
use crate::settle::{Body, Outcome, settle};
use crate::stats;

/// How often held requests are looked after while there are any that must be let go in time.
const TICK_MILLISECONDS: u32 = 20;

/// How much of a body is looked at first. Name, parameters and all of a small message stand here; copying more for
/// nothing would cost a large body dear.
const FIRST_LOOK: usize = 2048;

/// What is known of a held request.
pub(crate) struct Held {
    head: Head,
    random: u64,
    peek: Box<Peek>,
    /// What the first look has shown: what is rewritten mostly stands there.
    start: Vec<u8>,
}

/// Requests that must be let go by a time if they are still held then.
#[derive(Default)]
pub(crate) struct Watched(RefCell<Vec<Watch>>);

struct Watch {
    context_id: u32,
    deadline: u64,
}

// === impl Held ===

impl Held {
    pub(crate) fn new(head: Head, random: u64, peek: Box<Peek>) -> Self {
        Self { head, random, peek, start: Vec::new() }
    }

    /// Whether the request may be held, and is watched if it must not be for long; else its headers decide.
    pub(crate) fn may_wait(&self, plugin: &Plugin, context_id: u32) -> bool {
        match plugin.body_tier.hold(host::now()) {
            Hold::AsNeeded => {}
            Hold::Until(deadline) => plugin.watched.add(context_id, deadline),
            Hold::No => return false,
        }
        true
    }

    /// Reads what has come of the body; the outcome once that is enough.
    pub(crate) fn read(&mut self, plugin: &Plugin, size: usize, end_of_stream: bool) -> Option<Outcome> {
        plugin.body_tier.body_while_held();
        let is_enough = loop {
            let start = self.peek.taken();
            let most = if start == 0 { FIRST_LOOK } else { usize::MAX };
            let length = size.saturating_sub(start).min(self.peek.room()).min(most);
            let bytes = match if length == 0 { Ok(Vec::new()) } else { host::request_body(start, length) } {
                Ok(bytes) => bytes,
                Err(refused) => {
                    host::error(&format!("the gateway does not show the request's body ({refused})"));
                    break true;
                }
            };
            let is_enough = plugin.router.read(&self.head, &mut self.peek, &bytes);
            // A gateway that has nothing more to show, whatever it said, must not hold this worker.
            let is_nothing = bytes.is_empty();
            if start == 0 {
                self.start = bytes;
            }
            if is_enough || is_nothing {
                break is_enough;
            }
            self.peek.pass(size.saturating_sub(self.peek.taken()));
        };
        (is_enough || end_of_stream).then(|| self.decide(plugin))
    }

    /// The outcome with what was read.
    pub(crate) fn decide(&self, plugin: &Plugin) -> Outcome {
        if let Some(unread) = self.peek.unread() {
            stats::count_unread(&plugin.router, stats::reason(unread));
        }
        let route = plugin.router.finish(&self.head, Some(&self.peek), self.random);
        settle(&plugin.router, &self.head, route, Some(&Body { peek: &self.peek, start: &self.start }))
    }

    /// The outcome as if there were no body.
    pub(crate) fn decide_by_headers(&self, plugin: &Plugin) -> Outcome {
        stats::count_unread(&plugin.router, stats::NOT_SHOWN);
        let route = plugin.router.finish(&self.head, None, self.random);
        settle(&plugin.router, &self.head, route, None)
    }
}

// === impl Watched ===

impl Watched {
    fn add(&self, context_id: u32, deadline: u64) {
        let mut watched = self.0.borrow_mut();
        if watched.is_empty() {
            host::set_tick_period(TICK_MILLISECONDS);
        }
        watched.push(Watch { context_id, deadline });
    }

    /// Takes out what is due; the streams among them may be gone or decided.
    pub(crate) fn due(&self, now: u64) -> Vec<u32> {
        let mut due = Vec::new();
        let mut watched = self.0.borrow_mut();
        watched.retain(|request| {
            let is_due = request.deadline <= now;
            if is_due {
                due.push(request.context_id);
            }
            !is_due
        });
        if watched.is_empty() {
            host::set_tick_period(0);
        }
        due
    }
}
