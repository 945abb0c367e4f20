//! What of a request each rule and key looks at: its headers, or its body too.

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

use crate::mesh_file::Mesh;
use crate::yaml::Path;

/// Conditions and keys that the headers tell.
const IN_HEADERS: [&str; 15] = [
    "claim",
    "claims",
    "contentLength",
    "cookie",
    "cookies",
    "header",
    "headers",
    "hosts",
    "labels",
    "methods",
    "protocols",
    "query",
    "sourceAddress",
    "sourceAddresses",
    "versions",
];

/// What a filter needs of its gateway.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Tier {
    /// A stock WasmPlugin.
    Header,
    /// To hold headers until the body has told more: an EnvoyFilter.
    Body,
}

/// Rules and keys of a model or an experiment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Tiers {
    /// The model, `experiment NAME`, or `all models` for the rules over all.
    pub(super) name: String,
    pub(super) needs: Vec<Need>,
}

/// One rule or key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Need {
    pub(super) tier: Tier,
    /// In the file.
    pub(super) path: String,
    /// The rule's name or the key.
    pub(super) what: String,
}

/// The tiers of a routing that has no faults.
pub(super) fn of(mesh: &Mesh) -> Vec<Tiers> {
    let routing = &mesh.routing;
    let mut found = Vec::new();
    for (index, model) in list(routing, "models").iter().enumerate() {
        let path = mesh.path.clone().key("models").index(index);
        let mut needs = rules(model, &path);
        needs.extend(keys(model.pointer("/sticky/by"), &path.key("sticky")));
        let name = model.get("name").and_then(Value::as_str).unwrap_or_default();
        found.push(Tiers { name: name.to_owned(), needs });
    }
    for (index, experiment) in list(routing, "experiments").iter().enumerate() {
        let needs = keys(experiment.get("by"), &mesh.path.clone().key("experiments").index(index));
        let name = experiment.get("name").and_then(Value::as_str).unwrap_or_default();
        found.push(Tiers { name: format!("experiment {name}"), needs });
    }
    let over_all = rules(routing, &mesh.path);
    if !over_all.is_empty() {
        found.push(Tiers { name: "all models".to_owned(), needs: over_all });
    }
    found
}

fn rules(owner: &Value, path: &Path) -> Vec<Need> {
    let rules = list(owner, "rules").iter().enumerate();
    let need = |(index, rule): (usize, &Value)| Need {
        tier: rule.get("match").map_or(Tier::Header, of_conditions),
        path: path.clone().key("rules").index(index).to_string(),
        what: format!("rule {}", rule.get("name").and_then(Value::as_str).unwrap_or_default()),
    };
    rules.map(need).collect()
}

fn keys(keys: Option<&Value>, path: &Path) -> Vec<Need> {
    let keys = keys.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let need = |(index, key): (usize, &Value)| Need {
        tier: of_key(key),
        path: path.clone().key("by").index(index).to_string(),
        what: format!("key {}", words(key)),
    };
    keys.iter().enumerate().map(need).collect()
}

/// The tier of a rule's conditions: the highest of theirs.
pub(super) fn of_conditions(conditions: &Value) -> Tier {
    let members = conditions.as_object().into_iter().flatten();
    let tier = |(name, value): (&String, &Value)| match name.as_str() {
        "not" => of_conditions(value),
        // A header tells the length of the JSON before the bytes.
        "encodings" if *value == serde_json::json!(["Binary"]) => Tier::Header,
        name => of_name(name),
    };
    members.map(tier).max().unwrap_or(Tier::Header)
}

/// The tier of a sticky key.
pub(super) fn of_key(key: &Value) -> Tier {
    let names = key.as_object().into_iter().flat_map(|key| key.keys()).map(String::as_str).chain(key.as_str());
    names.map(of_name).max().unwrap_or(Tier::Header)
}

/// What is not known to stand in the headers has to be looked for in the body.
fn of_name(name: &str) -> Tier {
    if IN_HEADERS.contains(&name) { Tier::Header } else { Tier::Body }
}

/// `header x-user-id`.
pub(super) fn words(key: &Value) -> String {
    let Some(members) = key.as_object() else { return key.as_str().unwrap_or_default().to_owned() };
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    members.iter().map(|(kind, name)| format!("{kind} {}", word(name))).collect::<Vec<_>>().join(", ")
}

fn list<'v>(owner: &'v Value, name: &str) -> &'v [Value] {
    owner.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

// === impl Tier ===

impl Tier {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Body => "body",
        }
    }
}
