//! Pearson's χ² test: whether counts may come from the shares that were meant.
//!
//! The p-value is Q(k/2, χ²/2), the regularised upper incomplete gamma function for k degrees of
//! freedom, by its power series for small arguments and its continued fraction (Lentz's method) for
//! great ones: Abramowitz and Stegun, 6.5.29 and 6.5.31.

use serde::Serialize;

/// The outcome of a test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Test {
    pub(crate) statistic: f64,
    pub(crate) degrees_of_freedom: usize,
    /// How often chance alone gives counts as far from the shares, or farther.
    pub(crate) p: f64,
}

const MOST_STEPS: usize = 10_000;

/// With fewer expected in a share the statistic is not χ² distributed.
const LEAST_EXPECTED: f64 = 5.0;

/// Counts against weights; `None` where nothing can be told: one share, or too few counts.
pub(crate) fn test(counts: &[(u64, f64)]) -> Option<Test> {
    let total: f64 = counts.iter().map(|(count, _)| *count as f64).sum();
    let weights: f64 = counts.iter().map(|(_, weight)| weight).sum();
    // A variant that nobody may get has no part in the statistic; a count there is certain to be wrong.
    let possible = counts.iter().filter(|(_, weight)| *weight > 0.0);
    let degrees_of_freedom = possible.clone().count().checked_sub(1).filter(|degrees| *degrees > 0)?;
    if counts.iter().any(|(count, weight)| *weight == 0.0 && *count > 0) {
        return Some(Test { statistic: f64::INFINITY, degrees_of_freedom, p: 0.0 });
    }
    if possible.clone().any(|(_, weight)| total * weight / weights < LEAST_EXPECTED) {
        return None;
    }
    let terms = possible.map(|(count, weight)| {
        let expected = total * weight / weights;
        (*count as f64 - expected).powi(2) / expected
    });
    let statistic: f64 = terms.sum();
    Some(Test { statistic, degrees_of_freedom, p: upper_gamma(degrees_of_freedom as f64 / 2.0, statistic / 2.0) })
}

/// Q(a, x).
fn upper_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - libm::lgamma(a)).exp();
    if x < a + 1.0 { 1.0 - scale * series(a, x) } else { scale * fraction(a, x) }
}

/// Σ xⁿ / (a (a+1) … (a+n)).
fn series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for step in 1..MOST_STEPS {
        term *= x / (a + step as f64);
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

/// 1/(x+1−a − 1·(1−a)/(x+3−a − 2·(2−a)/(x+5−a − …))).
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let nonzero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / nonzero(b);
    let mut value = d;
    for step in 1..MOST_STEPS {
        let step = step as f64;
        let numerator = -step * (step - a);
        b += 2.0;
        d = 1.0 / nonzero(numerator * d + b);
        c = nonzero(b + numerator / c);
        let factor = c * d;
        value *= factor;
        if (factor - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_those_of_scipy() {
        // scipy.stats.chi2.sf(statistic, degrees)
        let known = [
            (3.841_458_820_694_124, 1, 0.05),
            (0.1, 1, 0.751_829_634_045_849_2),
            (10.827_566_170_662_733, 1, 0.001),
            (2.0, 3, 0.572_406_704_470_879_6),
            (30.0, 5, 1.474_858_103_844_307_3e-5),
            (100.0, 1, 1.523_970_604_832_099_5e-23),
            (80.0, 99, 0.919_187_873_598_090_1),
        ];
        for (statistic, degrees, expected) in known {
            let p = upper_gamma(f64::from(degrees) / 2.0, statistic / 2.0);
            assert!((p / expected - 1.0).abs() < 1e-9, "χ² {statistic} with {degrees} degrees: {p}, not {expected}");
        }
    }

    #[test]
    fn counts_that_fit_are_likely_and_counts_that_do_not_are_not() {
        let p = |counts: &[(u64, f64)]| test(counts).map(|test| test.p);
        assert_eq!(p(&[(900, 90.0), (100, 10.0)]), Some(1.0));
        assert!(p(&[(850, 90.0), (150, 10.0)]).is_some_and(|p| p < 1e-6));
        assert_eq!(p(&[(900, 1.0), (1, 0.0)]), None);
        assert_eq!(p(&[(900, 1.0), (900, 1.0), (1, 0.0)]), Some(0.0));
        assert_eq!(p(&[(0, 1.0), (0, 1.0)]), None);
        assert_eq!(p(&[(40, 9.0), (4, 1.0)]), None);
    }
}
