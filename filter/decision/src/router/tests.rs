mod policies;

use super::*;

type Pairs<'a> = Vec<(&'a str, &'a str)>;

fn router(json: &str) -> Router {
    Router::from_json(json.as_bytes()).unwrap()
}

fn refused(json: &str) -> String {
    Router::from_json(json.as_bytes()).unwrap_err().to_string()
}

fn demo() -> Router {
    router(
        r#"{"models": [{
            "name": "mnist", "aliases": ["digits"],
            "variants": [{"name": "stable", "model": "mnist-v1", "weight": 90}, {"name": "canary", "model": "mnist-v2", "version": 2, "weight": 10, "pool": "gpu", "affinity": "base"}],
            "sticky": {"by": [{"header": "X-User-Id"}, {"cookie": "mw-user"}, {"parameter": "user_id"}]},
            "rules": [
                {"name": "beta", "match": {"headers": [{"name": "X-Beta", "value": true}]}, "variant": "canary"},
                {"name": "tier", "match": {"headers": [{"name": "x-tier", "type": "Prefix", "value": "go"}], "parameters": [{"name": "region", "value": "eu"}]}, "variant": "canary"}
            ]}]}"#,
    )
}

fn head<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Pairs<'a> {
    [&[(":method", "POST"), (":path", path)][..], more].concat()
}

/// The variant, or what else became of the request.
fn variant_of(router: &Router, head: &Pairs<'_>, random: u64) -> String {
    match router.start(head, true, random) {
        Start::Known(route) => shown_route(route),
        Start::Read(_) => "read".to_owned(),
    }
}

fn shown_route(route: Route<'_>) -> String {
    match route {
        Route::Pass => "pass".to_owned(),
        Route::Reply(reply) => format!("{}: {}", reply.status, reply.message),
        Route::To(decision) => String::from_utf8_lossy(decision.variant.unwrap_or(b"unlisted")).into_owned(),
    }
}

fn decision<'a>(router: &'a Router, head: &'a Pairs<'a>) -> Decision<'a> {
    match router.start(head, false, 0) {
        Start::Known(Route::To(decision)) => decision,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_header_key_decides_without_the_body_and_always_the_same() {
    let router = demo();
    let head = head("/v2/models/mnist/infer", &[("x-user-id", "u-7")]);
    let first = variant_of(&router, &head, 1);
    assert_ne!(first, "read");
    assert!((0..100).all(|random| variant_of(&router, &head, random) == first));
}

#[test]
fn a_body_is_read_only_where_it_can_change_the_decision() {
    let router = demo();
    let path = "/v2/models/mnist/infer";
    assert_eq!(variant_of(&router, &head(path, &[]), 0), "read");
    assert_ne!(variant_of(&router, &head(path, &[("cookie", "mw-user=u")]), 0), "read");
    assert_eq!(variant_of(&router, &head(path, &[("x-beta", "true")]), 0), "canary");
    assert_eq!(variant_of(&router, &head(path, &[("x-user-id", "u"), ("x-tier", "gold")]), 0), "read");
    assert_eq!(variant_of(&router, &head("/v2/models/mnist/versions/2/infer", &[]), 0), "canary");
    assert!(matches!(router.start(&head(path, &[]), false, 0), Start::Known(Route::To(_))), "no body, nothing to read");
}

#[test]
fn an_alias_is_the_same_model_and_keeps_its_name() {
    let router = demo();
    let head = head("/v2/models/digits/infer?x=1", &[("x-beta", "true")]);
    let decision = decision(&router, &head);
    assert_eq!(&*decision.model, b"digits");
    assert_eq!(&*decision.target, b"mnist-v2");
    assert_eq!(decision.version.as_deref(), Some(&b"2"[..]));
    assert_eq!(decision.pool, Some(&b"gpu"[..]));
    assert_eq!(&*decision.affinity, b"base");
    assert_eq!(decision.path.as_deref(), Some(&b"/v2/models/mnist-v2/versions/2/infer?x=1"[..]));
}

#[test]
fn a_version_asked_for_goes_where_a_variant_has_it_or_leaves_it_to_the_upstream() {
    let router = demo();
    let request = head("/v2/models/mnist/versions/2/infer", &[]);
    assert_eq!(decision(&router, &request).variant, Some(&b"canary"[..]));
    let request = head("/v2/models/mnist/versions/7/infer", &[("x-beta", "true")]);
    let asked = decision(&router, &request);
    assert_eq!(asked.variant, Some(&b"stable"[..]), "the rule's variant does not have this version");
    assert_eq!(asked.path.as_deref(), Some(&b"/v2/models/mnist-v1/versions/7/infer"[..]));
}

#[test]
fn unknown_models_and_versions_pass_or_are_refused() {
    let models =
        r#""models": [{"name": "iris", "variants": [{"name": "a", "version": "1"}, {"name": "b", "version": "2"}]}]"#;
    let pass = router(&format!("{{{models}}}"));
    let unknown = head("/v2/models/irsi/infer", &[]);
    let passed = decision(&pass, &unknown);
    assert_eq!((passed.variant, &*passed.target, passed.path), (None, &b"irsi"[..], None));
    let version = head("/v2/models/iris/versions/9/infer", &[]);
    assert_eq!(decision(&pass, &version).version.as_deref(), Some(&b"9"[..]));

    let reject = router(&format!(r#"{{{models}, "unknownModels": "Reject"}}"#));
    assert_eq!(variant_of(&reject, &unknown, 0), "404: model 'irsi' is not known, did you mean 'iris'?");
    assert_eq!(variant_of(&reject, &version, 0), "404: model 'iris' has no version '9', it has '1', '2'");
}

#[test]
fn a_pattern_takes_every_name_that_begins_so() {
    let router = router(
        r#"{"models": [{"name": "a/*", "variants": [{"name": "wide", "pool": "w"}]}, {"name": "a/b/*", "variants": [{"name": "long"}]}, {"name": "a/b/c", "variants": [{"name": "exact"}]}], "unknownModels": "Reject"}"#,
    );
    for (model, variant) in [("a%2Fx", "wide"), ("a%2Fb%2Fx", "long"), ("a%2Fb%2Fc", "exact")] {
        let path = format!("/v2/models/{model}/infer");
        assert_eq!(variant_of(&router, &head(&path, &[]), 0), variant, "{path}");
    }
    let request = head("/v2/models/a%2Fx/infer", &[]);
    let wide = decision(&router, &request);
    assert_eq!((&*wide.target, wide.path), (&b"a/x"[..], None));
}

#[test]
fn administrative_calls_need_leave() {
    let call = head("/v2/repository/index", &[]);
    assert!(variant_of(&router("{}"), &call, 0).starts_with("403: "));
    assert_eq!(variant_of(&router(r#"{"admin": "Allow"}"#), &call, 0), "pass");
    assert!(variant_of(&router("{}"), &head("/v2/models/../models/x/infer", &[]), 0).starts_with("400: "));
}

#[test]
fn rewriting_can_be_left_to_the_headers_or_always_be_done() {
    let config = |rewrite: &str| {
        router(&format!(
            r#"{{"rewrite": "{rewrite}", "models": [{{"name": "m", "variants": [{{"name": "a", "model": "n"}}]}}]}}"#
        ))
    };
    let request = head("/v2/models/m/infer", &[]);
    assert_eq!(decision(&config("Headers"), &request).path, None);
    assert_eq!(decision(&config("Auto"), &request).path.as_deref(), Some(&b"/v2/models/n/infer"[..]));
    let request = head("/v2/models/%6E/infer", &[]);
    assert_eq!(decision(&config("Auto"), &request).path, None);
    assert_eq!(decision(&config("Always"), &request).path.as_deref(), Some(&b"/v2/models/n/infer"[..]));
}

#[test]
fn every_fault_of_a_configuration_is_told_with_its_path() {
    let faults = refused(
        r#"{"peekLimit": 100, "models": [
            {"name": "m", "aliases": ["m"], "variants": [{"name": "a", "weight": 0}, {"name": "a", "weight": 0}],
             "sticky": {"by": []},
             "rules": [{"name": "r", "match": {}, "variant": "aa"},
                       {"name": "s", "match": {"headers": [{"name": "x-modelway-target", "value": "x"}, {"name": "a b", "value": "x"}, {"name": "ok"}]}, "variant": "a"}]},
            {"name": "", "variants": [{"name": "x\ny"}]}, {"name": "a*b"}]}"#,
    );
    for expected in [
        "models[0].aliases[0]: the name 'm' already stands at models[0].name",
        "models[0].variants: expected a weight above 0",
        "models[0].variants[1].name: the variant 'a' already exists",
        "models[0].sticky.by: expected at least one key",
        "models[0].rules[0].match: expected conditions",
        "models[0].rules[0].variant: there is no variant 'aa'; did you mean 'a'?",
        "models[0].rules[1].match.headers[0].name: 'x-modelway-target' is removed from every request",
        "models[0].rules[1].match.headers[1].name: expected a header's name, got 'a b'",
        "models[0].rules[1].match.headers[2].value: expected a value, or type Present",
        "models[1].name: expected a name, got an empty text",
        "models[1].variants[0].name: expected a name without control characters and spaces at its ends",
        "models[2].name: expected `*` only at the end of a name",
        "peekLimit: expected at least 512 bytes, got 100",
    ] {
        assert!(faults.contains(expected), "missing: {expected}\nin: {faults}");
    }
}

#[test]
fn a_rule_over_all_models_counts_where_its_variants_are_and_behind_their_own_rules() {
    let router = router(
        r#"{"rules": [{"name": "beta", "match": {"headers": [{"name": "x-beta", "value": true}], "not": {"labels": [{"name": "frozen", "type": "Present"}]}}, "variant": "canary"}],
            "models": [
                {"name": "a", "variants": [{"name": "stable"}, {"name": "canary", "weight": 0}]},
                {"name": "b"},
                {"name": "c", "labels": {"frozen": true}, "variants": [{"name": "stable"}, {"name": "canary", "weight": 0}]},
                {"name": "d", "variants": [{"name": "stable"}, {"name": "canary", "weight": 0}, {"name": "own", "weight": 0}],
                 "rules": [{"name": "own", "match": {"headers": [{"name": "x-beta", "type": "Present"}]}, "variant": "own"}]}
            ]}"#,
    );
    for (model, variant) in [("a", "canary"), ("b", "default"), ("c", "stable"), ("d", "own")] {
        let path = format!("/v2/models/{model}/infer");
        assert_eq!(variant_of(&router, &head(&path, &[("x-beta", "true")]), 0), variant, "{model}");
    }
}

#[test]
fn a_rule_may_have_a_split_of_its_own_with_the_models_keys() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a", "weight": 100}, {"name": "b", "weight": 0}, {"name": "c", "weight": 0}],
            "sticky": {"by": [{"header": "x-user-id"}]},
            "rules": [{"name": "half", "match": {"headers": [{"name": "x-tier", "value": "gold"}]}, "split": [{"variant": "b"}, {"variant": "c"}]}]}]}"#,
    );
    let mut seen = [0, 0];
    for user in 0..1_000 {
        let user = user.to_string();
        let request = head("/v2/models/m/infer", &[("x-tier", "gold"), ("x-user-id", user.as_str())]);
        let variant = variant_of(&router, &request, 1);
        assert_eq!(variant_of(&router, &request, 2), variant);
        seen[usize::from(variant == "c")] += 1;
        assert!(variant != "a");
        assert_eq!(variant_of(&router, &head("/v2/models/m/infer", &[("x-user-id", user.as_str())]), 0), "a");
    }
    assert!(seen.iter().all(|count| (430..570).contains(count)), "{seen:?}");
}

#[test]
fn faults_of_rules_and_conditions_are_told_with_their_paths() {
    let faults = refused(
        r#"{"rules": [{"name": "g", "match": {"methods": ["GET"]}, "variant": "nobody"}],
            "models": [{"name": "m", "variants": [{"name": "a"}], "rules": [
                {"name": "1", "match": {"methods": ["GET"]}},
                {"name": "2", "match": {"methods": ["GET"]}, "variant": "a", "split": [{"variant": "a"}]},
                {"name": "3", "match": {"not": {}}, "split": [{"variant": "a", "weight": 0}]},
                {"name": "4", "match": {"hosts": ["*.*.com"], "query": [{"name": "q", "type": "In"}], "cookies": [{"name": "c", "type": "RegularExpression", "value": "("}]}, "split": [{"variant": "z"}]},
                {"name": "5", "match": {"headers": [{"name": "h", "type": "In", "value": "v"}, {"name": "h", "value": "v", "values": ["w"]}]}, "variant": "a"}]}]}"#,
    );
    for expected in [
        "rules[0]: no model has the variants 'nobody'",
        "models[0].rules[0]: expected either `variant` or `split`",
        "models[0].rules[1]: expected either `variant` or `split`",
        "models[0].rules[2].match.not: expected conditions",
        "models[0].rules[2].split: expected a weight above 0",
        "models[0].rules[3].match.hosts[0]: expected a host or `*.`",
        "models[0].rules[3].match.query[0].values: expected at least one value",
        "models[0].rules[3].match.cookies[0].value: the regular expression is refused: expected `)`",
        "models[0].rules[3].split[0].variant: there is no variant 'z'",
        "models[0].rules[4].match.headers[0].value: expected `values`",
        "models[0].rules[4].match.headers[1].values: expected `values` only with type In",
    ] {
        assert!(faults.contains(expected), "missing: {expected}\nin: {faults}");
    }
}

#[test]
fn a_parameter_in_the_body_is_a_key_as_good_as_the_header() {
    let router = demo();
    for user in 0..200 {
        let user = format!("user-{user}");
        let by_header = variant_of(&router, &head("/v2/models/mnist/infer", &[("x-user-id", user.as_str())]), 0);
        let request = head("/v2/models/mnist/infer", &[]);
        let Start::Read(mut peek) = router.start(&request, true, 0) else { panic!("not read") };
        let body = format!(r#"{{"parameters": {{"region": "us", "user_id": "{user}"}}, "inputs": []}}"#);
        router.read(&request, &mut peek, body.as_bytes());
        assert_eq!(shown_route(router.finish(&request, Some(&*peek), 0)), by_header);
    }
}

#[test]
fn beyond_the_peek_limit_the_configuration_decides() {
    let config = |mode: &str| {
        router(&format!(
            r#"{{"peekLimit": 1024, "onPeekLimit": "{mode}", "models": [{{"name": "m", "variants": [{{"name": "a"}}, {{"name": "b", "weight": 0}}],
                "rules": [{{"name": "r", "match": {{"parameters": [{{"name": "p", "value": "x"}}]}}, "variant": "b"}}]}}]}}"#
        ))
    };
    let request = head("/v2/models/m/infer", &[]);
    let early = br#"{"parameters": {"p": "x"}, "inputs": []}"#.to_vec();
    let late = [&br#"{"inputs": ["#[..], &b"1,".repeat(2000), br#"1], "parameters": {"p": "x"}}"#].concat();
    for (mode, body, expected) in [
        ("Default", &early, "b"),
        ("Reject", &early, "b"),
        ("Default", &late, "a"),
        ("Reject", &late, "400: the first 1024 bytes of the body do not hold every parameter"),
    ] {
        let router = config(mode);
        let Start::Read(mut peek) = router.start(&request, true, 0) else { panic!("not read") };
        assert!(router.read(&request, &mut peek, body));
        let outcome = shown_route(router.finish(&request, Some(&*peek), 0));
        assert!(outcome.starts_with(expected), "{mode}: {outcome}");
    }
}
