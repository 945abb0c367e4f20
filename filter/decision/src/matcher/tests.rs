use super::*;
use crate::router::Router;

/// Whether a rule with these conditions sends the request to its variant.
fn matches(conditions: &str, head: &[(&str, &str)]) -> bool {
    let config = format!(
        r#"{{"models": [{{"name": "m", "labels": {{"tier": "prod", "rank": 2}}, "variants": [{{"name": "a"}}, {{"name": "b", "weight": 0}}],
            "rules": [{{"name": "r", "match": {conditions}, "variant": "b"}}]}}]}}"#
    );
    let router = Router::from_json(config.as_bytes()).unwrap();
    let mut head = head.to_vec();
    for (name, default) in
        [(":method", "POST"), (":path", "/v2/models/m/infer"), (":authority", "models.example.com:8008")]
    {
        if !head.as_slice().iter().any(|(key, _)| *key == name) {
            head.push((name, default));
        }
    }
    match router.start(&head, false, 0) {
        crate::Start::Known(crate::Route::To(decision)) => decision.variant == Some(b"b"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_match_by_every_type() {
    for (condition, value, expected) in [
        (r#"{"name": "x", "value": "go"}"#, "go", true),
        (r#"{"name": "x", "value": "go"}"#, "gold", false),
        (r#"{"name": "x", "type": "Prefix", "value": "go"}"#, "gold", true),
        (r#"{"name": "x", "type": "RegularExpression", "value": "g[a-z]+d|x"}"#, "gold", true),
        (r#"{"name": "x", "type": "RegularExpression", "value": "g[a-z]+d|x"}"#, "golden", false),
        (r#"{"name": "x", "type": "In", "values": ["a", 7, true]}"#, "7", true),
        (r#"{"name": "x", "type": "In", "values": ["a", 7, true]}"#, "8", false),
        (r#"{"name": "x", "type": "Present"}"#, "", true),
    ] {
        assert_eq!(
            matches(&format!(r#"{{"headers": [{condition}]}}"#), &[("x", value)]),
            expected,
            "{condition} {value}"
        );
    }
    assert!(!matches(r#"{"headers": [{"name": "x", "type": "Present"}]}"#, &[]));
}

#[test]
fn every_part_of_a_request_can_be_matched() {
    let path = |path| (":path", path);
    for (conditions, head, expected) in [
        (r#"{"cookies": [{"name": "c", "value": "1"}]}"#, ("cookie", "a=0; c=1"), true),
        (r#"{"cookies": [{"name": "c", "value": "1"}]}"#, ("cookie", "c=2"), false),
        (r#"{"query": [{"name": "q d", "value": "a b"}]}"#, path("/v2/models/m/infer?x=1&q+d=a%20b#f"), true),
        (r#"{"query": [{"name": "q", "type": "Present"}]}"#, path("/v2/models/m/infer?x=q"), false),
        (r#"{"query": [{"name": "q", "type": "Present"}]}"#, path("/v2/models/m/infer"), false),
        (r#"{"methods": ["GET", "HEAD"]}"#, (":method", "HEAD"), true),
        (r#"{"methods": ["GET", "HEAD"]}"#, (":method", "POST"), false),
        (r#"{"hosts": ["Models.example.com"]}"#, (":authority", "models.Example.com:8008"), true),
        (r#"{"hosts": ["*.example.com"]}"#, (":authority", "a.b.example.com"), true),
        (r#"{"hosts": ["*.example.com"]}"#, (":authority", ".example.com"), false),
        (r#"{"hosts": ["*.example.com"]}"#, (":authority", "badexample.com"), false),
        (r#"{"hosts": ["[::1]"]}"#, (":authority", "[::1]:80"), true),
        (r#"{"hosts": ["[::1]"]}"#, (":authority", "[::1]"), true),
        (r#"{"protocols": ["REST"]}"#, ("x", ""), true),
        (r#"{"protocols": ["gRPC"]}"#, ("x", ""), false),
        (r#"{"versions": [3, "v4"]}"#, path("/v2/models/m/versions/3/infer"), true),
        (r#"{"versions": [3, "v4"]}"#, path("/v2/models/m/infer"), false),
        (
            r#"{"labels": [{"name": "tier", "value": "prod"}, {"name": "rank", "type": "In", "values": [1, 2]}]}"#,
            ("x", ""),
            true,
        ),
        (r#"{"labels": [{"name": "tier", "value": "dev"}]}"#, ("x", ""), false),
        (r#"{"not": {"headers": [{"name": "x", "value": "1"}]}}"#, ("x", "2"), true),
        (r#"{"not": {"headers": [{"name": "x", "value": "1"}]}}"#, ("x", "1"), false),
        (r#"{"not": {"not": {"headers": [{"name": "x", "value": "1"}]}}}"#, ("x", "1"), true),
        (
            r#"{"methods": ["POST"], "not": {"headers": [{"name": "x", "value": "1"}], "protocols": ["gRPC"]}}"#,
            ("x", "1"),
            true,
        ),
    ] {
        assert_eq!(matches(conditions, &[head]), expected, "{conditions} {head:?}");
    }
}

#[test]
fn a_parameter_that_is_not_read_yet_leaves_the_verdict_open_only_where_it_matters() {
    let open = Matcher {
        conditions: vec![
            Condition::Header(b"x".to_vec(), ValueMatch::Exact(b"1".to_vec())),
            Condition::Not(Matcher { conditions: vec![Condition::Parameter(3, ValueMatch::Exact(b"y".to_vec()))] }),
        ],
    };
    let verdict = |value: &str, message: Option<&Message>| {
        let head = [("x", value)];
        let facts = Facts { head: &head, protocol: Protocol::Rest, version: None, labels: &[] };
        open.verdict(&facts, message)
    };
    assert_eq!(verdict("2", None), Verdict::No);
    assert_eq!(verdict("1", None), Verdict::Depends(Needs::parameter(3)));
    assert_eq!(verdict("1", Some(&Message::default())), Verdict::Yes);
    let mut found = Message::default();
    found.set_parameter(3, b"y".to_vec());
    assert_eq!(verdict("1", Some(&found)), Verdict::No);
}
