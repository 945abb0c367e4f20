//! Who got what, by what it was drawn by.

use std::collections::{BTreeMap, HashSet};

use modelway_decision::config::Routing;
use modelway_decision::{Decision, Reason};
use serde::Serialize;

use super::chi_squared::{self, Test};
use super::expected;

/// Below this p-value the shares are hardly those that were meant.
pub(super) const MISMATCH: f64 = 0.001;

/// The counts of one draw: a model's split, a rule's, or an experiment's.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    pub(super) model: String,
    /// `split`, `rule '…'`, `experiment '…'`, `version`, …
    pub(super) by: String,
    pub(super) requests: u64,
    pub(super) parts: Vec<Part>,
    /// Absent where nothing was drawn, or where what was meant is not one list of weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<Test>,
    /// Whether the shares are hardly those that were meant.
    pub(super) mismatch: bool,
}

/// A variant, or an experiment's arm.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) requests: u64,
    /// From 0 to 1.
    pub(super) share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meant: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    draws: BTreeMap<(String, Drawn), Counts>,
}

/// What a variant was chosen by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Drawn {
    Split,
    Rule(String),
    Experiment(String),
    Otherwise(&'static str),
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<String, u64>,
    /// Each unit once: the same user's next request is no new draw.
    units: BTreeMap<String, u64>,
    seen: HashSet<u64>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, decision: &Decision<'_>) {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let variant = decision.variant.map(text).unwrap_or_else(|| "(as asked for)".to_owned());
        let (drawn, name) = match decision.why.reason {
            Reason::Split => (Drawn::Split, variant),
            Reason::Rule(rule) => (Drawn::Rule(text(rule)), variant),
            Reason::Experiment { experiment, arm } => (Drawn::Experiment(text(experiment)), text(arm)),
            other => (Drawn::Otherwise(other.kind()), variant),
        };
        let counts = self.draws.entry((text(&decision.model), drawn)).or_default();
        *counts.requests.entry(name.clone()).or_default() += 1;
        let is_new = match (decision.why.draw, decision.why.key) {
            (Some(unit), Some(_)) => counts.seen.insert(unit),
            _ => true,
        };
        if is_new {
            *counts.units.entry(name).or_default() += 1;
        }
    }

    /// The shares, against what the configuration means at this time.
    pub(super) fn shares(self, routing: &Routing, now: u64) -> Vec<Share> {
        self.draws.into_iter().map(|((model, drawn), counts)| counts.share(model, &drawn, routing, now)).collect()
    }
}

// === impl Counts ===

impl Counts {
    fn share(self, model: String, drawn: &Drawn, routing: &Routing, now: u64) -> Share {
        let entry = expected::entry(routing, &model);
        let meant = match drawn {
            Drawn::Split => entry.and_then(|entry| expected::split(routing, entry, now)),
            Drawn::Rule(name) => entry.and_then(|entry| expected::rule(routing, entry, name)),
            Drawn::Experiment(name) => expected::arms(routing, name),
            Drawn::Otherwise(_) => None,
        };
        let meant = meant.filter(|meant| meant.len() > 1);
        let total: u64 = self.requests.values().sum();
        let weights: f64 = meant.iter().flatten().map(|(_, weight)| weight).sum();
        let names: Vec<String> = match &meant {
            // In the file's order.
            Some(meant) => meant.iter().map(|(name, _)| name.clone()).collect(),
            None => self.requests.keys().cloned().collect(),
        };
        let weight_of = |name: &String| meant.iter().flatten().find(|(it, _)| it == name).map(|(_, weight)| *weight);
        let parts = names.iter().map(|name| {
            let requests = self.requests.get(name).copied().unwrap_or_default();
            let share = requests as f64 / total as f64;
            Part { name: name.clone(), requests, share, meant: weight_of(name).map(|weight| weight / weights) }
        });
        let drawn_for =
            |name: &String| (self.units.get(name).copied().unwrap_or_default(), weight_of(name).unwrap_or_default());
        let test = meant.as_ref().and_then(|_| chi_squared::test(&names.iter().map(drawn_for).collect::<Vec<_>>()));
        Share {
            model,
            by: drawn.text(),
            requests: total,
            parts: parts.collect(),
            test,
            mismatch: test.is_some_and(|test| test.p < MISMATCH),
        }
    }
}

// === impl Drawn ===

impl Drawn {
    fn text(&self) -> String {
        match self {
            Self::Split => "split".to_owned(),
            Self::Rule(name) => format!("rule '{name}'"),
            Self::Experiment(name) => format!("experiment '{name}'"),
            Self::Otherwise(kind) => (*kind).to_owned(),
        }
    }
}
