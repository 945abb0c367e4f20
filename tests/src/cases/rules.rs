//! Rules: everything that they can match, over REST and gRPC, and where they can send a request.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::check::{pass, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer, with_parameter};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::new(&routing());
        every_part_of_a_request_can_be_matched,
        a_rule_matches_grpc_calls_by_the_same_words,
        a_rule_that_forbids_a_parameter_waits_for_the_body,
        a_rule_over_all_models_counts_where_its_variants_are,
        a_rule_may_have_a_split_of_its_own,
    ]
}

/// One model for each kind of condition; its canary gets what matches.
fn routing() -> Value {
    let conditions = [
        ("cookie", json!({ "cookies": [{ "name": "ring", "value": "inner" }] })),
        ("query", json!({ "query": [{ "name": "ring", "type": "In", "values": ["inner", 7] }] })),
        ("method", json!({ "methods": ["GET"] })),
        ("host", json!({ "hosts": ["*.beta.example"] })),
        ("protocol", json!({ "protocols": ["gRPC"] })),
        ("version", json!({ "versions": [7] })),
        (
            "pattern",
            json!({ "headers": [{ "name": "user-agent", "type": "RegularExpression", "value": "curl/[78]\\..*" }] }),
        ),
        ("not", json!({ "not": { "headers": [{ "name": "x-stay", "type": "Present" }] } })),
        ("forbidden", json!({ "not": { "parameters": [{ "name": "tier", "value": "free" }] } })),
    ];
    let variants = json!([{ "name": "stable" }, { "name": "canary", "weight": 0 }]);
    let mut models: Vec<Value> = conditions
        .into_iter()
        .map(|(name, matches)| {
            json!({ "name": name, "variants": variants,
                "rules": [{ "name": "only", "match": matches, "variant": "canary" }] })
        })
        .collect();
    models.push(json!({ "name": "labelled", "labels": { "tier": "prod" }, "variants": variants }));
    models.push(json!({ "name": "unlabelled", "variants": variants }));
    models.push(json!({ "name": "halves", "variants": [{ "name": "stable" }, { "name": "b", "weight": 0 }, { "name": "c", "weight": 0 }],
        "sticky": { "by": [{ "header": "x-user-id" }] },
        "rules": [{ "name": "half", "match": { "headers": [{ "name": "x-tier", "value": "gold" }] },
            "split": [{ "variant": "b" }, { "variant": "c" }] }] }));
    let over_all = json!({ "name": "prod", "match": { "labels": [{ "name": "tier", "value": "prod" }],
        "headers": [{ "name": "x-beta", "value": true }] }, "variant": "canary" });
    json!({ "models": models, "rules": [over_all] })
}

fn goes_to(gateway: &mut dyn Gateway, request: Request, expected: &str) -> Result<()> {
    let path = request.headers.text(":path").unwrap_or_default();
    let seen = variant(&pass(gateway, request)?)?;
    ensure!(seen == expected, "{path} went to {seen}, expected {expected}");
    Ok(())
}

fn every_part_of_a_request_can_be_matched(gateway: &mut dyn Gateway) -> Result<()> {
    let get = Request::get;
    let at_host = |host: &str| {
        let mut request = get("/v2/models/host");
        request.headers.replace(b":authority", host.as_bytes());
        request
    };
    for (request, expected) in [
        (get("/v2/models/cookie").header("cookie", "a=b; ring=inner"), "canary"),
        (get("/v2/models/cookie").header("cookie", "ring=outer"), "stable"),
        (get("/v2/models/query?x=1&ring=7"), "canary"),
        (get("/v2/models/query?ring=%69nner"), "canary"),
        (get("/v2/models/query?ring=8"), "stable"),
        (get("/v2/models/method"), "canary"),
        (Request::post("/v2/models/method/infer", "{}"), "stable"),
        (at_host("a.Beta.example:8008"), "canary"),
        (at_host("beta.example"), "stable"),
        (get("/v2/models/version/versions/7"), "canary"),
        (get("/v2/models/version/versions/8"), "stable"),
        (get("/v2/models/pattern").header("user-agent", "curl/8.1"), "canary"),
        (get("/v2/models/pattern").header("user-agent", "not curl/8.1"), "stable"),
        (get("/v2/models/pattern").header("user-agent", b"curl/8.\xff"), "canary"),
        (get("/v2/models/not"), "canary"),
        (get("/v2/models/not").header("x-stay", ""), "stable"),
        (get("/v2/models/protocol"), "stable"),
    ] {
        goes_to(gateway, request, expected)?;
    }
    Ok(())
}

fn a_rule_matches_grpc_calls_by_the_same_words(gateway: &mut dyn Gateway) -> Result<()> {
    let grpc = |model: &str| Request::grpc(INFER, frame(&infer(model, 10)));
    let mut asks_for_a_version = infer("version", 10);
    asks_for_a_version.model_version = "7".to_owned();
    for (request, expected) in [
        (grpc("protocol"), "canary"),
        (grpc("cookie").header("cookie", "ring=inner"), "canary"),
        (grpc("method"), "stable"),
        (grpc("pattern").header("user-agent", "curl/7."), "canary"),
        (Request::grpc(INFER, frame(&asks_for_a_version)), "canary"),
    ] {
        goes_to(gateway, request, expected)?;
    }
    Ok(())
}

fn a_rule_that_forbids_a_parameter_waits_for_the_body(gateway: &mut dyn Gateway) -> Result<()> {
    let rest = |body: &str| Request::post("/v2/models/forbidden/infer", body);
    for (request, expected) in [
        (rest(r#"{"inputs":[],"parameters":{"tier":"free"}}"#), "stable"),
        (rest(r#"{"inputs":[],"parameters":{"tier":"paid"}}"#), "canary"),
        (rest(r#"{"inputs":[]}"#), "canary"),
        (Request::grpc(INFER, frame(&with_parameter(infer("forbidden", 10), "tier", "free"))), "stable"),
        (Request::grpc(INFER, frame(&infer("forbidden", 10))), "canary"),
    ] {
        goes_to(gateway, request, expected)?;
    }
    Ok(())
}

fn a_rule_over_all_models_counts_where_its_variants_are(gateway: &mut dyn Gateway) -> Result<()> {
    for (model, expected) in [("labelled", "canary"), ("unlabelled", "stable")] {
        goes_to(gateway, Request::get(&format!("/v2/models/{model}")).header("x-beta", "true"), expected)?;
        goes_to(gateway, Request::get(&format!("/v2/models/{model}")), "stable")?;
    }
    Ok(())
}

fn a_rule_may_have_a_split_of_its_own(gateway: &mut dyn Gateway) -> Result<()> {
    let mut on_b = 0;
    for user in 0..60 {
        let ask = || Request::get("/v2/models/halves").header("x-user-id", user.to_string());
        let first = variant(&pass(gateway, ask().header("x-tier", "gold"))?)?;
        goes_to(gateway, ask().header("x-tier", "gold"), &first)?;
        goes_to(gateway, ask(), "stable")?;
        on_b += usize::from(first == "b");
    }
    // The users are always the same, and so is the count; far from the edges it is a split.
    ensure!((15..=45).contains(&on_b), "{on_b} of 60 users on b");
    Ok(())
}
