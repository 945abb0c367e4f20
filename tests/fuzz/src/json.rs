//! JSON bodies: what routing reads of them is what serde_json reads, however they are cut.

use std::fmt;
use std::sync::LazyLock;

use modelway_decision::Router;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::gateway::{Request, Seen, router, send, send_in_pieces};
use crate::input::Input;

const PATH: &str = "/v2/models/tuned/infer";
const NAME: &str = "user_id";

/// A longer value counts as absent.
const LONGEST_VALUE: usize = 1024;
/// Near the depth that either reader follows they may differ.
const DEEPEST: usize = 120;

/// The members of protobuf's JSON that hold a parameter's value.
const TYPED: [&str; 10] = [
    "stringParam",
    "string_param",
    "int64Param",
    "int64_param",
    "boolParam",
    "bool_param",
    "doubleParam",
    "double_param",
    "uint64Param",
    "uint64_param",
];

/// A small limit, to fall into the middle of bodies, by both rules for what lies behind it.
static NARROW: LazyLock<[Router; 2]> = LazyLock::new(|| {
    ["Default", "Reject"].map(|on_limit| {
        router(&json!({ "peekLimit": 512, "onPeekLimit": on_limit, "models": [{
            "name": "tuned", "variants": [{ "name": "a" }, { "name": "b" }],
            "sticky": { "by": [{ "parameter": NAME }, { "parameter": "region" }] },
        }] }))
    })
});

/// Refuses what has two readings.
static STRICT: LazyLock<Router> = LazyLock::new(|| {
    router(&json!({ "mode": "Strict", "peekLimit": "1MiB", "models": [{
        "name": "tuned", "variants": [{ "name": "a" }, { "name": "b" }], "sticky": { "by": [{ "parameter": NAME }] },
    }] }))
});

/// What a whole-document reader says of the parameter.
#[derive(Debug, Eq, PartialEq)]
pub enum Expected {
    /// There is none.
    Absent,
    /// It has this value.
    Text(String),
    /// Two readers may differ: a member comes twice, or the value is no scalar of either dialect.
    Open,
}

/// An object's members in order, those that come twice among them.
pub struct Members(pub Vec<(String, Box<RawValue>)>);

/// One input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let cuts = input.cuts();
    let body = input.rest();
    let request = Request::json(PATH, body);
    for router in NARROW.iter() {
        send_in_pieces(router, &request, &cuts);
    }
    if let Seen::Routed(_) = send_in_pieces(&STRICT, &request, &cuts) {
        has_one_reading(body);
    }
    let expected = expected(body);
    let value = match &expected {
        Expected::Open => return,
        Expected::Absent => "",
        Expected::Text(text) => text,
    };
    let seen = send(&asking_for(value), &request, &cuts);
    let variant = if expected == Expected::Absent { "none" } else { "exact" };
    assert_eq!(seen.variant(), Some(variant.as_bytes()), "{expected:?} in {}", body.escape_ascii());
}

/// A router whose variant says whether the parameter is there, and whether it has this value.
pub fn asking_for(value: &str) -> Router {
    let rule = |variant: &str, matches: Value| json!({ "name": variant, "match": { "parameters": [matches] }, "variant": variant });
    router(&json!({ "peekLimit": "1MiB", "models": [{
        "name": "tuned",
        "variants": [{ "name": "none" }, { "name": "exact", "weight": 0 }, { "name": "present", "weight": 0 }],
        "rules": [
            rule("exact", json!({ "name": NAME, "value": value })),
            rule("present", json!({ "name": NAME, "type": "Present" })),
        ],
    }] }))
}

fn expected(body: &[u8]) -> Expected {
    let deep = body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > DEEPEST;
    if deep || serde_json::from_slice::<Value>(body).is_err() {
        return Expected::Open;
    }
    let Some(members) = Members::of(body) else { return Expected::Absent };
    let parameters = match members.only("parameters") {
        Ok(Some(parameters)) => parameters,
        Ok(None) => return Expected::Absent,
        Err(()) => return Expected::Open,
    };
    let Some(parameters) = Members::of(parameters.get().as_bytes()) else { return Expected::Absent };
    let value = match parameters.only(NAME) {
        Ok(Some(value)) => value.get(),
        Ok(None) => return Expected::Absent,
        Err(()) => return Expected::Open,
    };
    let Some(typed) = Members::of(value.as_bytes()) else { return scalar(value) };
    match typed.0.as_slice() {
        [] => Expected::Absent,
        [(name, value)] if TYPED.contains(&name.as_str()) => scalar(value.get()),
        [_] => Expected::Absent,
        _ => Expected::Open,
    }
}

/// Where another reader takes what a strict gateway lets through, nothing in it comes twice.
fn has_one_reading(body: &[u8]) {
    let Some(members) = Members::of(body) else { return };
    members.are_different(body);
    if let Ok(Some(parameters)) = members.only("parameters")
        && let Some(parameters) = Members::of(parameters.get().as_bytes())
    {
        parameters.are_different(body);
    }
}

fn scalar(text: &str) -> Expected {
    let text = match serde_json::from_str(text) {
        Ok(Value::String(text)) => text,
        Ok(Value::Bool(value)) => value.to_string(),
        Ok(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        Ok(Value::Number(number)) => match number.as_f64() {
            // -0 is 0.
            Some(value) => (value + 0.0).to_string(),
            None => return Expected::Open,
        },
        _ => return Expected::Absent,
    };
    // A number's literal may be longer than its value.
    if text.len() > LONGEST_VALUE { Expected::Absent } else { Expected::Text(text) }
}

// === impl Members ===

impl Members {
    /// `None` for what is no object.
    pub fn of(json: &[u8]) -> Option<Self> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        serde_json::Deserializer::from_slice(json).deserialize_map(Object).ok()
    }

    fn are_different(&self, body: &[u8]) {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "{twice:?} comes twice in {}", body.escape_ascii());
    }

    /// The member of this name; an error if it comes twice.
    fn only(&self, name: &str) -> Result<Option<&RawValue>, ()> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Ok(Some(value)),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(()),
        }
    }
}
