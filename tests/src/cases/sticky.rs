//! The split, and who always gets the same variant.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::check::{passed, variant};
use super::{Case, cases, standard};
use crate::gateway::{Gateway, Request};
use crate::inference::{InferParameter, ParameterChoice, frame, infer, with_parameter};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

pub(super) fn cases() -> Vec<Case> {
    cases![standard();
        without_a_key_the_split_holds,
        a_header_sticks,
        a_cookie_sticks,
        the_first_key_that_is_present_counts,
        a_parameter_of_a_json_body_sticks,
        a_parameter_of_a_grpc_message_sticks,
        rest_and_grpc_see_the_same_user_alike,
        a_parameter_rule_is_decided_from_the_body,
        parameters_of_inputs_are_not_the_requests,
    ]
}

fn variants_of(gateway: &mut dyn Gateway, requests: Vec<Request>) -> Result<Vec<String>> {
    let exchanges = gateway.exchange(requests)?;
    exchanges.iter().map(|exchange| passed(exchange).and_then(variant)).collect()
}

fn without_a_key_the_split_holds(gateway: &mut dyn Gateway) -> Result<()> {
    let mut canaries = 0;
    for _ in 0..10 {
        let requests = (0..100).map(|_| Request::get("/v2/models/digits")).collect();
        canaries += variants_of(gateway, requests)?.iter().filter(|variant| *variant == "canary").count();
    }
    // The 99.99 % interval of a binomial of 1,000 draws at 10 %.
    ensure!((64..=139).contains(&canaries), "{canaries} of 1000 went to the canary, expected about 100");
    Ok(())
}

/// Sends three requests for each of 120 users and says which variant each user saw; it must be one.
fn by_user(gateway: &mut dyn Gateway, request_of: impl Fn(&str) -> Request) -> Result<BTreeMap<String, String>> {
    let mut seen = BTreeMap::new();
    for round in 0..3 {
        let users: Vec<String> = (0..120).map(|number| format!("user-{number}")).collect();
        let variants = variants_of(gateway, users.iter().map(|user| request_of(user)).collect())?;
        for (user, variant) in users.into_iter().zip(variants) {
            let before = seen.entry(user.clone()).or_insert_with(|| variant.clone());
            ensure!(*before == variant, "{user} saw {before} before and {variant} in round {round}");
        }
    }
    let canaries = seen.values().filter(|variant| *variant == "canary").count();
    ensure!(canaries > 0 && canaries < seen.len(), "{canaries} of {} users went to the canary", seen.len());
    Ok(seen)
}

fn a_header_sticks(gateway: &mut dyn Gateway) -> Result<()> {
    by_user(gateway, |user| Request::get("/v2/models/digits").header("x-user-id", user)).map(drop)
}

fn a_cookie_sticks(gateway: &mut dyn Gateway) -> Result<()> {
    let by_header = by_user(gateway, |user| Request::get("/v2/models/digits").header("x-user-id", user))?;
    let by_cookie = by_user(gateway, |user| {
        Request::get("/v2/models/digits").header("cookie", format!("session=9; mw-user={user}; theme=dark"))
    })?;
    ensure!(by_header == by_cookie, "header and cookie assign the same keys differently");
    Ok(())
}

fn the_first_key_that_is_present_counts(gateway: &mut dyn Gateway) -> Result<()> {
    let alone = by_user(gateway, |user| Request::get("/v2/models/digits").header("x-user-id", user))?;
    let both = by_user(gateway, |user| {
        Request::get("/v2/models/digits").header("cookie", "mw-user=somebody-else").header("x-user-id", user)
    })?;
    ensure!(alone == both, "the cookie counted although the header was there");
    Ok(())
}

fn json_of(user: &str) -> Request {
    let body = format!(r#"{{"id":"1","parameters":{{"other":[1,{{"user_id":"x"}}],"user_id":"{user}"}},"inputs":[]}}"#);
    Request::post("/v2/models/tuned/infer", body)
}

fn grpc_of(user: &str) -> Request {
    Request::grpc(INFER, frame(&with_parameter(infer("tuned", 50), "user_id", user)))
}

fn a_parameter_of_a_json_body_sticks(gateway: &mut dyn Gateway) -> Result<()> {
    by_user(gateway, json_of).map(drop)
}

fn a_parameter_of_a_grpc_message_sticks(gateway: &mut dyn Gateway) -> Result<()> {
    by_user(gateway, grpc_of).map(drop)
}

fn rest_and_grpc_see_the_same_user_alike(gateway: &mut dyn Gateway) -> Result<()> {
    let rest = by_user(gateway, json_of)?;
    let grpc = by_user(gateway, grpc_of)?;
    ensure!(rest == grpc, "the same users get other variants over gRPC");
    // A number is the same key whether it is written in JSON or as an int64.
    let number = |user: &str| user.trim_start_matches("user-").parse::<i64>().unwrap_or_default();
    let json_number = by_user(gateway, |user| {
        Request::post("/v2/models/tuned/infer", format!(r#"{{"parameters":{{"user_id":{}}}}}"#, number(user)))
    })?;
    let grpc_number = by_user(gateway, |user| {
        let mut message = infer("tuned", 5);
        let choice = Some(ParameterChoice::Int64(number(user)));
        message.parameters.insert("user_id".to_owned(), InferParameter { choice });
        Request::grpc(INFER, frame(&message))
    })?;
    ensure!(json_number == grpc_number, "a number is another key over gRPC");
    Ok(())
}

fn a_parameter_rule_is_decided_from_the_body(gateway: &mut dyn Gateway) -> Result<()> {
    let rest = |body: &str| Request::post("/v2/models/ruled/infer", body);
    let grpc = |tier: &str| Request::grpc(INFER, frame(&with_parameter(infer("ruled", 50), "tier", tier)));
    let asked = vec![
        (rest(r#"{"parameters":{"tier":"beta"},"inputs":[]}"#), "canary"),
        (rest(r#"{"inputs":[{"data":[1,2,3]}],"parameters":{"tier":"beta"}}"#), "canary"),
        (rest(r#"{"parameters":{"tier":"alpha"}}"#), "stable"),
        (rest(r#"{"parameters":{"TIER":"beta"}}"#), "stable"),
        (rest(r#"{"inputs":[]}"#), "stable"),
        (rest("{\"parameters\":{\"t\\u0069er\":\"b\\u0065ta\"}}"), "canary"),
        (grpc("beta"), "canary"),
        (grpc("alpha"), "stable"),
        (Request::grpc(INFER, frame(&infer("ruled", 50))), "stable"),
    ];
    let (requests, expected): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let seen = variants_of(gateway, requests)?;
    ensure!(seen == expected, "went to {seen:?}, expected {expected:?}");
    Ok(())
}

fn parameters_of_inputs_are_not_the_requests(gateway: &mut dyn Gateway) -> Result<()> {
    let body = r#"{"inputs":[{"name":"a","parameters":{"tier":"beta"}}],"outputs":[{"parameters":{"tier":"beta"}}]}"#;
    let seen = variants_of(gateway, vec![Request::post("/v2/models/ruled/infer", body)])?;
    let first = seen.first().context("no variant")?;
    ensure!(first == "stable", "went to {first}");
    Ok(())
}
