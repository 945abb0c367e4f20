//! Random configurations and random requests, the same for the same seed.
//!
//! Every request has a key (`x-user-id`), so that nothing is drawn at random and two gateways must agree.

use serde_json::{Value, json};

use crate::gateway::{Protocol, Request};
use crate::inference::{InferParameter, ModelInferRequest, ParameterChoice, frame, infer};

const MODELS: [&str; 5] = ["iris", "mnist", "tenant/fraud", "été", "iris.v2"];
const PATTERNS: [&str; 2] = ["tenant/*", "ir*"];
const NAMES: [&str; 4] = ["stable", "canary", "next", "gpu"];
const VERSIONS: [&str; 4] = ["1", "2", "10", "prod"];
const VALUES: [&str; 5] = ["gold", "gold-1", "silver", "7", ""];
const HEADERS: [&str; 3] = ["x-tier", "x-region", "user-agent"];
const PARAMETERS: [&str; 3] = ["tier", "user_id", "region"];
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// A small generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

// === impl Random ===

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A number from 0 to 1, without 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The numbers below the bound in any order.
    pub fn order_of(&mut self, bound: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..bound).collect();
        for place in (1..bound).rev() {
            order.swap(place, self.below(place + 1));
        }
        order
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one_of<T: Copy + Default>(&mut self, items: &[T]) -> T {
        items.get(self.below(items.len())).copied().unwrap_or_default()
    }

    /// A configuration that is accepted.
    pub fn routing(&mut self) -> Value {
        let mut models: Vec<Value> = Vec::new();
        let count = 1 + self.below(4);
        let mut names: Vec<&str> = MODELS.into_iter().take(count).collect();
        for pattern in PATTERNS {
            names.extend(self.chance(50).then_some(pattern));
        }
        for name in names {
            models.push(self.model(name));
        }
        let experiment = self.chance(40).then(|| self.experiment(&models)).flatten();
        json!({
            "models": models,
            "experiments": experiment.into_iter().collect::<Vec<_>>(),
            "unknownModels": self.one_of(&["Pass", "Reject"]),
            "rewrite": self.one_of(&["Auto", "Headers", "Always"]),
            "onPeekLimit": self.one_of(&["Default", "Reject"]),
            "pathPrefixes": if self.chance(30) { vec!["/serving"] } else { Vec::new() },
        })
    }

    fn model(&mut self, name: &str) -> Value {
        let count = 1 + self.below(NAMES.len());
        let variants: Vec<Value> = (0..count).map(|number| self.variant(number)).collect();
        let names = NAMES.get(..count).unwrap_or_default();
        let rules: Vec<Value> = (0..self.below(4)).map(|number| self.rule(number, names)).collect();
        let mut by = vec![json!({ "header": "x-user-id" })];
        if self.chance(40) {
            by.insert(0, json!({ "parameter": "user_id" }));
        }
        if self.chance(30) {
            by.insert(0, json!({ "cookie": "mw-user" }));
        }
        let mut model = json!({ "name": name, "variants": variants, "rules": rules, "sticky": { "by": by } });
        if self.chance(30) {
            model["sticky"]["salt"] = json!(self.next().to_string());
        }
        model
    }

    fn variant(&mut self, number: usize) -> Value {
        let name = NAMES.get(number).copied().unwrap_or_default();
        // The first always gets something.
        let weight = if number == 0 { 1 + self.below(90) } else { self.below(60) };
        let mut variant = json!({ "name": name, "weight": weight });
        if self.chance(60) {
            variant["model"] = json!(format!("{name}-{}", self.below(3)));
        }
        if self.chance(40) {
            variant["version"] = json!(self.one_of(&["1", "2", "10"]));
        }
        if self.chance(20) {
            variant["versionLabels"] = json!(["prod"]);
        }
        for field in ["pool", "affinity", "cluster"] {
            if self.chance(20) {
                variant[field] = json!(format!("{field}-{}", self.below(3)));
            }
        }
        variant
    }

    fn rule(&mut self, number: usize, names: &[&str]) -> Value {
        let mut rule = json!({ "name": format!("rule-{number}"), "match": self.conditions(true) });
        if self.chance(70) {
            rule["variant"] = json!(self.one_of(names));
        } else {
            let split: Vec<Value> =
                names.iter().map(|name| json!({ "variant": name, "weight": 1 + self.below(5) })).collect();
            rule["split"] = json!(split);
        }
        rule
    }

    fn conditions(&mut self, may_negate: bool) -> Value {
        let mut conditions = json!({});
        for _ in 0..=self.below(2) {
            match self.below(if may_negate { 7 } else { 6 }) {
                0 => conditions["headers"] = json!([self.matching(&HEADERS)]),
                1 => conditions["parameters"] = json!([self.matching(&PARAMETERS)]),
                2 => conditions["query"] = json!([self.matching(&["tier"])]),
                3 => conditions["protocols"] = json!([self.one_of(&["REST", "gRPC", "OpenAI", "V1"])]),
                4 => conditions["methods"] = json!([self.one_of(&["GET", "POST"])]),
                5 => conditions["versions"] = json!([self.one_of(&VERSIONS)]),
                _ => conditions["not"] = self.conditions(false),
            }
        }
        conditions
    }

    fn matching(&mut self, names: &[&str]) -> Value {
        let name = self.one_of(names);
        let value = self.one_of(&VALUES);
        match self.below(5) {
            0 => json!({ "name": name, "value": value }),
            1 => json!({ "name": name, "type": "Prefix", "value": "go" }),
            2 => json!({ "name": name, "type": "RegularExpression", "value": "(gold|[0-9]+)(-1)?" }),
            3 => json!({ "name": name, "type": "In", "values": ["silver", 7] }),
            _ => json!({ "name": name, "type": "Present" }),
        }
    }

    fn experiment(&mut self, models: &[Value]) -> Option<Value> {
        let model = models.get(self.below(models.len()))?;
        let variants = model["variants"].as_array()?;
        let arms: Vec<Value> = variants
            .iter()
            .enumerate()
            .map(|(number, variant)| {
                json!({ "name": format!("arm-{number}"), "variants": { (model["name"].as_str().unwrap_or_default()): variant["name"] } })
            })
            .collect();
        let (from, to) = (self.below(50), 50 + self.below(51));
        Some(json!({
            "name": "experiment", "by": [{ "header": "x-user-id" }], "traffic": { "from": from, "to": to },
            "holdOut": self.below(30), "arms": arms,
        }))
    }

    /// A request that may be for one of the models; `grpc` says how.
    pub fn request(&mut self, grpc: bool) -> Request {
        let name =
            if self.chance(85) { self.one_of(&MODELS) } else { self.one_of(&["unknown", "irsi", "tenant/x", "irma"]) };
        let version = if self.chance(25) { Some(self.one_of(&["1", "2", "10", "prod", "77"])) } else { None };
        let parameter = self.chance(50).then(|| (self.one_of(&PARAMETERS), self.one_of(&VALUES)));
        let request =
            if grpc { grpc_request(name, version, parameter) } else { self.rest_request(name, version, parameter) };
        let mut request = request.header("x-user-id", format!("user-{}", self.below(500)));
        if self.chance(20) {
            request = request.header("cookie", format!("a=b; mw-user=user-{}", self.below(500)));
        }
        for header in HEADERS {
            if self.chance(35) {
                let value = self.one_of(&VALUES);
                request = request.header(header, value);
            }
        }
        request
    }

    fn rest_request(&mut self, name: &str, version: Option<&str>, parameter: Option<(&str, &str)>) -> Request {
        let prefix = if self.chance(15) { "/serving" } else { "" };
        let query = if self.chance(20) { format!("?tier={}", self.one_of(&VALUES)) } else { String::new() };
        let escaped: String = name.bytes().map(escape).collect();
        let version = version.map(|version| format!("/versions/{version}")).unwrap_or_default();
        match self.below(8) {
            0 => Request::get(&format!("{prefix}/v2/models/{escaped}{version}/ready{query}")),
            1 => Request::post(&format!("{prefix}/v1/models/{escaped}:predict{query}"), r#"{"instances":[[1]]}"#),
            2 => {
                let body = json!({ "messages": [], "model": name, "user_id": parameter.map(|(_, value)| value) });
                Request::post(&format!("{prefix}/v1/chat/completions{query}"), body.to_string())
            }
            _ => {
                let mut body = json!({ "inputs": [{ "name": "x", "shape": [1], "datatype": "FP32", "data": [1.5] }] });
                if let Some((name, value)) = parameter {
                    body["parameters"] = json!({ (name): value });
                }
                let request =
                    Request::post(&format!("{prefix}/v2/models/{escaped}{version}/infer{query}"), body.to_string());
                if self.chance(30) { request.over(Protocol::Http2) } else { request }
            }
        }
    }
}

fn grpc_request(name: &str, version: Option<&str>, parameter: Option<(&str, &str)>) -> Request {
    let mut message = ModelInferRequest { model_version: version.unwrap_or_default().to_owned(), ..infer(name, 16) };
    if let Some((name, value)) = parameter {
        let value = InferParameter { choice: Some(ParameterChoice::String(value.to_owned())) };
        message.parameters.insert(name.to_owned(), value);
    }
    Request::grpc(INFER, frame(&message))
}

fn escape(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}
