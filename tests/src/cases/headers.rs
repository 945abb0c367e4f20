//! Header rules, and headers that only the filter may set.

use anyhow::{Result, ensure};

use super::check::{answered, header_is, pass, passed, routed, send, variant};
use super::{Case, cases, standard};
use crate::gateway::{Gateway, Message, Request};
use crate::inference::{frame, infer};
use crate::upstream::SERVED;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const OURS: [&str; 8] = ["model", "variant", "target", "version", "affinity", "pool", "served", "of-the-future"];

pub(super) fn cases() -> Vec<Case> {
    cases![standard();
        a_rule_matches_a_header_exactly,
        a_rule_matches_the_beginning_of_a_header,
        a_rule_matches_a_header_that_is_there,
        rules_hold_for_grpc_too,
        a_header_that_comes_several_times_matches_if_one_of_its_values_does,
        what_a_client_sets_itself_has_no_effect_on_a_rest_call,
        what_a_client_sets_itself_has_no_effect_on_a_grpc_call,
        what_a_client_sets_itself_is_removed_from_every_request,
        the_client_is_told_model_and_variant_by_the_filter_alone,
        answers_to_other_calls_say_nothing_of_models,
        other_headers_are_left_alone,
    ]
}

fn get(name: &str, value: &str) -> Request {
    Request::get("/v2/models/iris").header(name, value)
}

fn variant_of(gateway: &mut dyn Gateway, request: Request) -> Result<String> {
    variant(&pass(gateway, request)?)
}

fn a_rule_matches_a_header_exactly(gateway: &mut dyn Gateway) -> Result<()> {
    for (value, expected) in
        [("true", "canary"), ("True", "stable"), ("true1", "stable"), ("tru", "stable"), ("", "stable")]
    {
        let seen = variant_of(gateway, get("x-beta", value))?;
        ensure!(seen == expected, "x-beta: {value} went to {seen}, expected {expected}");
    }
    Ok(())
}

fn a_rule_matches_the_beginning_of_a_header(gateway: &mut dyn Gateway) -> Result<()> {
    for (value, expected) in [("gold-7", "canary"), ("gold-", "canary"), ("gold", "stable"), ("old-gold-7", "stable")] {
        let seen = variant_of(gateway, get("x-tier", value))?;
        ensure!(seen == expected, "x-tier: {value} went to {seen}, expected {expected}");
    }
    Ok(())
}

fn a_rule_matches_a_header_that_is_there(gateway: &mut dyn Gateway) -> Result<()> {
    for value in ["", "no", "0"] {
        let seen = variant_of(gateway, get("x-canary", value))?;
        ensure!(seen == "canary", "x-canary: {value:?} went to {seen}");
    }
    Ok(())
}

fn rules_hold_for_grpc_too(gateway: &mut dyn Gateway) -> Result<()> {
    let request = Request::grpc(INFER, frame(&infer("iris", 10))).header("x-beta", "true");
    let upstream = pass(gateway, request)?;
    routed(&upstream, [Some("iris"), Some("canary"), Some("iris-v2"), Some("2"), Some("iris-base"), Some("gpu")])
}

fn a_header_that_comes_several_times_matches_if_one_of_its_values_does(gateway: &mut dyn Gateway) -> Result<()> {
    let seen = variant_of(gateway, get("x-beta", "false").header("x-beta", "true"))?;
    ensure!(seen == "canary", "went to {seen}");
    Ok(())
}

/// The request with a copy, or two, of everything that only the filter may say.
fn forged(mut request: Request) -> Request {
    for name in OURS {
        let name = format!("x-modelway-{name}");
        request = request.header(&name, "forged").header(&name, "canary");
    }
    request
}

fn no_forgery(message: &Message) -> Result<()> {
    for (name, value) in message.headers.iter().filter(|(name, _)| name.starts_with(b"x-modelway-")) {
        ensure!(value != b"forged", "{} has come through", name.escape_ascii());
    }
    for name in OURS {
        let copies = message.headers.all(&format!("x-modelway-{name}")).count();
        ensure!(copies <= 1, "{copies} copies of x-modelway-{name}");
    }
    Ok(())
}

fn what_a_client_sets_itself_has_no_effect_on_a_rest_call(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, forged(Request::post("/v2/models/iris/infer", "{}")))?;
    no_forgery(&upstream)?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])?;
    header_is(&upstream, crate::gateway::ROUTE_MARK, Some("default"))
}

fn what_a_client_sets_itself_has_no_effect_on_a_grpc_call(gateway: &mut dyn Gateway) -> Result<()> {
    let upstream = pass(gateway, forged(Request::grpc(INFER, frame(&infer("iris", 10)))))?;
    no_forgery(&upstream)?;
    routed(&upstream, [Some("iris"), Some("stable"), Some("iris-v1"), None, Some("iris-v1"), None])
}

fn what_a_client_sets_itself_is_removed_from_every_request(gateway: &mut dyn Gateway) -> Result<()> {
    let empty_grpc = Request::grpc("/inference.GRPCInferenceService/ServerLive", frame(&infer("", 0)));
    for request in
        [Request::get("/anything"), Request::post("/v1/chat/completions", "{}"), Request::get("/v2/models"), empty_grpc]
    {
        let upstream = pass(gateway, forged(request))?;
        for name in OURS {
            header_is(&upstream, &format!("x-modelway-{name}"), None)?;
        }
        header_is(&upstream, crate::gateway::ROUTE_MARK, Some("default"))?;
    }
    Ok(())
}

fn the_client_is_told_model_and_variant_by_the_filter_alone(gateway: &mut dyn Gateway) -> Result<()> {
    let rest = Request::post("/v2/models/flowers/infer", "{}").header("x-beta", "true");
    let grpc = Request::grpc(INFER, frame(&infer("flowers", 10))).header("x-beta", "true");
    for request in [rest, grpc] {
        let exchange = send(gateway, request)?;
        passed(&exchange)?;
        let answer = answered(&exchange)?;
        header_is(answer, "x-modelway-model", Some("flowers"))?;
        header_is(answer, "x-modelway-variant", Some("canary"))?;
        header_is(answer, "x-modelway-served", Some(SERVED))?;
    }
    Ok(())
}

fn answers_to_other_calls_say_nothing_of_models(gateway: &mut dyn Gateway) -> Result<()> {
    let exchange = send(gateway, Request::get("/anything"))?;
    let answer = answered(&exchange)?;
    header_is(answer, "x-modelway-model", None)?;
    header_is(answer, "x-modelway-variant", None)?;
    header_is(answer, "x-modelway-served", Some(SERVED))
}

fn other_headers_are_left_alone(gateway: &mut dyn Gateway) -> Result<()> {
    let request = Request::post("/v2/models/iris/infer", "{}")
        .header("inference-header-content-length", "12")
        .header("x-modelwayfarer", "kept")
        .header("x-model", "kept")
        .header("x-many", "one")
        .header("x-many", "two");
    let upstream = pass(gateway, request)?;
    header_is(&upstream, "inference-header-content-length", Some("12"))?;
    header_is(&upstream, "x-modelwayfarer", Some("kept"))?;
    header_is(&upstream, "x-model", Some("kept"))?;
    let many: Vec<String> = upstream.headers.all("x-many").map(|value| value.escape_ascii().to_string()).collect();
    ensure!(many.join(",") == "one,two", "x-many is {many:?}");
    Ok(())
}
