//! The filter's configurations under measurement.

use serde_json::{Value, json};

use crate::bodies::{MODEL, PARAMETER};

/// As many models as a large mesh has.
pub(crate) const MANY: usize = 10_000;

/// A sticky split between variants of the name that was asked for: nothing is rewritten.
pub(crate) fn header_tier() -> Value {
    json!({ "models": [{
        "name": MODEL,
        "variants": [{ "name": "stable", "weight": 90 }, { "name": "canary", "weight": 10 }],
        "sticky": { "by": [{ "header": "x-user-id" }] },
    }] })
}

/// The same between models of other names: the path or the message is rewritten.
pub(crate) fn rewrite() -> Value {
    json!({ "models": [{
        "name": MODEL,
        "variants": renamed(),
        "sticky": { "by": [{ "header": "x-user-id" }] },
    }] })
}

/// The key stands in the body.
pub(crate) fn key_in_body() -> Value {
    json!({ "models": [{
        "name": MODEL,
        "variants": renamed(),
        "sticky": { "by": [{ "parameter": PARAMETER }] },
    }] })
}

/// The same, wherever in the body it stands.
pub(crate) fn key_anywhere_in_body() -> Value {
    let mut routing = key_in_body();
    if let Some(routing) = routing.as_object_mut() {
        routing.insert("peekLimit".to_owned(), json!("4MiB"));
    }
    routing
}

/// Everything at once: labels, an alias, several keys, rules of every kind, of the model and over all of them, none of
/// which counts until the last, for a quarter of the users; an experiment for half of the others, a sticky split for the
/// rest.
pub(crate) fn all_policies() -> Value {
    json!({
        "models": [{
            "name": MODEL,
            "aliases": ["flowers"],
            "labels": { "tier": "prod", "format": "sklearn" },
            "variants": [
                { "name": "stable", "model": "iris-v1", "weight": 90 },
                { "name": "canary", "model": "iris-v2", "weight": 10, "pool": "cpu", "affinity": "iris" },
                { "name": "large", "model": "iris-large", "weight": 0, "pool": "gpu" },
            ],
            "sticky": { "by": [{ "header": "x-session" }, { "cookie": "mw-user" }, { "header": "x-user-id" }], "salt": "july" },
            "rules": [
                { "name": "testers", "match": { "headers": [{ "name": "x-beta", "value": "true" }] }, "variant": "canary" },
                { "name": "rings", "variant": "canary",
                  "match": { "cookies": [{ "name": "ring", "type": "In", "values": ["inner", "dogfood"] }], "methods": ["POST"] } },
                { "name": "forced", "variant": "large",
                  "match": { "query": [{ "name": "variant", "value": "large" }], "protocols": ["REST"] } },
                { "name": "robots", "variant": "stable",
                  "match": { "headers": [{ "name": "user-agent", "type": "RegularExpression", "value": "(Googlebot|bingbot)/.*" }] } },
            ],
        }],
        "rules": [
            { "name": "beta host", "variant": "canary",
              "match": { "hosts": ["*.beta.example.com"], "labels": [{ "name": "tier", "value": "prod" }] } },
            { "name": "signed in", "split": [{ "variant": "stable", "weight": 70 }, { "variant": "canary", "weight": 30 }],
              "match": { "headers": [{ "name": "x-user-id", "type": "Prefix", "value": "user-1" }], "not": { "query": [{ "name": "plain", "type": "Present" }] } } },
        ],
        "layers": [{ "name": "models", "holdOut": 5 }],
        "experiments": [{
            "name": "bigger leaves",
            "by": [{ "header": "x-user-id" }],
            "layer": "models",
            "traffic": { "to": 50 },
            "arms": [
                { "name": "control", "variants": { (MODEL): "stable" } },
                { "name": "bigger", "variants": { (MODEL): "canary" } },
            ],
        }],
    })
}

/// One model with a split.
pub(crate) fn one_model() -> Value {
    json!({ "models": [entry(&model_name(0))] })
}

/// Many models, each by its name.
pub(crate) fn many_models() -> Value {
    let models: Vec<Value> = (0..MANY).map(|number| entry(&model_name(number))).collect();
    json!({ "models": models })
}

/// The same models by one pattern.
pub(crate) fn many_models_by_pattern() -> Value {
    json!({ "models": [entry("tenant-*")] })
}

/// The name of one of many models.
pub(crate) fn model_name(number: usize) -> String {
    format!("tenant-{}-model-{number:05}", number % 97)
}

fn entry(name: &str) -> Value {
    json!({
        "name": name,
        "variants": [{ "name": "stable", "weight": 90 }, { "name": "canary", "weight": 10 }],
        "sticky": { "by": [{ "header": "x-user-id" }] },
    })
}

fn renamed() -> Value {
    json!([{ "name": "stable", "model": "iris-v1", "weight": 90 }, { "name": "canary", "model": "iris-v2", "weight": 10 }])
}
