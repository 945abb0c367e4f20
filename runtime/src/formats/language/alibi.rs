//! ALiBi: attention falls off with the distance, for each head at a slope of its own.
//!
//! Press, Smith and Lewis, "Train short, test long" (2022). The bias is given by the key's position alone: it
//! differs from the form with distances by a constant for each query, which the softmax takes away.

/// The slope of each head. Powers of 2^(−8/n) for a power of two; else those of the power of two below, and for the
/// rest every other one of the power of two above.
pub(super) fn slopes(heads: usize) -> Vec<f32> {
    let below = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    let base = |count: usize| 2_f64.powf(-8.0 / count as f64);
    let power = |count: usize, exponent: usize| base(count).powi(i32::try_from(exponent).unwrap_or(i32::MAX)) as f32;
    let first = (1..=below).map(|exponent| power(below, exponent));
    let rest = (0..heads - below).map(|number| power(below * 2, 2 * number + 1));
    first.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::slopes;

    #[test]
    fn six_heads_have_the_slopes_of_four_and_two_of_eight() {
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015_625, 0.003_906_25, 0.5, 0.125]);
    }

    #[test]
    fn sixteen_heads_begin_at_the_root_of_a_half() {
        let slopes = slopes(16);
        assert!((slopes[0] - 0.5_f32.sqrt()).abs() < 1e-7);
        assert!((slopes[15] - 2_f32.powi(-8)).abs() < 1e-7);
    }
}
