//! Who would move if one configuration replaced another.
//!
//! With rendezvous hashing a user moves from one variant to another only if the other's weight grew
//! against the first one's; that holds for each pair, whatever the number of variants.

use std::collections::BTreeMap;

use modelway_decision::config::Routing;
use modelway_decision::{Decision, Reason};
use serde::Serialize;

use super::expected;

/// The moves of one model's users.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Movement {
    pub(super) model: String,
    pub(super) users: u64,
    pub(super) moved: u64,
    /// Variants of both configurations, in the order of the matrix.
    pub(super) variants: Vec<String>,
    /// From the row's variant to the column's.
    pub(super) matrix: Vec<Vec<u64>>,
    /// Moves between splits to a variant that did not grow against the one that was left. 0 unless
    /// the salt, a key or a name changed, or nothing sticks.
    pub(super) to_no_grower: u64,
    /// Moves that rules, experiments or versions cause.
    pub(super) not_by_split: u64,
    /// Requests without a key: drawn anew each time, so nobody stays where they are.
    pub(super) without_key: u64,
}

/// Where one request goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    model: String,
    variant: String,
    is_by_split: bool,
    has_key: bool,
}

#[derive(Debug, Default)]
pub(super) struct Moves {
    of_models: BTreeMap<String, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    pairs: BTreeMap<(String, String), u64>,
    by_split: BTreeMap<(String, String), u64>,
    not_by_split: u64,
    without_key: u64,
}

/// A request that does not go to a model.
const NOWHERE: &str = "(none)";

// === impl Place ===

impl Place {
    pub(super) fn of(decision: &Decision<'_>) -> Self {
        let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let why = &decision.why;
        Self {
            model: text(&decision.model),
            variant: decision.variant.map(text).unwrap_or_else(|| "(as asked for)".to_owned()),
            is_by_split: matches!(why.reason, Reason::Split | Reason::Only),
            has_key: why.draw.is_none() || why.key.is_some(),
        }
    }
}

// === impl Moves ===

impl Moves {
    pub(super) fn add(&mut self, before: Option<&Place>, after: Option<&Place>) {
        let Some(model) = before.or(after).map(|place| place.model.clone()) else { return };
        let counts = self.of_models.entry(model).or_default();
        let variant = |place: Option<&Place>| place.map_or(NOWHERE, |place| &place.variant).to_owned();
        let pair = (variant(before), variant(after));
        let is = |test: fn(&Place) -> bool| before.into_iter().chain(after).all(test);
        if !is(|place| place.has_key) {
            counts.without_key += 1;
        }
        if pair.0 != pair.1 {
            if is(|place| place.is_by_split) {
                *counts.by_split.entry(pair.clone()).or_default() += 1;
            } else {
                counts.not_by_split += 1;
            }
        }
        *counts.pairs.entry(pair).or_default() += 1;
    }

    pub(super) fn finish(self, before: &Routing, after: &Routing, now: u64) -> Vec<Movement> {
        self.of_models.into_iter().map(|(model, counts)| counts.movement(model, before, after, now)).collect()
    }
}

// === impl Counts ===

impl Counts {
    fn movement(self, model: String, before: &Routing, after: &Routing, now: u64) -> Movement {
        let weights = |routing: &Routing| {
            let split = expected::entry(routing, &model).and_then(|entry| expected::split(routing, entry, now));
            split.unwrap_or_default()
        };
        let (old, new) = (weights(before), weights(after));
        let mut variants: Vec<String> = Vec::new();
        let listed = old.iter().chain(&new).map(|(name, _)| name);
        for name in listed.chain(self.pairs.keys().flat_map(|(from, to)| [from, to])) {
            if !variants.contains(name) {
                variants.push(name.clone());
            }
        }
        let count =
            |from: &String, to: &String| self.pairs.get(&(from.clone(), to.clone())).copied().unwrap_or_default();
        let row = |from: &String| variants.iter().map(|to| count(from, to)).collect();
        let weight =
            |of: &[(String, f64)], name: &str| of.iter().find(|(it, _)| it == name).map_or(0.0, |(_, weight)| *weight);
        let grew = |from: &str, to: &str| weight(&new, to) * weight(&old, from) > weight(&old, to) * weight(&new, from);
        let not_grown = self.by_split.iter().filter(|((from, to), _)| !grew(from, to));
        Movement {
            users: self.pairs.values().sum(),
            moved: self.pairs.iter().filter(|((from, to), _)| from != to).map(|(_, count)| count).sum(),
            matrix: variants.iter().map(row).collect(),
            to_no_grower: not_grown.map(|(_, count)| count).sum(),
            not_by_split: self.not_by_split,
            without_key: self.without_key,
            model,
            variants,
        }
    }
}
