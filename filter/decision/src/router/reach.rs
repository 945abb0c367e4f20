//! How far into a request a configuration reaches.

use super::Router;
use super::entry::Entry;
use super::key::{Key, Keys};
use crate::matcher::{Condition, Matcher};

// === impl Router ===

impl Router {
    /// Whether an entry lists this name as it is, or as an alias.
    pub fn lists(&self, model: &[u8]) -> bool {
        self.names.lists(model)
    }

    /// Whether a key or a rule looks at something that only a request's body tells.
    pub fn reads_bodies(&self) -> bool {
        self.reads_bodies
    }
}

// === impl Entry ===

impl Entry {
    /// Whether a rule, a key or an experiment may look into a body.
    pub(super) fn may_read_bodies(&self) -> bool {
        self.keys.read_bodies()
            || self.rules.iter().any(|rule| rule.matcher.reads_bodies())
            || self.trials.iter().any(|trial| trial.experiment.keys.read_bodies())
    }

    /// Whether a rule looks at inputs, their encoding aside.
    pub(super) fn may_look_at_inputs(&self) -> bool {
        self.rules.iter().any(|rule| rule.matcher.looks_at_inputs())
    }
}

// === impl Keys ===

impl Keys {
    fn read_bodies(&self) -> bool {
        self.0.iter().any(|key| matches!(key, Key::Parameter(..) | Key::RequestId))
    }
}

// === impl Matcher ===

impl Matcher {
    fn reads_bodies(&self) -> bool {
        self.conditions.iter().any(|condition| match condition {
            Condition::Encodings(_) | Condition::Parameter(..) | Condition::Input(_) | Condition::BatchSize(_) => true,
            Condition::Not(matcher) => matcher.reads_bodies(),
            _ => false,
        })
    }

    fn looks_at_inputs(&self) -> bool {
        self.conditions.iter().any(|condition| match condition {
            Condition::Input(_) | Condition::BatchSize(_) => true,
            Condition::Not(matcher) => matcher.looks_at_inputs(),
            _ => false,
        })
    }
}
