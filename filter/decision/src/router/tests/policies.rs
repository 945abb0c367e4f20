use std::collections::BTreeMap;

use super::*;
use crate::brake::GateState;

/// A request of which the gateway knows more than its headers.
#[derive(Default)]
struct Known<'a> {
    pairs: Pairs<'a>,
    address: &'a str,
    claims: &'a [(&'a str, &'a str)],
    now: u64,
}

impl Headers for Known<'_> {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.as_slice().iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }

    fn source_address(&self) -> Option<Cow<'_, [u8]>> {
        (!self.address.is_empty()).then(|| self.address.as_bytes().into())
    }

    fn claim(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.claims.iter().find(|(claim, _)| claim.as_bytes() == name).map(|(_, value)| value.as_bytes().into())
    }

    fn now(&self) -> u64 {
        self.now
    }
}

const INFER: &str = "/v2/models/m/infer";

fn decided<'a>(router: &'a Router, head: &'a impl Headers) -> Decision<'a> {
    decided_at_random(router, head, 0)
}

fn decided_at_random<'a>(router: &'a Router, head: &'a impl Headers, random: u64) -> Decision<'a> {
    match router.start(head, false, random) {
        Start::Known(Route::To(decision)) => decision,
        other => panic!("{other:?}"),
    }
}

fn name(decision: &Decision<'_>) -> String {
    String::from_utf8_lossy(decision.variant.unwrap()).into_owned()
}

fn user(user: usize) -> String {
    format!("user-{user}")
}

/// What each of these users gets.
fn census(router: &Router, users: usize) -> Vec<String> {
    let variant = |it| name(&decided(router, &head(INFER, &[("x-user-id", user(it).as_str())])));
    (0..users).map(variant).collect()
}

fn shares(variants: &[String]) -> BTreeMap<&str, usize> {
    let mut shares = BTreeMap::new();
    for variant in variants {
        *shares.entry(variant.as_str()).or_default() += 1;
    }
    shares
}

const ABC: &str = r#""variants": [{"name": "a", "weight": 1}, {"name": "b", "weight": 0}, {"name": "c", "weight": 0}],
    "sticky": {"by": [{"header": "x-user-id"}]}"#;

fn experiment(more: &str) -> Router {
    router(&format!(
        r#"{{"models": [{{"name": "m", {ABC}}}, {{"name": "n", {ABC}}}], "exposures": {{}}, "experiments": [{{
            "name": "ranker", "by": [{{"header": "x-user-id"}}], {more}
            "arms": [{{"name": "control", "variants": {{"m": "b", "n": "c"}}}}, {{"name": "treatment", "variants": {{"m": "c", "n": "b"}}}}]}}]}}"#
    ))
}

#[test]
fn an_experiment_gives_its_units_arms_over_several_models_and_leaves_the_others_to_the_split() {
    let router = experiment(r#""traffic": {"to": 40}, "holdOut": 25,"#);
    let on_m = census(&router, 4_000);
    let on_n: Vec<String> = (0..4_000)
        .map(|it| name(&decided(&router, &head("/v2/models/n/infer", &[("x-user-id", user(it).as_str())]))))
        .collect();
    for (m, n) in on_m.iter().zip(&on_n) {
        assert!(matches!((m.as_str(), n.as_str()), ("a", "a") | ("b", "c") | ("c", "b")), "{m} {n}");
    }
    let shares = shares(&on_m);
    // 40 % in the stretch, a quarter of them held out, half of the rest in each arm.
    assert!((2_650..2_950).contains(&shares["a"]), "{shares:?}");
    assert!((500..700).contains(&shares["b"]) && (500..700).contains(&shares["c"]), "{shares:?}");
    let stranger = head(INFER, &[]);
    assert_eq!(decided(&router, &stranger).why.reason, Reason::Split);
}

#[test]
fn growing_an_experiments_traffic_moves_nobody_between_its_arms() {
    let before = census(&experiment(r#""traffic": {"to": 20},"#), 4_000);
    let after = census(&experiment(r#""traffic": {"to": 30},"#), 4_000);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert!((300..500).contains(&moved.len()), "{}", moved.len());
    assert!(moved.into_iter().all(|(before, _)| before == "a"));
}

#[test]
fn allowed_units_are_in_and_denied_units_are_out() {
    let router = experiment(r#""traffic": {"to": 0}, "allow": ["user-1", 7], "deny": ["user-2"],"#);
    let variant = |user: &str| name(&decided(&router, &head(INFER, &[("x-user-id", user)])));
    assert_ne!(variant("user-1"), "a");
    assert_ne!(variant("7"), "a");
    assert_eq!(variant("user-2"), "a");
    assert_eq!(variant("user-3"), "a");
}

#[test]
fn experiments_of_a_layer_share_no_unit_and_those_of_different_layers_are_independent() {
    let experiment = |name: &str, layer: &str, model: &str, from: u32, to: u32| {
        format!(
            r#"{{"name": "{name}", "layer": "{layer}", "by": [{{"header": "x-user-id"}}], "traffic": {{"from": {from}, "to": {to}}},
                "arms": [{{"name": "{name}", "variants": {{"{model}": "b"}}}}]}}"#
        )
    };
    let router = router(&format!(
        r#"{{"models": [{{"name": "m", {ABC}}}, {{"name": "n", {ABC}}}, {{"name": "o", {ABC}}}], "layers": [{{"name": "x"}}, {{"name": "y", "holdOut": 10}}],
            "experiments": [{}, {}, {}]}}"#,
        experiment("one", "x", "m", 0, 50),
        experiment("two", "x", "n", 50, 100),
        experiment("three", "y", "o", 0, 50)
    ));
    let in_it = |model: &str, it: usize| {
        let path = format!("/v2/models/{model}/infer");
        name(&decided(&router, &head(&path, &[("x-user-id", user(it).as_str())]))) == "b"
    };
    let mut both = 0;
    for it in 0..2_000 {
        assert_ne!(in_it("m", it), in_it("n", it));
        both += usize::from(in_it("m", it) && in_it("o", it));
    }
    // Half of them in one, 45 % of those in the other.
    assert!((390..510).contains(&both), "{both}");
}

#[test]
fn faults_of_experiments_are_told_with_their_paths() {
    let with = |experiments: &str| {
        refused(&format!(
            r#"{{"models": [{{"name": "m", {ABC}}}], "layers": [{{"name": "x"}}], "experiments": {experiments}}}"#
        ))
    };
    let arms = r#""arms": [{"name": "t", "variants": {"m": "b"}}]"#;
    let by = r#""by": [{"header": "x-user-id"}]"#;
    let faults = with(&format!(
        r#"[{{"name": "e", {by}, "layer": "z", "traffic": {{"to": 120}}, "arms": [{{"name": "t", "variants": {{"m": "bb", "q": "b"}}}}]}}]"#
    ));
    for expected in [
        "experiments[0].layer: there is no layer 'z'",
        "experiments[0].traffic.to: expected a number from 0 to 100, got 120",
        "experiments[0].arms[0].variants.q: there is no model 'q'",
        "experiments[0].arms[0].variants.m: model 'm' has no variant 'bb'; did you mean 'b'?",
    ] {
        assert!(faults.contains(expected), "{expected} is not in {faults}");
    }
    let faults = with(&format!(r#"[{{"name": "e", {by}, {arms}}}, {{"name": "f", {by}, {arms}}}]"#));
    assert_eq!(faults, "experiments[1].layer: experiment 'e' is over model 'm' too: put both into one layer");
    let faults = with(&format!(
        r#"[{{"name": "e", {by}, "layer": "x", "traffic": {{"to": 60}}, {arms}}}, {{"name": "f", {by}, "layer": "x", "traffic": {{"from": 50}}, {arms}}}]"#
    ));
    assert_eq!(faults, "experiments[1].traffic: overlaps with experiment 'e' of the same layer: 0 to 60");
}

#[test]
fn an_exposure_names_experiment_arm_and_a_hash_of_the_unit() {
    let router = experiment("");
    let request = head(INFER, &[("x-user-id", "user-1")]);
    let decision = decided(&router, &request);
    let record: serde_json::Value =
        serde_json::from_str(&decision.exposure_record(1_795_424_400_000_000_000).unwrap()).unwrap();
    let unit = record["unit"].as_str().unwrap().to_owned();
    assert!(unit.len() == 16 && !record.to_string().contains("user-1"));
    let arm = if name(&decision) == "b" { "control" } else { "treatment" };
    assert_eq!(
        record,
        serde_json::json!({"time": "2026-11-23T09:00:00.000Z", "experiment": "ranker", "arm": arm, "model": "m",
            "variant": name(&decision), "reason": "experiment", "unit": unit})
    );
    let held_out = experiment(r#""holdOut": 100,"#);
    let record = decided(&held_out, &request).exposure_record(0).unwrap();
    assert!(record.contains(r#""arm":null"#) && record.contains(r#""reason":"held out""#), "{record}");
    assert_eq!(decided(&router, &head(INFER, &[])).exposure_record(0), None);
}

#[test]
fn a_default_version_narrows_what_a_call_without_one_gets() {
    let with = |default: &str| {
        router(&format!(
            r#"{{"models": [{{"name": "m", {default} "variants": [{{"name": "a", "version": 9}}, {{"name": "b", "version": 10, "weight": 0}},
                {{"name": "c", "version": 7, "versionLabels": ["prod", "stable"], "weight": 0}}]}}], "unknownModels": "Reject"}}"#
        ))
    };
    let plain = head(INFER, &[]);
    for (default, expected) in [
        ("", "a"),
        (r#""defaultVersion": "latest","#, "b"),
        (r#""defaultVersion": "prod","#, "c"),
        (r#""defaultVersion": 9,"#, "a"),
    ] {
        assert_eq!(name(&decided(&with(default), &plain)), expected, "{default}");
    }
    let router = with("");
    let labelled = head("/v2/models/m/versions/stable/infer", &[]);
    let decision = decided(&router, &labelled);
    assert_eq!((name(&decision).as_str(), decision.version.as_deref()), ("c", Some(&b"7"[..])));
    assert_eq!(
        variant_of(&router, &head("/v2/models/m/versions/3", &[]), 0),
        "404: model 'm' has no version '3', it has '9', '10', '7', 'prod', 'stable'"
    );
    assert_eq!(
        refused(
            r#"{"models": [{"name": "m", "defaultVersion": "latest", "variants": [{"name": "a", "version": "x"}]}]}"#
        ),
        "models[0].defaultVersion: expected a variant with a whole number as its version, there is none for 'latest'"
    );
}

#[test]
fn a_ramp_changes_the_split_by_time_and_only_moves_users_to_what_grows() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a", "weight": 100}, {"name": "b", "ramp": {"steps": [
            {"at": "2026-11-23T09:00:00Z", "weight": 10}, {"at": "2026-11-23T10:00:00Z", "weight": 100}]}}],
            "sticky": {"by": [{"header": "x-user-id"}]}}],
            "freezes": [{"from": "2026-11-23T09:30:00Z", "until": "2026-11-23T11:00:00Z"}]}"#,
    );
    const NINE: u64 = 1_795_424_400;
    let census = |seconds: u64| -> Vec<String> {
        let request = |it: usize| {
            let id = user(it);
            let known = Known {
                pairs: head(INFER, &[("x-user-id", id.as_str())]),
                now: seconds * 1_000_000_000,
                ..Known::default()
            };
            name(&decided(&router, &known))
        };
        (0..2_000).map(request).collect()
    };
    let before = census(NINE - 1);
    assert!(before.iter().all(|variant| variant == "a"));
    let tenth = census(NINE);
    assert!((140..230).contains(&shares(&tenth)["b"]), "{:?}", shares(&tenth));
    assert_eq!(census(NINE + 7_199), tenth, "the second step waits for the end of the freeze");
    let half = census(NINE + 7_200);
    assert!((900..1_100).contains(&shares(&half)["b"]));
    assert!(tenth.iter().zip(&half).all(|(before, after)| before == after || after == "b"));
}

#[test]
fn a_braked_variant_gets_nothing_its_users_go_to_the_others_and_nobody_else_moves() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a", "weight": 40}, {"name": "b", "weight": 30}, {"name": "c", "weight": 30, "brake": {"errorRate": 0.1}}],
            "sticky": {"by": [{"header": "x-user-id"}]},
            "rules": [{"name": "forward", "match": {"headers": [{"name": "x-c", "type": "Present"}]}, "variant": "c"}]}]}"#,
    );
    let before = census(&router, 1_000);
    let gate = || router.brakes().next().unwrap().1;
    gate().set(GateState::Shut);
    let braked = census(&router, 1_000);
    assert!(braked.iter().all(|variant| variant != "c"));
    assert!(before.iter().zip(&braked).all(|(before, after)| before == after || before == "c"));
    assert!(shares(&braked)["a"] > shares(&before)["a"] && shares(&braked)["b"] > shares(&before)["b"]);
    let ruled = head(INFER, &[("x-c", "1"), ("x-user-id", "u")]);
    let decision = decided(&router, &ruled);
    assert_ne!(name(&decision), "c");
    assert_eq!(decision.why.avoided, Some(&b"c"[..]));
    assert_eq!(decision.brake, None);

    gate().set(GateState::Probing(1));
    let decision = decided(&router, &ruled);
    assert_eq!((name(&decision).as_str(), decision.brake), ("c", Some(Braked { number: 0, is_probe: true })));
    assert_ne!(name(&decided(&router, &ruled)), "c");
    gate().set(GateState::Open);
    assert_eq!(census(&router, 1_000), before);
    assert_eq!(router.brake_name(0), Some(&b"\0m\0c"[..]));
}

#[test]
fn every_brake_has_a_name_of_its_own() {
    let router = router(
        r#"{"scopes": [{"name": "s", "pathPrefix": "/s"}], "models": [
            {"name": "m", "variants": [{"name": "c", "brake": {"errorRate": 0.1}}, {"name": "b.c", "brake": {"errorRate": 0.1}}]},
            {"name": "m.b", "variants": [{"name": "c", "brake": {"errorRate": 0.1}}]},
            {"name": "m", "scope": "s", "variants": [{"name": "c", "brake": {"errorRate": 0.1}}]}]}"#,
    );
    let names: std::collections::BTreeSet<_> = (0..4).map(|number| router.brake_name(number)).collect();
    assert!(names.len() == 4 && !names.contains(&None), "{names:?}");
}

#[test]
fn with_nobody_to_take_over_a_braked_variant_keeps_its_traffic() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a", "brake": {"latency": "1s"}}, {"name": "b", "weight": 0}]}]}"#,
    );
    router.brakes().next().unwrap().1.set(GateState::Shut);
    assert_eq!(name(&decided(&router, &head(INFER, &[]))), "a");
}

#[test]
fn claims_addresses_and_request_ids_are_keys_and_conditions() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a"}, {"name": "b"}], "sticky": {"by": [{"claim": "sub"}, "sourceAddress"]},
            "rules": [{"name": "office", "match": {"sourceAddresses": ["10.0.0.0/8", "2001:db8::/32"]}, "variant": "b"},
                {"name": "gold", "match": {"claims": [{"name": "tier", "type": "Prefix", "value": "gold"}]}, "variant": "b"}]}]}"#,
    );
    let known = |address: &'static str, claims: &'static [(&'static str, &'static str)]| Known {
        pairs: head(INFER, &[]),
        address,
        claims,
        now: 0,
    };
    let office = known("10.7.0.1", &[]);
    assert_eq!(decided(&router, &office).why.reason, Reason::Rule(b"office"));
    let gold = known("9.9.9.9", &[("tier", "gold-1")]);
    assert_eq!(decided(&router, &gold).why.reason, Reason::Rule(b"gold"));
    let by_claim = known("9.9.9.9", &[("sub", "u-1")]);
    let decision = decided(&router, &by_claim);
    assert_eq!(decision.why.key, Some(("claim ", &b"sub"[..])));
    let by_address = known("9.9.9.9", &[]);
    assert_eq!(decided(&router, &by_address).why.key, Some(("source address", &b""[..])));
    assert!(refused(r#"{"models": [{"name": "m", "rules": [{"name": "r", "match": {"sourceAddresses": ["10/8"]}, "variant": "default"}]}]}"#)
        .starts_with("models[0].rules[0].match.sourceAddresses[0]: expected an address or a network such as 10.0.0.0/8, got '10/8'"));
}

#[test]
fn where_there_is_no_key_a_cookie_makes_the_draw_stick() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a"}, {"name": "b"}], "sticky": {"by": [{"header": "x-user-id"}], "cookie": {"name": "mw-user", "secure": false}}}]}"#,
    );
    for random in 0..50 {
        let stranger = head(INFER, &[]);
        let first = decided_at_random(&router, &stranger, random);
        let cookie = first.set_cookie.clone().unwrap();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Max-Age=2592000; Path=/; HttpOnly; SameSite=Lax");
        let again = head(INFER, &[("cookie", pair)]);
        let second = decided_at_random(&router, &again, 99);
        assert_eq!((name(&second), second.set_cookie), (name(&first), None));
    }
    let known = head(INFER, &[("x-user-id", "u")]);
    assert_eq!(decided(&router, &known).set_cookie, None);
}

#[test]
fn a_tester_who_knows_the_secret_gets_the_variant_and_the_reasons() {
    let router =
        router(&format!(r#"{{"models": [{{"name": "m", {ABC}}}], "testers": {{"secret": "0123456789abcdef"}}}}"#));
    let with = |more: &[(&'static str, &'static str)]| head(INFER, more);
    let forced =
        with(&[("x-modelway-secret", "0123456789abcdef"), ("x-modelway-force", "c"), ("x-modelway-explain", "true")]);
    let decision = decided(&router, &forced);
    assert_eq!((name(&decision).as_str(), decision.explains), ("c", true));
    assert_eq!(decision.explanation(), "model=m; variant=c; target=m; reason=forced");
    for secret in ["0123456789abcdeF", "0123456789abcde", ""] {
        let request =
            head(INFER, &[("x-modelway-secret", secret), ("x-modelway-force", "c"), ("x-modelway-explain", "true")]);
        let decision = decided(&router, &request);
        assert_eq!((name(&decision).as_str(), decision.explains), ("a", false));
    }
    let unknown = with(&[("x-modelway-secret", "0123456789abcdef"), ("x-modelway-force", "d")]);
    assert_eq!(variant_of(&router, &unknown, 0), "400: model 'm' has no variant 'd', it has 'a', 'b', 'c'");
    assert_eq!(refused(r#"{"testers": {"secret": "short"}}"#), "testers.secret: expected at least 16 characters");
}

#[test]
fn a_shadow_gets_its_part_of_the_others_requests_and_nothing_of_its_own() {
    let router = router(
        r#"{"rewrite": "Headers", "models": [{"name": "m", "variants": [{"name": "a", "weight": 1}, {"name": "next", "model": "m-next", "version": 3, "weight": 0, "cluster": "next"}],
            "shadow": {"variant": "next", "percent": 25}}]}"#,
    );
    let request = head(INFER, &[]);
    let copied = (0..2_000).filter(|random| decided_at_random(&router, &request, *random).shadow.is_some()).count();
    assert!((440..560).contains(&copied), "{copied}");
    let random = (0..).find(|random| decided_at_random(&router, &request, *random).shadow.is_some()).unwrap();
    let decision = decided_at_random(&router, &request, random);
    let fields: Vec<_> = router.headers().filter_map(|(field, name)| Some((name, decision.field(field)?))).collect();
    assert_eq!(
        fields,
        [
            ("x-modelway-model", &b"m"[..]),
            ("x-modelway-variant", b"a"),
            ("x-modelway-target", b"m"),
            ("x-modelway-affinity", b"m"),
            ("x-modelway-shadow-cluster", b"next"),
            ("x-modelway-shadow-variant", b"next"),
            ("x-modelway-shadow-target", b"m-next"),
            ("x-modelway-shadow-version", b"3"),
        ]
    );
    let own = head("/v2/models/m/versions/3/infer", &[]);
    assert!((0..200).all(|random| decided_at_random(&router, &own, random).shadow.is_none()));
}

#[test]
fn a_shadow_whose_upstream_could_not_tell_its_model_is_refused() {
    let shadow = |rewrite: &str, variant: &str| {
        format!(
            r#"{{"rewrite": "{rewrite}", "models": [{{"name": "m", "variants": [{{"name": "a"}}, {{"name": "b", "weight": 0{variant}}}], "shadow": {{"variant": "b"}}}}]}}"#
        )
    };
    assert!(
        refused(&shadow("Auto", r#", "cluster": "c", "model": "other""#))
            .starts_with("models[0].shadow: the copy has the path")
    );
    assert!(
        refused(&shadow("Headers", "")).starts_with("models[0].shadow.variant: expected a variant with a `cluster`")
    );
    router(&shadow("Auto", r#", "cluster": "c""#));
    router(&shadow("Headers", r#", "cluster": "c", "model": "other""#));
}

#[test]
fn header_names_can_be_changed_and_neighbours_get_theirs() {
    let router = router(
        r#"{"headerNames": {"variant": "X-Variant", "presets": ["GatewayApi", "Seldon"]}, "models": [{"name": "m", "variants": [
            {"name": "a", "model": "m-1", "cluster": "gpu", "authority": "gpu.example"}]}]}"#,
    );
    let request = head(INFER, &[]);
    let decision = decided(&router, &request);
    let fields: Vec<_> = router.headers().filter_map(|(field, name)| Some((name, decision.field(field)?))).collect();
    for expected in [
        ("x-variant", &b"a"[..]),
        ("x-gateway-model-name", b"m-1"),
        ("seldon-model", b"m-1"),
        ("x-modelway-target", b"m-1"),
        ("x-modelway-cluster", b"gpu"),
        (":authority", b"gpu.example"),
    ] {
        assert!(fields.contains(&expected), "{expected:?} is not in {fields:?}");
    }
    for ours in
        ["x-modelway-anything", "x-variant", "seldon-model", "x_modelway_target", "x-modelway_target", "seldon_model"]
    {
        assert!(router.is_ours(ours.as_bytes()), "{ours}");
    }
    assert!(!router.is_ours(b":authority") && !router.is_ours(b"x-user-id"));
}

#[test]
fn input_conditions_need_the_body() {
    let router = router(
        r#"{"models": [{"name": "m", "variants": [{"name": "a"}, {"name": "b", "weight": 0}], "rules": [
            {"name": "bytes", "match": {"encodings": ["Binary"]}, "variant": "b"},
            {"name": "long", "match": {"contentLength": {"min": 1000}}, "variant": "b"},
            {"name": "batch", "match": {"methods": ["PUT"], "batchSize": {"min": 8}}, "variant": "b"}]}]}"#,
    );
    assert_eq!(variant_of(&router, &head(INFER, &[]), 0), "a");
    assert_eq!(variant_of(&router, &head(INFER, &[("inference-header-content-length", "70")]), 0), "b");
    assert_eq!(variant_of(&router, &head(INFER, &[("content-length", "1000")]), 0), "b");
    let put: Pairs<'_> = vec![(":method", "PUT"), (":path", INFER)];
    assert_eq!(variant_of(&router, &put, 0), "read");
}

#[test]
fn a_name_is_another_model_under_another_scope() {
    let router = router(
        r#"{"scopes": [{"name": "a", "pathPrefix": "/serving/a"}, {"name": "b", "hosts": ["*.b.example"]}], "models": [
            {"name": "m", "variants": [{"name": "shared"}]}, {"name": "only", "variants": [{"name": "shared"}]},
            {"name": "m", "scope": "a", "variants": [{"name": "of-a", "model": "m-a"}]}, {"name": "m*", "scope": "b", "variants": [{"name": "of-b"}]}]}"#,
    );
    let at = |path: &'static str, host: &'static str| {
        let head = head(path, &[(":authority", host)]);
        let decision = decided(&router, &head);
        (name(&decision), decision.path.map(|path| String::from_utf8(path).unwrap()))
    };
    assert_eq!(at("/v2/models/m", "x.example"), ("shared".to_owned(), None));
    assert_eq!(
        at("/serving/a/v2/models/m/infer", "x"),
        ("of-a".to_owned(), Some("/serving/a/v2/models/m-a/infer".to_owned()))
    );
    assert_eq!(at("/serving/a/v2/models/only", "x"), ("shared".to_owned(), None));
    assert_eq!(at("/v2/models/mnist", "x.b.example:80"), ("of-b".to_owned(), None));
    let faults = refused(
        r#"{"scopes": [{"name": "a"}, {"name": "b", "pathPrefix": "b/"}], "models": [{"name": "m", "scope": "bb"}, {"name": "n", "scope": "b"}, {"name": "n", "scope": "b"}]}"#,
    );
    for expected in [
        "scopes[0]: expected a `pathPrefix` or `hosts`",
        "scopes[1].pathPrefix: expected a path such as /serving/team-a",
        "models[0].scope: there is no scope 'bb'; did you mean 'b'?",
        "models[2].name: the name 'n' already stands at models[1].name",
    ] {
        assert!(faults.contains(expected), "{expected} is not in {faults}");
    }
}
