use std::path::Path as FilePath;

use super::*;
use crate::source::Source;

fn warnings(routing: &str) -> Vec<String> {
    let source = Source::parse(FilePath::new("mesh.yaml"), routing.to_owned()).expect("YAML");
    let mesh = Mesh::parse(&source).unwrap_or_else(|error| panic!("{error:#}"));
    of(&mesh).iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_warns(routing: &str, expected: &[&str]) {
    let found = warnings(routing);
    let matches = found.len() == expected.len() && found.iter().zip(expected).all(|(found, part)| found.contains(part));
    assert!(matches, "expected {expected:#?}, found {found:#?}");
}

#[test]
fn a_rule_behind_a_more_general_one_is_unreachable() {
    assert_warns(
        "
models:
- name: a
  variants: [{name: x}, {name: w}]
  rules:
  - {name: all, match: {headers: [{name: h, type: Present}]}, variant: x}
  - {name: one, match: {headers: [{name: H, value: v}], methods: [POST]}, variant: w}
  - {name: other, match: {methods: [POST]}, variant: w}
",
        &["models[0].rules[1]: the rule never decides: models[0].rules[0] comes first"],
    );
}

#[test]
fn a_general_rule_that_a_version_excludes_hides_nothing() {
    assert_warns(
        "
models:
- name: a
  variants: [{name: x, version: 1}, {name: w, version: 2}]
  rules:
  - {name: all, match: {methods: [POST]}, variant: x}
  - {name: one, match: {methods: [POST]}, variant: w}
",
        &[],
    );
}

#[test]
fn a_rule_over_all_models_is_unreachable_only_if_it_is_for_every_model() {
    let text = |second: &str| {
        format!(
            "
models:
- {{name: a, variants: [{{name: x}}, {{name: w}}], rules: [{{name: own, match: {{methods: [POST]}}, variant: x}}]}}
- {{name: b, variants: [{{name: x}}, {{name: w}}], rules: [{second}]}}
rules:
- {{name: over all, match: {{methods: [POST]}}, variant: w}}
"
        )
    };
    assert_warns(&text("{name: own, match: {methods: [GET]}, variant: x}"), &[]);
    assert_warns(
        &text("{name: own, match: {methods: [POST, GET]}, variant: x}"),
        &["rules[0]: the rule never decides"],
    );
}

#[test]
fn a_rule_whose_variants_are_never_candidates_is_unreachable() {
    assert_warns(
        "
models:
- name: a
  labels: {tier: prod}
  variants: [{name: x, version: 1}, {name: w, version: 2}]
  rules:
  - {name: versions, match: {versions: [2]}, variant: x}
  - {name: labels, match: {labels: [{name: tier, value: dev}]}, variant: x}
",
        &[
            "models[0].rules[0]: the rule never decides: a request for the versions",
            "models[0].rules[1]: the rule never decides: the model's label 'tier'",
        ],
    );
}

#[test]
fn a_variant_that_nobody_routes_to_is_told() {
    assert_warns(
        "
models:
- name: a
  variants: [{name: split}, {name: ruled, weight: 0}, {name: versioned, weight: 0, version: 3}, {name: nobody, weight: 0}]
  rules: [{name: r, match: {methods: [POST]}, split: [{variant: ruled}, {variant: nobody, weight: 0}]}]
",
        &["models[0].variants[3]: no request gets 'nobody'"],
    );
}

#[test]
fn weights_that_look_like_percentages_sum_to_100() {
    let model = |weights: [f64; 2]| {
        format!(
            "models: [{{name: a, variants: [{{name: x, weight: {}}}, {{name: w, weight: {}}}]}}]",
            weights[0], weights[1]
        )
    };
    assert_warns(
        &model([90.0, 20.0]),
        &["models[0].variants: the weights sum to 110, not to 100: 90 is 81.8 %, 20 is 18.2 %"],
    );
    for fine in [[90.0, 10.0], [9.0, 1.0], [1.0, 1.0], [0.9, 0.2], [100.0, 0.0], [1000.0, 1.0]] {
        assert_warns(&model(fine).replace("weight: 0}", "weight: 0, version: 1}"), &[]);
    }
}

#[test]
fn a_key_in_the_body_belongs_behind_those_in_the_headers() {
    assert_warns(
        "models: [{name: a, variants: [{name: x}, {name: w}], sticky: {by: [{parameter: p}, {header: h}]}}]",
        &["models[0].sticky.by[0]: the key parameter p needs the body tier and comes before header h"],
    );
}

#[test]
fn a_peek_limit_that_the_gateway_does_not_buffer_is_told() {
    assert_warns(
        "models: []\npeekLimit: 64KiB\n",
        &["peekLimit: 65536 bytes are not below the gateway's buffer limit of 32768"],
    );
}

#[test]
fn versions_labels_ramps_experiments_shadows_and_testers_lead_to_variants() {
    let model = "
  variants:
  - {name: stable, version: 1}
  - {name: next, weight: 0, version: 2, versionLabels: [beta]}
  - {name: ramped, ramp: {steps: [{at: '2030-01-01T00:00:00Z', weight: 5}]}}
  - {name: tried, weight: 0}
  - {name: copied, weight: 0, cluster: other}
  - {name: nobody, weight: 0}
  rules: [{name: r, match: {versions: [beta]}, variant: next}]
  shadow: {variant: copied}
";
    let experiment = "experiments: [{name: e, by: [{header: h}], arms: [{name: x, variants: {a: tried}}]}]";
    let text = format!("models:\n- name: a{model}{experiment}\nrewrite: Headers\n");
    assert_warns(&text, &["models[0].variants[5]: no request gets 'nobody'"]);
    assert_warns(&format!("{text}testers: {{secret: '0123456789abcdef'}}\n"), &[]);
    let text = text
        .replace("stable, version: 1", "stable, version: 1, weight: 1")
        .replace("name: a\n", "name: a\n  defaultVersion: latest\n");
    assert!(warnings(&text).iter().all(|warning| !warning.contains("'stable'")), "a client may name version 1");
}

#[test]
fn pools_and_clusters_that_the_deployment_lacks_are_told() {
    let variants = "[{name: x, pool: gpu}, {name: z, pool: tpu, cluster: far}, {name: w, cluster: 'outbound|80||a'}]";
    let routing = format!("models: [{{name: a, variants: {variants}}}]");
    assert_warns(&routing, &[]);
    let mesh =
        |deployment: &str| format!("apiVersion: modelway/v1alpha1\nrouting: {{{routing}}}\ndeployment: {deployment}\n");
    assert_warns(
        &mesh("{}"),
        &["models[0].variants[1].cluster: the gateway that `render` writes has no cluster 'far'"],
    );
    assert_warns(
        &mesh("{pools: {gpu: {host: gpu}}, clusters: {far: {host: far}}}"),
        &["models[0].variants[1].pool: `deployment.pools` has no 'tpu'"],
    );
}
