//! What the filter learns of a sender from the gateway: claims of a token that Envoy's `jwt_authn` has verified.

use anyhow::{Context as _, Result, ensure};
use modelway_tests::gateway::{EnvoyGateway, Gateway as _, Request, Setup};
use modelway_tests::host::filter_path;
use serde_json::{Value, json};

/// Signed with [`KEY`] (HS256): `{"iss":"tests","sub":"user-17","plan":"gold-one","number":42,"big":1234567890123,
/// "fraction":2.5,"admin":true,"roles":["tester","staff"],"nested":{"org":"a"},"empty":"","none":null,"nums":[1,2]}`.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6InVzZXItMTciLCJwbGFuIjoiZ29sZC1vbmUiLCJudW1iZXIiOjQyLCJiaWciOjEyMzQ1Njc4OTAxMjMsImZyYWN0aW9uIjoyLjUsImFkbWluIjp0cnVlLCJyb2xlcyI6WyJ0ZXN0ZXIiLCJzdGFmZiJdLCJuZXN0ZWQiOnsib3JnIjoiYSJ9LCJlbXB0eSI6IiIsIm5vbmUiOm51bGwsIm51bXMiOlsxLDJdfQ.RAVbXmh8YxqluABBqo9gsl3S9ZatPhU69OsRrFUKMN0";
/// `modelway-test-key-of-32-bytes-!!`.
const KEY: &str = "bW9kZWx3YXktdGVzdC1rZXktb2YtMzItYnl0ZXMtISE";

/// What each claim must read as; `None`: as none.
const CLAIMS: [(&str, Option<&str>); 12] = [
    ("sub", Some("user-17")),
    ("plan", Some("gold-one")),
    ("number", Some("42")),
    ("big", Some("1234567890123")),
    ("fraction", Some("2.5")),
    ("admin", Some("true")),
    ("roles", Some("tester,staff")),
    ("nums", Some("1,2")),
    ("empty", Some("")),
    ("nested", None),
    ("none", None),
    ("missing", None),
];

fn jwt_authn() -> Value {
    let keys = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "kid": "k", "k": KEY }] }).to_string();
    json!({ "name": "jwt", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": { "tests": {
            "issuer": "tests", "local_jwks": { "inline_string": keys }, "payload_in_metadata": "payload",
        } },
        "rules": [{ "match": { "prefix": "/" }, "requires": { "requires_any": { "requirements": [
            { "provider_name": "tests" }, { "allow_missing": {} },
        ] } } }],
    } })
}

/// A model for each claim: its canary is for those whose claim is right.
fn model((claim, value): (&str, Option<&str>)) -> Value {
    let condition = match value {
        Some(value) => json!({ "claims": [{ "name": claim, "value": value }] }),
        None => json!({ "not": { "claims": [{ "name": claim, "type": "Present" }] } }),
    };
    json!({
        "name": format!("by-{claim}"),
        "variants": [{ "name": "stable", "weight": 1 }, { "name": "canary", "weight": 0 }],
        "rules": [{ "name": "r", "match": condition, "variant": "canary" }],
    })
}

fn variant(gateway: &mut EnvoyGateway, request: Request) -> Result<String> {
    let exchange = gateway.exchange(vec![request])?.pop().context("lost")?;
    let answer = exchange.answer.with_context(|| format!("{:?}", exchange.failure))?;
    answer.headers.text("x-modelway-variant").with_context(|| format!("{:?}", answer.headers))
}

#[test]
fn rules_and_keys_go_by_the_claims_of_a_verified_token() -> Result<()> {
    let mut models: Vec<Value> = CLAIMS.into_iter().map(model).collect();
    let halves = json!([{ "name": "a" }, { "name": "b" }]);
    models.push(json!({ "name": "sticky", "variants": halves, "sticky": { "by": [{ "claim": "sub" }] } }));
    models.push(
        json!({ "name": "twin", "variants": halves, "sticky": { "by": [{ "header": "x-user" }], "salt": "sticky" } }),
    );
    let setup = Setup { filter_before: Some(jwt_authn().to_string()), ..Setup::new(&json!({ "models": models })) };
    let mut gateway = EnvoyGateway::start(&setup, &filter_path())?;
    let bearer = format!("Bearer {TOKEN}");

    for (claim, value) in CLAIMS {
        let path = format!("/v2/models/by-{claim}");
        let seen = variant(&mut gateway, Request::get(&path).header("authorization", &bearer))?;
        ensure!(seen == "canary", "{claim} is not {value:?}");
        let without = variant(&mut gateway, Request::get(&path))?;
        let expected = if value.is_some() { "stable" } else { "canary" };
        ensure!(without == expected, "{claim} without a token went to {without}");
    }
    // A claim is the same user as a header of the same text.
    let by_header = variant(&mut gateway, Request::get("/v2/models/twin").header("x-user", "user-17"))?;
    for _ in 0..20 {
        let seen = variant(&mut gateway, Request::get("/v2/models/sticky").header("authorization", &bearer))?;
        ensure!(seen == by_header, "the claim went to {seen}, the header to {by_header}");
    }
    Ok(())
}
