//! Configurations that are refused when they are loaded: the path of the fault and what was expected.

use serde_json::{Value, json};

/// A configuration with a fault, and the parts that the refusal must say.
pub struct Fault {
    /// What is wrong, as a sentence.
    pub name: &'static str,
    /// The configuration.
    pub routing: String,
    /// What the log must say.
    pub says: &'static [&'static str],
}

/// All faults.
pub fn faults() -> Vec<Fault> {
    let model = |model: Value| json!({ "models": [{ "name": "first" }, model] }).to_string();
    let variant = |variant: Value| model(json!({ "name": "iris", "variants": [{ "name": "stable" }, variant] }));
    let rule = |rule: Value| model(json!({ "name": "iris", "variants": [{ "name": "stable" }], "rules": [rule] }));
    let any = json!({ "headers": [{ "name": "x-beta", "type": "Present" }] });
    let fault = |name, routing, says| Fault { name, routing, says };
    vec![
        fault("text that is no JSON", "models: []".to_owned(), &["expected"]),
        fault("JSON that is cut short", r#"{"models":["#.to_owned(), &["expected a value"]),
        fault("a list at the top", "[]".to_owned(), &["expected"]),
        fault("an unknown field", json!({ "modles": [] }).to_string(), &["modles", "models"]),
        fault(
            "an unknown field of a variant",
            variant(json!({ "name": "b", "wieght": 1 })),
            &["models[1].variants[1]", "wieght", "weight"],
        ),
        fault(
            "a negative weight",
            variant(json!({ "name": "b", "weight": -1 })),
            &["models[1].variants[1].weight", "expected"],
        ),
        fault(
            "a weight that is a text",
            variant(json!({ "name": "b", "weight": "many" })),
            &["models[1].variants[1].weight", "expected"],
        ),
        fault(
            "two variants of one name",
            variant(json!({ "name": "stable" })),
            &["models[1].variants[1].name", "stable"],
        ),
        fault(
            "two models of one name",
            model(json!({ "name": "first" })),
            &["models[1].name", "first", "models[0].name"],
        ),
        fault(
            "an alias that is another model",
            model(json!({ "name": "iris", "aliases": ["first"] })),
            &["models[1].aliases[0]", "first"],
        ),
        fault("a model without a name", model(json!({ "aliases": [] })), &["models[1]", "name"]),
        fault("an empty name", model(json!({ "name": "" })), &["models[1].name", "expected"]),
        fault("a name that no header can carry", model(json!({ "name": "a\r\nb" })), &["models[1].name", "expected"]),
        fault(
            "no weight above zero",
            model(json!({ "name": "iris", "variants": [{ "name": "a", "weight": 0 }] })),
            &["models[1].variants", "weight"],
        ),
        fault(
            "a rule for a variant that does not exist",
            rule(json!({ "name": "r", "match": any, "variant": "stabel" })),
            &["models[1].rules[0].variant", "stabel", "stable"],
        ),
        fault(
            "a rule that matches nothing",
            rule(json!({ "name": "r", "match": {}, "variant": "stable" })),
            &["models[1].rules[0].match", "expected"],
        ),
        fault(
            "an unknown kind of match",
            rule(
                json!({ "name": "r", "match": { "headers": [{ "name": "x", "type": "Exakt", "value": "1" }] }, "variant": "stable" }),
            ),
            &["models[1].rules[0].match.headers[0].type", "Exakt", "Exact"],
        ),
        fault(
            "a rule that depends on a header that is removed",
            rule(
                json!({ "name": "r", "match": { "headers": [{ "name": "x-modelway-variant", "value": "1" }] }, "variant": "stable" }),
            ),
            &["models[1].rules[0].match.headers[0].name", "x-modelway-variant"],
        ),
        fault(
            "a sticky key of an unknown kind",
            model(json!({ "name": "iris", "sticky": { "by": [{ "heder": "x" }] } })),
            &["models[1].sticky.by[0]", "heder", "header"],
        ),
        fault(
            "a sticky without keys",
            model(json!({ "name": "iris", "sticky": { "by": [] } })),
            &["models[1].sticky.by", "expected"],
        ),
        fault(
            "a value that is not one of the words",
            json!({ "unknownModels": "Deny" }).to_string(),
            &["unknownModels", "Deny", "Pass", "Reject"],
        ),
        fault("a size that is none", json!({ "peekLimit": "24 parsecs" }).to_string(), &["peekLimit", "24KiB"]),
        fault(
            "a peek limit too small to find anything",
            json!({ "peekLimit": 10 }).to_string(),
            &["peekLimit", "expected"],
        ),
    ]
}
