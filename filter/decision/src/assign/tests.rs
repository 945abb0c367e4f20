use proptest::prelude::*;

use super::*;

fn shares(weights: &[f64]) -> Vec<Share> {
    weights
        .iter()
        .enumerate()
        .map(|(index, &weight)| Share::new(format!("variant-{index}").as_bytes(), weight))
        .collect()
}

fn assign_user(salt: Salt, user: u64, shares: &[Share]) -> usize {
    assign(salt.unit(format!("user-{user}").as_bytes()), shares.iter().copied().enumerate()).unwrap()
}

/// Pearson's statistic of observed counts against expected ones.
fn chi_square(observed: &[u64], expected: &[f64]) -> f64 {
    observed.iter().zip(expected).map(|(&seen, &mean)| (seen as f64 - mean).powi(2) / mean).sum()
}

#[test]
fn a_million_users_are_split_as_the_weights_say() {
    let weights = [70.0, 20.0, 9.5, 0.5];
    let shares = shares(&weights);
    for salt in ["sklearn-mnist", "another", ""] {
        let salt = Salt::new(salt.as_bytes());
        let mut counts = [0_u64; 4];
        for user in 0..1_000_000 {
            counts[assign_user(salt, user, &shares)] += 1;
        }
        // χ² with 3 degrees of freedom: p = 0.001 at 16.27.
        assert!(chi_square(&counts, &weights.map(|weight| weight * 10_000.0)) < 16.27, "{counts:?}");
    }
}

#[test]
fn experiments_with_different_salts_are_independent() {
    let shares = shares(&[50.0, 50.0]);
    let (first, second) = (Salt::new(b"experiment-1"), Salt::new(b"experiment-2"));
    let mut table = [0_u64; 4];
    for user in 0..200_000 {
        table[assign_user(first, user, &shares) * 2 + assign_user(second, user, &shares)] += 1;
    }
    // Against the uniform table: 3 degrees of freedom.
    assert!(chi_square(&table, &[50_000.0; 4]) < 16.27, "{table:?}");
}

#[test]
fn a_share_without_weight_gets_nobody() {
    let shares = shares(&[0.0, 1.0]);
    assert!((0..1_000).all(|user| assign_user(Salt::new(b""), user, &shares) == 1));
    assert_eq!(assign(Unit::random(7), [(0, Share::new(b"a", 0.0))]), None);
}

/// The exact users of a split are a promise: an upgrade of a gateway must not reshuffle them.
#[test]
fn assignments_never_change_between_releases() {
    let shares = [Share::new(b"stable", 90.0), Share::new(b"canary", 10.0)];
    let salt = Salt::new(b"sklearn-mnist");
    let canaries: Vec<u64> = (0..100).filter(|&user| assign_user(salt, user, &shares) == 1).collect();
    assert_eq!(canaries, [2, 13, 18, 24, 27, 31, 66, 67, 76, 81]);
}

proptest! {
    #[test]
    fn no_user_moves_between_variants_that_did_not_grow(
        weights in prop::collection::vec(0.0_f64..100.0, 2..=6),
        changed in 0_usize..6,
        raised_by in 0.0_f64..50.0,
        users in prop::collection::vec(any::<u64>(), 200),
    ) {
        let changed = changed % weights.len();
        let mut grown = weights.clone();
        grown[changed] += raised_by;
        prop_assume!(weights.iter().sum::<f64>() > 0.0);
        let (before, after) = (shares(&weights), shares(&grown));
        for user in users {
            let (from, to) = (assign_user(Salt::new(b"s"), user, &before), assign_user(Salt::new(b"s"), user, &after));
            prop_assert!(from == to || to == changed, "user {} moved from {} to {}", user, from, to);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_user_moves_only_to_a_variant_that_has_grown_against_its_own(
        weights in prop::collection::vec((0.0_f64..100.0, 0.0_f64..100.0), 2..=6),
        salt in any::<u64>(),
    ) {
        let (before, after): (Vec<f64>, Vec<f64>) = weights.into_iter().unzip();
        let salt = Salt::new(&salt.to_le_bytes());
        let (shares_before, shares_after) = (shares(&before), shares(&after));
        for user in 0..300 {
            let from = assign_user(salt, user, &shares_before);
            let to = assign_user(salt, user, &shares_after);
            // Grown against the variant that the user had: w'(to) / w'(from) > w(to) / w(from).
            prop_assert!(from == to || after[to] * before[from] > before[to] * after[from]);
        }
    }

    #[test]
    fn raising_one_weight_moves_users_to_that_variant_and_nowhere_else(
        weights in prop::collection::vec(0.1_f64..100.0, 2..=6),
        raised in any::<prop::sample::Index>(),
        by in 0.0_f64..100.0,
    ) {
        let raised = raised.index(weights.len());
        let mut after = weights.clone();
        after[raised] += by;
        let salt = Salt::new(b"ramp");
        let (before, after) = (shares(&weights), shares(&after));
        for user in 0..300 {
            let (from, to) = (assign_user(salt, user, &before), assign_user(salt, user, &after));
            prop_assert!(from == to || to == raised);
        }
    }
}
