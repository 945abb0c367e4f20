use super::*;

fn fault_of(json: &str) -> String {
    match Routing::from_json(json.as_bytes()) {
        Ok(_) => panic!("accepted: {json}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_empty_configuration_is_one_without_models() {
    for json in ["", "  \n", "{}"] {
        let routing = Routing::from_json(json.as_bytes()).unwrap();
        assert!(routing.models.is_empty());
        assert_eq!(routing.peek_limit, ByteSize(24 * 1024));
    }
}

#[test]
fn numbers_may_arrive_as_doubles() {
    let json = r#"{"peekLimit": 8192.0, "models": [{"name": "m", "variants": [{"name": "a", "weight": 10.0, "version": 2.0}]}]}"#;
    let routing = Routing::from_json(json.as_bytes()).unwrap();
    assert_eq!(routing.peek_limit, ByteSize(8192));
    let variant = &routing.models[0].variants[0];
    assert_eq!(variant.weight, Some(Weight(10.0)));
    assert_eq!(variant.version, Some(ScalarText("2".to_owned())));
}

#[test]
fn a_mistyped_field_is_refused_with_its_path_and_the_nearest_name() {
    assert_eq!(
        fault_of(r#"{"models": [{"name": "m"}, {"name": "n", "variants": [{"name": "a", "wieght": 1}]}]}"#),
        "models[1].variants[0].wieght: unknown field `wieght`; did you mean `weight`?"
    );
    assert_eq!(fault_of(r#"{"peek_limit": 1}"#), "peek_limit: unknown field `peek_limit`; did you mean `peekLimit`?");
    assert_eq!(
        fault_of(r#"{"admin": "deny"}"#),
        "admin: expected one of `Deny`, `Allow`, got `deny`; did you mean `Deny`?"
    );
    assert_eq!(
        fault_of(r#"{"models": [{"name": "m", "sticky": {"by": [{"heder": "x"}]}}]}"#),
        "models[0].sticky.by[0].heder: unknown field `heder`; did you mean `header`?"
    );
    assert!(
        fault_of(r#"{"models": [{"name": "m", "shadow": {"variant": "a", "x": 1}}]}"#)
            .ends_with("unknown field `x`, expected one of `variant`, `percent`")
    );
}

#[test]
fn all_faults_are_told_at_once() {
    assert_eq!(
        fault_of(
            r#"{"models": [{"nam": "m", "variants": [{"name": "a", "weight": "x", "ramp": {"steps": [{"at": "soon", "weight": 1}]}}]}], "peekLimit": {}, "dryRun": 1}"#
        ),
        "models[0]: expected `name`, which is missing; \
         models[0].variants[0].weight: expected a number, got a text; \
         models[0].variants[0].ramp.steps[0].at: expected a time such as 2026-11-23T09:00:00Z, got 'soon'; \
         models[0].nam: unknown field `nam`; did you mean `name`?; \
         peekLimit: expected a text, a number or a boolean, got an object; \
         dryRun: expected true or false, got a number"
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_its_path() {
    assert_eq!(fault_of(r#"{"models": [{"name": 5}]}"#), "models[0].name: expected a text, got a number");
    assert_eq!(
        fault_of(r#"{"models": [{"name": "m", "variants": [{"name": "a", "weight": -1}]}]}"#),
        "models[0].variants[0].weight: expected a number not below 0, got -1"
    );
    assert!(fault_of(r#"{"peekLimit": "24 parsecs"}"#).starts_with("peekLimit: expected a size such as 24KiB"));
    for (json, expected) in [
        (r#"{"models": {}}"#, "models: expected a list, got an object"),
        (r#"{"models": [[]]}"#, "models[0]: expected an object, got a list"),
        (r#"{"stats": {"mostNames": 1.5}}"#, "stats.mostNames: expected a whole number not below 0, got 1.5"),
        (
            r#"{"models": [{"name": "m", "sticky": {"by": ["user"]}}]}"#,
            "models[0].sticky.by[0]: expected one of `requestId`, `sourceAddress`, got `user`",
        ),
        (
            r#"{"models": [{"name": "m", "sticky": {"by": [{"header": "a", "cookie": "b"}]}}]}"#,
            "models[0].sticky.by[0]: expected one key, such as {header: x-user-id}",
        ),
        ("[]", "expected an object, got a list"),
        ("{} x", "byte 3: expected the end, got `x`"),
    ] {
        assert_eq!(fault_of(json), expected);
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let routing = Routing::from_json(br#"{"stats": {}, "exposures": {}, "models": [{"name": "m", "shadow": {"variant": "a"}}], "scopes": [{"name": "s"}], "claims": null}"#).unwrap();
    assert!(routing.stats.enabled && routing.stats.most_names == 200);
    assert_eq!(routing.claims.namespace, "envoy.filters.http.jwt_authn");
    assert!(routing.exposures.is_some_and(|exposures| exposures.sample == 1.0));
    assert!(routing.models[0].shadow.as_ref().is_some_and(|shadow| shadow.percent == 100.0));
}

#[test]
fn sizes_have_the_usual_units() {
    for (text, bytes) in [("24KiB", 24 * 1024), ("1MiB", 1 << 20), ("32kB", 32_000), ("512", 512), ("1.5Ki", 1536)] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
}
