//! Which rules a request can reach, and which variants.

use modelway_decision::config::{self, Routing};
use serde_json::Value;

use super::candidates::{self, Candidates};
use super::generality::{self, Known};
use crate::faults::Fault;
use crate::split;
use crate::yaml::{Path, Segment};

/// A rule as it counts for one model.
struct Rule<'r> {
    path: Path,
    conditions: &'r Value,
    /// Positions of variants, with weights.
    goals: Vec<(usize, f64)>,
    /// The sets of candidates, by position, in which it can match.
    possible: Vec<usize>,
    /// Of all models.
    is_over_all: bool,
}

/// What is wrong with what can be reached.
pub(super) struct Reach {
    pub(super) warnings: Vec<Fault>,
}

/// Why a rule never decides.
enum Never {
    NoRequest(String),
    Behind(Path),
}

// === impl Reach ===

impl Reach {
    /// `base`: the path of the routing in its file, for texts.
    pub(super) fn of(routing: &Routing, value: &Value, base: &Path) -> Self {
        let mut warnings = Vec::new();
        // For each rule over all models: whether some model gives it something to decide, else why not.
        let mut over_all: Vec<Option<Never>> = routing.rules.iter().map(|_| None).collect();
        let mut decides: Vec<bool> = routing.rules.iter().map(|_| false).collect();
        for (index, model) in routing.models.iter().enumerate() {
            let path = Path::default().key("models").index(index);
            let of_model = value.pointer(&format!("/models/{index}")).unwrap_or(&Value::Null);
            let candidates = candidates::of(model);
            let rules = rules(routing, value, model, of_model, &path, &candidates);
            let mut reached = vec![false; model.variants.len()];
            for (position, rule) in rules.iter().enumerate() {
                let never = never(rule, rules.get(..position).unwrap_or_default(), model);
                match (never, rule.is_over_all) {
                    (None, _) => {
                        mark_rule(rule, &candidates, &mut reached);
                        if let Some(decides) = global_position(rule).and_then(|position| decides.get_mut(position)) {
                            *decides = true;
                        }
                    }
                    (Some(never), false) => warnings.push(never.warning(rule.path.clone(), base)),
                    (Some(never), true) => {
                        if let Some(why) = global_position(rule).and_then(|position| over_all.get_mut(position)) {
                            *why = Some(never);
                        }
                    }
                }
            }
            let split: Vec<(usize, f64)> = model.variants.iter().map(split::greatest_weight).enumerate().collect();
            candidates.iter().for_each(|candidates| mark(&split, candidates, &mut reached));
            mark_named(routing, model, &mut reached);
            if routing.testers.is_some() {
                // A tester may ask for any.
                continue;
            }
            let unreached = reached.iter().enumerate().filter(|(_, reached)| !**reached);
            warnings.extend(unreached.map(|(position, _)| nobody_routes_to(model, position, &path)));
        }
        let never_decides = over_all.into_iter().zip(decides).enumerate().filter(|(_, (_, decides))| !decides);
        warnings.extend(
            never_decides
                .filter_map(|(index, (why, _))| Some(why?.warning(Path::default().key("rules").index(index), base))),
        );
        Self { warnings }
    }
}

fn nobody_routes_to(model: &config::ModelEntry, position: usize, path: &Path) -> Fault {
    let name = model.variants.get(position).map(|variant| variant.name.as_str()).unwrap_or_default();
    Fault {
        path: path.clone().key("variants").index(position),
        message: format!(
            "no request gets '{name}': its weight is 0, and no rule, no version and no experiment leads to it"
        ),
    }
}

/// A model's own rules, then those over all models that have its variants.
fn rules<'r>(
    routing: &'r Routing,
    value: &'r Value,
    model: &'r config::ModelEntry,
    of_model: &'r Value,
    path: &Path,
    candidates: &[Candidates],
) -> Vec<Rule<'r>> {
    let own = model
        .rules
        .iter()
        .enumerate()
        .map(|(index, rule)| (rule, of_model, path.clone().key("rules").index(index), false));
    let over_all = routing.rules.iter().enumerate();
    let over_all = over_all.map(|(index, rule)| (rule, value, Path::default().key("rules").index(index), true));
    let mut found = Vec::new();
    for (rule, owner, path, is_over_all) in own.chain(over_all) {
        let position_of = |name: &str| model.variants.iter().position(|variant| variant.name == name);
        let named = rule.variant.iter().map(|name| (name.as_str(), 1.0));
        let goals = named.chain(rule.split.iter().map(|share| (share.variant.as_str(), share.weight.0)));
        let goals: Option<Vec<_>> = goals.map(|(name, weight)| Some((position_of(name)?, weight))).collect();
        // A rule over all models counts for those that have its variants.
        let Some(goals) = goals else { continue };
        let Some(Segment::Index(index)) = path.0.last() else { continue };
        let conditions = owner.pointer(&format!("/rules/{index}/match")).unwrap_or(&Value::Null);
        let leads_to_one = |candidates: &Candidates| goals.iter().any(|(goal, _)| candidates.variants.contains(goal));
        let possible = candidates.iter().enumerate();
        let possible = possible.filter(|(_, set)| leads_to_one(set) && set.allows(&rule.conditions.versions, model));
        let possible = possible.map(|(position, _)| position).collect();
        found.push(Rule { path, conditions, goals, possible, is_over_all });
    }
    found
}

fn never(rule: &Rule<'_>, earlier: &[Rule<'_>], model: &config::ModelEntry) -> Option<Never> {
    if rule.possible.is_empty() {
        let goals = rule.goals.iter().filter_map(|(goal, _)| model.variants.get(*goal));
        let goals: Vec<String> = goals.map(|variant| format!("'{}'", variant.name)).collect();
        return Some(Never::NoRequest(format!(
            "a request for the versions that it matches cannot go to {}",
            goals.join(" or ")
        )));
    }
    if let Known::Never(label) = generality::labels(rule.conditions, &model.labels) {
        return Some(Never::NoRequest(format!("the model's label '{label}' is not what it matches")));
    }
    let hides = |other: &&Rule<'_>| {
        rule.possible.iter().all(|set| other.possible.contains(set))
            && generality::labels(other.conditions, &model.labels) == Known::Holds
            && generality::covers(
                &generality::without_labels(other.conditions),
                &generality::without_labels(rule.conditions),
            )
    };
    earlier.iter().find(hides).map(|other| Never::Behind(other.path.clone()))
}

fn mark_rule(rule: &Rule<'_>, candidates: &[Candidates], reached: &mut [bool]) {
    for candidates in rule.possible.iter().filter_map(|position| candidates.get(*position)) {
        mark(&rule.goals, candidates, reached);
    }
}

/// Marks who can win a split.
fn mark(split: &[(usize, f64)], candidates: &Candidates, reached: &mut [bool]) {
    for position in candidates.winners(split) {
        if let Some(reached) = reached.get_mut(position) {
            *reached = true;
        }
    }
}

/// Marks the variants that units of experiments get, and the one that gets copies.
fn mark_named(routing: &Routing, model: &config::ModelEntry, reached: &mut [bool]) {
    let arms = routing.experiments.iter().flat_map(|experiment| &experiment.arms);
    let named =
        arms.filter_map(|arm| arm.variants.get(&model.name)).chain(model.shadow.iter().map(|shadow| &shadow.variant));
    for name in named {
        let position = model.variants.iter().position(|variant| variant.name == *name);
        if let Some(reached) = position.and_then(|position| reached.get_mut(position)) {
            *reached = true;
        }
    }
}

fn global_position(rule: &Rule<'_>) -> Option<usize> {
    match rule.path.0.last() {
        Some(Segment::Index(index)) if rule.is_over_all => Some(*index),
        _ => None,
    }
}

// === impl Never ===

impl Never {
    fn warning(self, path: Path, base: &Path) -> Fault {
        let message = match self {
            Self::NoRequest(why) => format!("the rule never decides: {why}"),
            Self::Behind(earlier) => {
                let earlier = base.join(&earlier);
                format!("the rule never decides: {earlier} comes first and matches everything that it matches")
            }
        };
        Fault { path, message }
    }
}
