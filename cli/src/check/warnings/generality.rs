//! Whether one rule's conditions match everything that another's match.
//!
//! Biased towards silence: what is not certain counts as no. A condition that this module does not
//! know is only covered by the same one.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use modelway_decision::config::{MatchKind, ScalarText};
use serde_json::{Map, Value};

/// Lists of named values, every one of which must hold.
const NAMED: [&str; 6] = ["claims", "cookies", "headers", "labels", "parameters", "query"];
/// Lists of values, one of which it must be.
const ANY_OF: [&str; 4] = ["hosts", "methods", "protocols", "versions"];

/// What a model's labels say of a rule.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Known {
    /// They are what it matches.
    Holds,
    /// This one is not.
    Never(String),
    /// A regular expression, which nobody looks into here.
    Unknown,
}

/// Whether `general` matches every request that `special` matches.
pub(super) fn covers(general: &Value, special: &Value) -> bool {
    let (Some(general), Some(special)) = (general.as_object(), special.as_object()) else { return general == special };
    general.iter().all(|(name, wanted)| {
        let given = special.get(name).unwrap_or(&Value::Null);
        match name.as_str() {
            _ if is_nothing(wanted) || wanted == given => true,
            "not" => !is_nothing(given) && covers(given, wanted),
            name if NAMED.contains(&name) => {
                items(wanted).iter().all(|wanted| items(given).iter().any(|given| covers_value(name, wanted, given)))
            }
            name if ANY_OF.contains(&name) => {
                let (wanted, given) = (texts(wanted), texts(given));
                !given.is_empty()
                    && given.iter().all(|given| wanted.iter().any(|wanted| covers_text(name, wanted, given)))
            }
            _ => false,
        }
    })
}

/// Whether the labels that a rule matches are the model's.
pub(super) fn labels(conditions: &Value, of_model: &BTreeMap<String, ScalarText>) -> Known {
    let mut known = Known::Holds;
    for wanted in conditions.get("labels").map(items).unwrap_or_default() {
        let Some(wanted) = Wanted::of(wanted) else { return Known::Unknown };
        let value = of_model.get(&wanted.name);
        let holds = match (value, wanted.kind) {
            (None, _) => false,
            (Some(_), MatchKind::RegularExpression) => {
                known = Known::Unknown;
                continue;
            }
            (Some(_), MatchKind::Present) => true,
            (Some(value), MatchKind::Prefix) => value.0.starts_with(wanted.value()),
            (Some(value), _) => wanted.values.contains(&value.0),
        };
        if !holds {
            return Known::Never(wanted.name);
        }
    }
    known
}

/// The conditions without those that [`labels`] has judged.
pub(super) fn without_labels(conditions: &Value) -> Value {
    let members = conditions.as_object().into_iter().flatten().filter(|(name, _)| *name != "labels");
    Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

/// A named value and what it must be, as it is written.
struct Wanted {
    name: String,
    kind: MatchKind,
    /// One for all kinds but `In` and `Present`.
    values: Vec<String>,
}

/// Whether every value that `special` takes is one that `general` takes.
fn covers_value(list: &str, general: &Value, special: &Value) -> bool {
    let (Some(general), Some(special)) = (Wanted::of(general), Wanted::of(special)) else { return general == special };
    let same_name =
        if list == "headers" { general.name.eq_ignore_ascii_case(&special.name) } else { general.name == special.name };
    let is_finite = matches!(special.kind, MatchKind::Exact | MatchKind::In);
    same_name
        && match (general.kind, special.kind) {
            (MatchKind::Present, _) => true,
            (MatchKind::Exact | MatchKind::In, _) if is_finite => {
                special.values.iter().all(|value| general.values.contains(value))
            }
            (MatchKind::Prefix, kind) if is_finite || kind == MatchKind::Prefix => {
                special.values.iter().all(|value| value.starts_with(general.value()))
            }
            (MatchKind::RegularExpression, MatchKind::RegularExpression) => general.values == special.values,
            _ => false,
        }
}

fn covers_text(list: &str, general: &str, special: &str) -> bool {
    if list != "hosts" {
        return general == special;
    }
    let (general, special) = (general.to_ascii_lowercase(), special.to_ascii_lowercase());
    general == special || general.strip_prefix('*').is_some_and(|suffix| special.ends_with(suffix) && special != suffix)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).iter().filter_map(text).collect()
}

/// A scalar as the text that the router compares with.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() => Some((double + 0.0).to_string()),
            _ => Some(number.to_string()),
        },
        _ => None,
    }
}

// === impl Wanted ===

impl Wanted {
    fn of(value: &Value) -> Option<Self> {
        let kind = match value.get("type").map_or(Some("Exact"), Value::as_str)? {
            "Exact" => MatchKind::Exact,
            "Prefix" => MatchKind::Prefix,
            "RegularExpression" => MatchKind::RegularExpression,
            "In" => MatchKind::In,
            "Present" => MatchKind::Present,
            _ => return None,
        };
        let values = if kind == MatchKind::In {
            texts(value.get("values")?)
        } else {
            value.get("value").and_then(text).into_iter().collect()
        };
        Some(Self { name: text(value.get("name")?)?, kind, values })
    }

    fn value(&self) -> &str {
        self.values.first().map(String::as_str).unwrap_or_default()
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.values().all(is_nothing),
        _ => false,
    }
}
