use std::path::Path;

use super::*;
use crate::source::Source;

fn mesh(routing: &str) -> Mesh {
    let source = Source::parse(Path::new("mesh.yaml"), routing.to_owned()).expect("YAML");
    Mesh::parse(&source).unwrap_or_else(|error| panic!("{error:#}"))
}

fn simulated(mesh: &Mesh, other: Option<&Mesh>, users: u64, now: u64) -> Simulated {
    let mut simulation = Simulation::new(mesh, other, now, 7);
    for model in 0..mesh.config.models.len() {
        let crowd = crowd::Crowd::of(mesh, model, &[], now).expect("a crowd");
        (0..users).for_each(|number| simulation.add(&crowd.request(number)));
    }
    simulation.finish()
}

fn model(weights: &[(&str, f64)], more: &str) -> String {
    let variants: Vec<String> =
        weights.iter().map(|(name, weight)| format!("{{name: {name}, weight: {weight}}}")).collect();
    format!("models: [{{name: a, variants: [{}]{more}}}]", variants.join(", "))
}

const STICKY: &str = ", sticky: {by: [{header: x-user-id}]}";

#[test]
fn every_kind_of_key_gives_the_shares_that_were_meant() {
    let keys = ["{header: h}", "{cookie: c}", "{claim: sub}", "{parameter: p}", "requestId", "sourceAddress"];
    for key in keys {
        let mesh = mesh(&model(&[("x", 70.0), ("z", 30.0)], &format!(", sticky: {{by: [{key}]}}")));
        let simulated = simulated(&mesh, None, 20_000, 0);
        let [share] = simulated.shares.as_slice() else { panic!("{key}: {:?}", simulated.shares) };
        assert_eq!((share.by.as_str(), share.requests, share.mismatch), ("split", 20_000, false), "{key}");
        assert!(share.test.is_some_and(|test| test.p > 0.001), "{key}: {share:?}");
    }
}

#[test]
fn requests_without_a_key_are_drawn_at_random_and_have_the_shares_too() {
    let simulated = simulated(&mesh(&model(&[("x", 1.0), ("y2", 2.0), ("z", 3.0)], "")), None, 20_000, 0);
    assert!(simulated.shares[0].test.is_some_and(|test| test.p > 0.001), "{:?}", simulated.shares);
}

#[test]
fn rules_and_experiments_have_shares_of_their_own() {
    let text = "
models:
- name: a
  variants: [{name: x}, {name: z}]
  sticky: {by: [{header: h}]}
  rules: [{name: some, match: {headers: [{name: h, type: Prefix, value: user-1}]}, split: [{variant: x, weight: 1}, {variant: z, weight: 3}]}]
experiments:
- {name: e, by: [{header: h}], traffic: {to: 50}, arms: [{name: l, variants: {a: x}}, {name: r, weight: 4, variants: {a: z}}]}
";
    let simulated = simulated(&mesh(text), None, 50_000, 0);
    let by: Vec<&str> = simulated.shares.iter().map(|share| share.by.as_str()).collect();
    assert_eq!(by, ["split", "rule 'some'", "experiment 'e'"]);
    assert!(
        simulated.shares.iter().all(|share| share.test.is_some_and(|test| test.p > 0.001)),
        "{:?}",
        simulated.shares
    );
}

#[test]
fn a_ramp_is_judged_by_its_weight_at_the_time() {
    let text = "
models:
- name: a
  variants: [{name: x, weight: 10}, {name: z, ramp: {steps: [{at: '2030-01-01T00:00:00Z', weight: 10}, {at: '2030-01-03T00:00:00Z', weight: 30}]}}]
  sticky: {by: [{header: h}]}
freezes: [{from: '2030-01-02T00:00:00Z', until: '2030-01-05T00:00:00Z'}]
";
    let mesh = mesh(text);
    let meant = |time: &str| {
        let now: Timestamp = time.parse().expect("a time");
        let simulated = simulated(&mesh, None, 10_000, now.nanoseconds);
        assert!(simulated.shares.iter().all(|share| !share.mismatch), "{time}: {:?}", simulated.shares);
        simulated.shares[0].parts.iter().find(|part| part.name == "z").and_then(|part| part.meant)
    };
    assert_eq!(meant("2029-12-31T00:00:00Z"), Some(0.0));
    assert_eq!(meant("2030-01-01T00:00:00Z"), Some(0.5));
    assert_eq!(meant("2030-01-04T00:00:00Z"), Some(0.5), "frozen");
    assert_eq!(meant("2030-01-05T00:00:00Z"), Some(0.75));
}

#[test]
fn only_variants_that_grew_gain_users() {
    let before = mesh(&model(&[("x", 50.0), ("y2", 25.0), ("z", 25.0)], STICKY));
    for weights in [[60.0, 25.0, 25.0], [50.0, 0.0, 25.0], [1.0, 5.0, 2.0], [150.0, 75.0, 74.0]] {
        let after = mesh(&model(&[("x", weights[0]), ("y2", weights[1]), ("z", weights[2])], STICKY));
        let simulated = simulated(&before, Some(&after), 20_000, 0);
        let movement = &simulated.movements.expect("two configurations")[0];
        assert_eq!((movement.to_no_grower, movement.not_by_split, movement.without_key), (0, 0, 0), "{movement:?}");
        assert!(movement.moved > 0, "{movement:?}");
        assert_eq!(movement.matrix.iter().flatten().sum::<u64>(), 20_000);
    }
}

#[test]
fn another_salt_moves_users_to_variants_that_did_not_grow() {
    let weights = [("x", 50.0), ("z", 50.0)];
    let before = mesh(&model(&weights, STICKY));
    let after = mesh(&model(&weights, ", sticky: {by: [{header: x-user-id}], salt: other}"));
    let simulated = simulated(&before, Some(&after), 10_000, 0);
    let movement = &simulated.movements.expect("two configurations")[0];
    assert!(movement.to_no_grower > 4_000 && movement.to_no_grower == movement.moved, "{movement:?}");
}

#[test]
fn a_plot_shows_every_part_and_is_well_formed() {
    let before = mesh(&model(&[("x", 50.0), ("z", 50.0)], STICKY));
    let after = mesh(&model(&[("x", 90.0), ("z", 10.0)], STICKY));
    let simulated = simulated(&before, Some(&after), 1_000, 0);
    let svg = plot::svg(&simulated);
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert_eq!(svg.matches("<rect").count(), 1 + 2 + 4, "{svg}");
    assert!(
        plot::terminal(&simulated).lines().any(|line| line.trim_start().starts_with("x █")),
        "{}",
        plot::terminal(&simulated)
    );
}
