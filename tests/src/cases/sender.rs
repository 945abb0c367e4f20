//! What the gateway knows of a sender, and the cookie that the filter gives it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::check::{answered, passed, send, variant};
use super::{Case, cases};
use crate::answer::Answer;
use crate::gateway::{Gateway, Message, Request, Setup};

pub(super) fn cases() -> Vec<Case> {
    let halves = json!([{ "name": "stable", "weight": 1 }, { "name": "canary", "weight": 1 }]);
    let off = json!([{ "name": "stable", "weight": 1 }, { "name": "canary", "weight": 0 }]);
    let from =
        |addresses: Value| json!([{ "name": "r", "match": { "sourceAddresses": addresses }, "variant": "canary" }]);
    let routing = json!({ "models": [
        { "name": "near", "variants": off, "rules": from(json!(["10.0.0.0/8", "127.0.0.0/8"])) },
        { "name": "far", "variants": off, "rules": from(json!(["10.0.0.0/8", "127.0.0.2"])) },
        { "name": "by-address", "variants": halves, "sticky": { "by": ["sourceAddress"] } },
        { "name": "by-cookie", "variants": halves, "sticky": {
            "by": [{ "header": "x-user-id" }], "cookie": { "name": "mw-unit" },
        } },
    ] });
    cases![Setup::new(&routing);
        a_rule_goes_by_the_address_that_the_gateway_sees,
        one_address_is_one_unit_whatever_its_port,
        who_has_no_key_gets_a_cookie_and_sticks_by_it,
    ]
}

fn a_rule_goes_by_the_address_that_the_gateway_sees(gateway: &mut dyn Gateway) -> Result<()> {
    for (model, expected) in [("near", "canary"), ("far", "stable")] {
        let request = Request::get(&format!("/v2/models/{model}"));
        let seen = variant(passed(&send(gateway, request)?)?)?;
        ensure!(seen == expected, "{model} went to {seen}");
    }
    Ok(())
}

fn one_address_is_one_unit_whatever_its_port(gateway: &mut dyn Gateway) -> Result<()> {
    let request = || Request::get("/v2/models/by-address");
    let first = variant(passed(&send(gateway, request())?)?)?;
    for _ in 0..20 {
        let seen = variant(passed(&send(gateway, request())?)?)?;
        ensure!(seen == first, "went to {seen}, before to {first}");
    }
    Ok(())
}

fn cookies(answer: &Message) -> Vec<String> {
    answer.headers.all("set-cookie").map(|value| value.escape_ascii().to_string()).collect()
}

fn who_has_no_key_gets_a_cookie_and_sticks_by_it(gateway: &mut dyn Gateway) -> Result<()> {
    let request = || Request::get("/v2/models/by-cookie");
    for _ in 0..10 {
        let exchange = send(gateway, request().answered_by(&Answer::default().header("set-cookie", "other=1")))?;
        let first = variant(passed(&exchange)?)?;
        let set = cookies(answered(&exchange)?);
        ensure!(set.len() == 2 && set.iter().any(|cookie| cookie == "other=1"), "{set:?}");
        let own = set.iter().find(|cookie| cookie.starts_with("mw-unit=")).context("no cookie of ours")?;
        let pair = own.split(';').next().unwrap_or_default();
        for _ in 0..5 {
            let again = send(gateway, request().header("cookie", pair))?;
            let seen = variant(passed(&again)?)?;
            ensure!(seen == first, "with {pair} it went to {seen}, before to {first}");
            ensure!(cookies(answered(&again)?).is_empty(), "the cookie is set again");
        }
    }
    let known = send(gateway, request().header("x-user-id", "u1"))?;
    ensure!(cookies(answered(&known)?).is_empty(), "a cookie for somebody who has a key");
    Ok(())
}
