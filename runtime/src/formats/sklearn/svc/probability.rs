//! Class probabilities from decision values: Platt's sigmoid for every pair, coupled over all classes.
//!
//! Source: T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability estimates for multi-class classification by
//! pairwise coupling", JMLR 5 (2004), the second method (its Algorithm 2), which libsvm uses. The number of
//! rounds, the stopping rule and the clamp are libsvm's, because they show in the result's digits.

use super::pairs_of;

/// Pair probabilities are kept away from 0 and 1 by this.
const MARGIN: f64 = 1e-7;

/// The sigmoids of all pairs of classes: P(lower class) = 1 / (1 + exp(a·value + b)).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PairSigmoids {
    pub(super) a: Vec<f64>,
    pub(super) b: Vec<f64>,
}

// === impl PairSigmoids ===

impl PairSigmoids {
    /// The classes' probabilities from the pairs' decision values.
    pub(super) fn couple(&self, decisions: &[f64], classes: usize) -> Vec<f64> {
        // between[i][j]: how likely i is, if it is i or j.
        let mut between = vec![vec![0.0; classes]; classes];
        for ((low, high), ((&decision, &a), &b)) in pairs_of(classes).zip(decisions.iter().zip(&self.a).zip(&self.b)) {
            let probability = sigmoid(decision * a + b).clamp(MARGIN, 1.0 - MARGIN);
            set(&mut between, low, high, probability);
            set(&mut between, high, low, 1.0 - probability);
        }
        solve(&form(&between))
    }

    /// Bytes of memory that they keep.
    pub(super) fn size_bytes(&self) -> usize {
        (self.a.capacity() + self.b.capacity()) * size_of::<f64>()
    }
}

/// 1 / (1 + exp(x)), of which no part overflows.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        let small = (-x).exp();
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + x.exp())
    }
}

/// The matrix Q of the paper's equation 18, whose form pᵀQp is to be made least.
fn form(between: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let classes = between.len();
    let mut matrix = vec![vec![0.0; classes]; classes];
    for i in 0..classes {
        let diagonal = (0..classes).filter(|&j| j != i).map(|j| at(between, j, i) * at(between, j, i)).sum();
        set(&mut matrix, i, i, diagonal);
        for j in (0..classes).filter(|&j| j != i) {
            set(&mut matrix, i, j, -at(between, j, i) * at(between, i, j));
        }
    }
    matrix
}

/// The p ≥ 0 with sum 1 that makes pᵀQp least, by turns over its entries.
fn solve(matrix: &[Vec<f64>]) -> Vec<f64> {
    let classes = matrix.len();
    let mut p = vec![1.0 / classes as f64; classes];
    let tolerance = 0.005 / classes as f64;
    for _ in 0..classes.max(100) {
        let mut products: Vec<f64> = matrix.iter().map(|row| row.iter().zip(&p).map(|(q, p)| q * p).sum()).collect();
        let mut total: f64 = products.iter().zip(&p).map(|(product, p)| product * p).sum();
        let worst = products.iter().map(|product| (product - total).abs()).fold(0.0, f64::max);
        if worst < tolerance {
            break;
        }
        for t in 0..classes {
            let product = products.get(t).copied().unwrap_or(0.0);
            let diagonal = at(matrix, t, t);
            let step = (total - product) / diagonal;
            let scale = 1.0 + step;
            if let Some(entry) = p.get_mut(t) {
                *entry += step;
            }
            total = (total + step * (step * diagonal + 2.0 * product)) / scale / scale;
            for (j, (product, entry)) in products.iter_mut().zip(&mut p).enumerate() {
                *product = (*product + step * at(matrix, t, j)) / scale;
                *entry /= scale;
            }
        }
    }
    p
}

fn at(matrix: &[Vec<f64>], row: usize, column: usize) -> f64 {
    matrix.get(row).and_then(|row| row.get(column)).copied().unwrap_or(0.0)
}

fn set(matrix: &mut [Vec<f64>], row: usize, column: usize, value: f64) {
    if let Some(place) = matrix.get_mut(row).and_then(|row| row.get_mut(column)) {
        *place = value;
    }
}
