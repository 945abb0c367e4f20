//! The shares that a configuration means, for each thing that is drawn by.

use modelway_decision::config::{Freeze, ModelEntry, Ramp, Routing, Variant};

use crate::split;

/// The entry that a name belongs to: an exact name or an alias wins over a pattern, a longer pattern over a shorter.
/// `None` where several scopes have the name: a decision does not tell which it was.
pub(super) fn entry<'r>(routing: &'r Routing, name: &str) -> Option<&'r ModelEntry> {
    let is_exact = |model: &&ModelEntry| model.name == name || model.aliases.iter().any(|alias| alias == name);
    let has_prefix = |model: &&ModelEntry| model.name.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix));
    let exact: Vec<&ModelEntry> = routing.models.iter().filter(is_exact).collect();
    match exact.as_slice() {
        [] if routing.scopes.is_empty() => {
            routing.models.iter().filter(has_prefix).max_by_key(|model| model.name.len())
        }
        [entry] => Some(entry),
        _ => None,
    }
}

/// A model's split, for requests that name no version; `None` where a default version narrows it.
pub(super) fn split(routing: &Routing, model: &ModelEntry, now: u64) -> Option<Vec<(String, f64)>> {
    if model.default_version.is_some() {
        return None;
    }
    let weights = model.variants.iter().map(|it| (it.name.clone(), weight(it, &routing.freezes, now)));
    Some(weights.collect())
}

/// A rule's split, of the model's own rule or of one over all models; `None` where several have the name.
pub(super) fn rule(routing: &Routing, model: &ModelEntry, name: &str) -> Option<Vec<(String, f64)>> {
    let own = model.rules.iter().filter(|rule| rule.name == name);
    let named: Vec<_> = own.chain(routing.rules.iter().filter(|rule| rule.name == name)).collect();
    match named.as_slice() {
        [rule] => Some(rule.split.iter().map(|share| (share.variant.clone(), share.weight.0)).collect()),
        _ => None,
    }
}

/// An experiment's arms; `None` where lists of units decide as well.
pub(super) fn arms(routing: &Routing, name: &str) -> Option<Vec<(String, f64)>> {
    let experiment = routing.experiments.iter().find(|experiment| experiment.name == name)?;
    let has_list = experiment.arms.iter().any(|arm| !arm.allow.is_empty());
    (!has_list).then(|| experiment.arms.iter().map(|arm| (arm.name.clone(), arm.weight.0)).collect())
}

/// A variant's weight at a time, in nanoseconds since 1970.
pub(super) fn weight(variant: &Variant, freezes: &[Freeze], now: u64) -> f64 {
    variant.ramp.as_ref().and_then(|ramp| ramp_weight(ramp, freezes, now)).unwrap_or_else(|| split::weight(variant))
}

/// `None` before the first step. A step that falls into a freeze comes at its end.
fn ramp_weight(ramp: &Ramp, freezes: &[Freeze], now: u64) -> Option<f64> {
    let mut freezes: Vec<&Freeze> = freezes.iter().chain(&ramp.freezes).collect();
    freezes.sort_by_key(|freeze| freeze.from.nanoseconds);
    let thawed = |at: u64| {
        freezes.iter().fold(at, |at, freeze| {
            let is_frozen = freeze.from.nanoseconds <= at && at < freeze.until.nanoseconds;
            if is_frozen { freeze.until.nanoseconds } else { at }
        })
    };
    let passed = ramp.steps.iter().take_while(|step| thawed(step.at.nanoseconds) <= now);
    passed.last().map(|step| step.weight.0)
}
