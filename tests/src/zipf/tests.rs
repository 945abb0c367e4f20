//! The law holds, and nothing but the seed decides.

use super::*;

#[test]
fn the_most_popular_models_are_asked_as_often_as_the_law_says() {
    const REQUESTS: usize = 200_000;
    let zipf = Zipf::new(1000, 1.0, 1);
    let ranks = zipf.by_popularity().to_vec();
    let mut counts = vec![0_usize; 1000];
    for model in zipf.take(REQUESTS) {
        counts[model] += 1;
    }
    let harmonic: f64 = (1..=1000).map(|rank| 1.0 / f64::from(rank)).sum();
    for (rank, &model) in ranks.iter().enumerate().take(20) {
        let expected = REQUESTS as f64 / harmonic / (rank + 1) as f64;
        let deviation = (counts[model] as f64 - expected).abs();
        assert!(deviation < 5.0 * expected.sqrt(), "rank {rank}: {} times, expected {expected}", counts[model]);
    }
}

#[test]
fn without_an_exponent_all_models_are_asked_alike() {
    let mut counts = vec![0_usize; 10];
    for model in Zipf::new(10, 0.0, 2).take(10_000) {
        counts[model] += 1;
    }
    assert!(counts.iter().all(|&count| (850..1150).contains(&count)), "{counts:?}");
}

#[test]
fn a_seed_is_a_trace_and_an_order_of_models() {
    let trace = |seed| Zipf::new(50, 0.9, seed).take(100).collect::<Vec<_>>();
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
    let zipf = Zipf::new(50, 0.9, 3);
    let mut models = zipf.by_popularity().to_vec();
    assert_ne!(models, (0..50).collect::<Vec<_>>());
    models.sort_unstable();
    assert_eq!(models, (0..50).collect::<Vec<_>>());
}

#[test]
fn without_models_there_are_no_requests() {
    assert_eq!(Zipf::new(0, 1.0, 5).next(), None);
}
