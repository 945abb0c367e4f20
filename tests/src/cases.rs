//! What the filter promises, as a table of cases that run against either gateway (docs of the promises: the routing
//! configuration and the headers of the contract).

mod admin;
mod answers;
mod bodies;
mod brakes;
mod check;
mod destinations;
mod dry_run;
mod experiments;
mod grpc;
mod headers;
mod hostile;
mod inputs;
mod modelmesh;
mod openai;
mod peek;
mod ramps;
mod rest;
mod rules;
mod scopes;
mod sender;
mod smuggling;
mod stats;
mod sticky;
mod strict;
mod testers;
mod transcoder;
mod unknown;
mod v1;
mod versions;
mod watchdog;

pub mod configuration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::gateway::{Gateway, Setup};

/// What a case does with a gateway.
pub type Run = fn(&mut dyn Gateway) -> Result<()>;

/// One promise.
#[derive(Clone)]
pub struct Case {
    /// The topic and the promise as a sentence.
    pub name: String,
    /// The gateway that it needs.
    pub setup: Setup,
    /// Fails where the promise is not kept.
    pub run: Run,
}

/// All cases.
pub fn all() -> Vec<Case> {
    let topics = [
        rest::cases(),
        grpc::cases(),
        headers::cases(),
        rules::cases(),
        experiments::cases(),
        ramps::cases(),
        brakes::cases(),
        versions::cases(),
        scopes::cases(),
        destinations::cases(),
        testers::cases(),
        dry_run::cases(),
        sticky::cases(),
        admin::cases(),
        answers::cases(),
        unknown::cases(),
        peek::cases(),
        bodies::cases(),
        watchdog::cases(),
        hostile::cases(),
        smuggling::cases(),
        inputs::cases(),
        openai::cases(),
        v1::cases(),
        strict::cases(),
        transcoder::cases(),
        modelmesh::cases(),
        sender::cases(),
        stats::cases(),
    ];
    topics.into_iter().flatten().collect()
}

/// A case named after its function.
fn case<F: Fn(&mut dyn Gateway) -> Result<()>>(setup: &Setup, _: F, run: Run) -> Case {
    let path = std::any::type_name::<F>();
    let name = path.split_once("cases::").map_or(path, |(_, name)| name);
    Case { name: name.to_owned(), setup: setup.clone(), run }
}

/// The cases of one setup, named after their functions.
macro_rules! cases {
    ($setup:expr; $($run:path),+ $(,)?) => {{
        let setup = $setup;
        vec![$($crate::cases::case(&setup, $run, $run)),+]
    }};
}
pub(crate) use cases;

/// The routing that most cases share.
fn routing() -> Value {
    let split = json!([{ "name": "stable", "weight": 50 }, { "name": "canary", "weight": 50 }]);
    json!({ "models": [
        {
            "name": "iris",
            "aliases": ["flowers"],
            "variants": [
                { "name": "stable", "model": "iris-v1", "weight": 1 },
                { "name": "canary", "model": "iris-v2", "version": "2", "weight": 0, "pool": "gpu", "affinity": "iris-base" },
            ],
            "rules": [
                { "name": "beta", "match": { "headers": [{ "name": "x-beta", "type": "Exact", "value": "true" }] }, "variant": "canary" },
                { "name": "gold", "match": { "headers": [{ "name": "x-tier", "type": "Prefix", "value": "gold-" }] }, "variant": "canary" },
                { "name": "forced", "match": { "headers": [{ "name": "x-canary", "type": "Present" }] }, "variant": "canary" },
            ],
        },
        { "name": "plain" },
        { "name": "tenant-a-*", "variants": [{ "name": "main", "pool": "a" }] },
        {
            "name": "digits",
            "variants": [
                { "name": "stable", "model": "digits-v1", "weight": 90 },
                { "name": "canary", "model": "digits-v2", "weight": 10 },
            ],
            "sticky": { "by": [{ "header": "x-user-id" }, { "cookie": "mw-user" }] },
        },
        { "name": "tuned", "variants": split, "sticky": { "by": [{ "parameter": "user_id" }] } },
        {
            "name": "ruled",
            "variants": [
                { "name": "stable", "model": "ruled-v1", "weight": 1 },
                { "name": "canary", "model": "ruled-v2", "weight": 0 },
            ],
            "rules": [
                { "name": "beta", "match": { "parameters": [{ "name": "tier", "type": "Exact", "value": "beta" }] }, "variant": "canary" },
            ],
        },
    ] })
}

/// The shared routing with one top-level field more.
fn routing_with(field: &str, value: impl Into<Value>) -> Value {
    let mut routing = routing();
    if let Some(fields) = routing.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
    routing
}

/// The setup that most cases share.
fn standard() -> Setup {
    Setup::new(&routing())
}
