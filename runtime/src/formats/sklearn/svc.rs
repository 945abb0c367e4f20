//! Support vector classifiers: scikit-learn's `SVC` and `NuSVC`, computed as libsvm computes them.
//!
//! Every pair of classes (i < j) has a decision value: the sum of `coefficient · kernel` over the support
//! vectors of i, then of j, plus the pair's intercept. A value above zero is a vote for i, else for j; the
//! class with the most votes wins, the first one among equals. Sums are made in libsvm's order.
//! Source: C.-C. Chang and C.-J. Lin, "LIBSVM: a library for support vector machines", section 7 and 8.

mod classes;
mod kernel;
mod load;
mod probability;
mod serve;

#[cfg(test)]
mod tests;

use std::path::Path;

use classes::Classes;
use kernel::{Kernel, SupportVectors};
use probability::PairSigmoids;

use crate::error::Error;
use crate::formats::LoadError;
use crate::model::ModelMetadata;
use crate::tensor::TensorData;

/// Rows whose kernel values are kept at once, where a model has few support vectors.
const ROWS_AT_ONCE: usize = 16;
/// Kernel values that are kept at once, where it has many: 1 MiB.
const VALUES_AT_ONCE: usize = 1 << 17;

/// How `decision_function` puts the values of the pairs together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecisionShape {
    /// One value a class, from the votes and the pairs' values; scikit-learn's default.
    OneVsRest,
    /// One value a pair of classes.
    OneVsOne,
}

/// Values for each row of a batch, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct RowValues {
    /// Values a row.
    pub columns: usize,
    /// All values.
    pub values: Vec<f64>,
}

/// A fitted support vector classifier.
#[derive(Debug)]
pub struct Svc {
    /// `SVC` or `NuSVC`.
    estimator: &'static str,
    kernel: Kernel,
    vectors: SupportVectors,
    /// Where the support vectors of each class begin, and the end of the last.
    class_starts: Vec<usize>,
    /// For each support vector one coefficient for every other class.
    coefficients: Vec<f64>,
    /// One for each pair of classes, in libsvm's sign.
    intercepts: Vec<f64>,
    classes: Classes,
    shape: DecisionShape,
    break_ties: bool,
    sigmoids: Option<PairSigmoids>,
    metadata: ModelMetadata,
}

// === impl Svc ===

impl Svc {
    /// Reads a file that `joblib.dump` or `pickle.dump` wrote, and checks it.
    pub fn from_path(path: &Path) -> Result<Self, LoadError> {
        Self::from_path_with_limit(path, super::DEFAULT_MAX_BYTES)
    }

    /// Reads such a file, unless it is larger than this or inflates to more.
    pub fn from_path_with_limit(path: &Path, max_bytes: u64) -> Result<Self, LoadError> {
        load::from_path(path, max_bytes)
    }

    /// Reads the bytes of such a file.
    pub fn from_bytes(file: &[u8]) -> Result<Self, LoadError> {
        load::from_bytes(file, super::DEFAULT_MAX_BYTES)
    }

    /// Values that a row has.
    pub fn features(&self) -> usize {
        self.vectors.features()
    }

    /// Classes that the rows are divided into.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// Whether [`Self::predict_proba`] has what it needs.
    pub fn has_probabilities(&self) -> bool {
        self.sigmoids.is_some()
    }

    /// The label of each row; `rows` is row-major and whole rows only.
    pub fn predict(&self, rows: &[f64]) -> Result<TensorData, Error> {
        let classes = self.classes.len();
        // Two classes have no ties to break, and scikit-learn does not try.
        let by_value = self.break_ties && classes > 2;
        let mut winners = Vec::with_capacity(self.row_count(rows)?);
        let mut scores = vec![0.0; classes];
        let mut votes = vec![0_usize; classes];
        self.for_each_row(rows, |pairs| {
            if by_value {
                one_vs_rest(pairs, &mut scores);
                winners.push(first_largest(&scores));
            } else {
                count_votes(pairs, &mut votes);
                winners.push(first_largest(&votes));
            }
        });
        Ok(self.classes.labels(&winners))
    }

    /// What scikit-learn's `decision_function` gives: one value for two classes, else as
    /// `decision_function_shape` says.
    pub fn decision_function(&self, rows: &[f64]) -> Result<RowValues, Error> {
        self.decisions(rows, self.shape)
    }

    /// The decision values in a shape of the caller's choice.
    pub fn decisions(&self, rows: &[f64], shape: DecisionShape) -> Result<RowValues, Error> {
        let classes = self.classes.len();
        let columns = match shape {
            _ if classes == 2 => 1,
            DecisionShape::OneVsRest => classes,
            DecisionShape::OneVsOne => self.intercepts.len(),
        };
        let mut values = Vec::with_capacity(self.row_count(rows)?.saturating_mul(columns));
        let mut scores = vec![0.0; classes];
        self.for_each_row(rows, |pairs| match shape {
            // scikit-learn turns the sign, so that a positive value is the second class.
            _ if classes == 2 => values.extend(pairs.iter().map(|value| -value)),
            DecisionShape::OneVsRest => {
                one_vs_rest(pairs, &mut scores);
                values.extend_from_slice(&scores);
            }
            DecisionShape::OneVsOne => values.extend_from_slice(pairs),
        });
        Ok(RowValues { columns, values })
    }

    /// The probability of each class, for a model fitted with `probability=True`.
    pub fn predict_proba(&self, rows: &[f64]) -> Result<RowValues, Error> {
        let Some(sigmoids) = &self.sigmoids else {
            return Err(Error::invalid(format!(
                "this {} was fitted without probability=True and gives no 'predict_proba'",
                self.estimator
            )));
        };
        let columns = self.classes.len();
        let mut values = Vec::with_capacity(self.row_count(rows)?.saturating_mul(columns));
        self.for_each_row(rows, |pairs| values.extend(sigmoids.couple(pairs, columns)));
        Ok(RowValues { columns, values })
    }

    fn row_count(&self, rows: &[f64]) -> Result<usize, Error> {
        let features = self.features();
        if !rows.len().is_multiple_of(features) {
            return Err(Error::invalid(format!("{} values are no whole rows of {features}", rows.len())));
        }
        Ok(rows.len() / features)
    }

    /// Computes the decision values of the pairs, row by row.
    fn for_each_row(&self, rows: &[f64], mut with_pairs: impl FnMut(&[f64])) {
        let padded = self.vectors.padded_count();
        let at_once = ROWS_AT_ONCE.min(rows.len() / self.features()).min(VALUES_AT_ONCE / padded.max(1)).max(1);
        let mut kernel_values = vec![0.0; padded * at_once];
        let mut pairs = vec![0.0; self.intercepts.len()];
        let mut sums = vec![0.0; self.classes.len().saturating_sub(1)];
        for batch in rows.chunks(at_once * self.features()) {
            self.vectors.kernel_values(self.kernel, batch, &mut kernel_values);
            for row in 0..batch.len() / self.features() {
                let of_row = kernel_values.get(row * padded..).unwrap_or_default();
                self.pair_values(of_row, &mut sums, &mut pairs);
                with_pairs(&pairs);
            }
        }
    }

    /// The decision value of every pair from the kernel values of one row.
    ///
    /// A support vector of class c takes part in the c·(others) pairs only. Its coefficients stand side by
    /// side, for the classes below c and then above it, so all its pairs are summed at once; each pair still
    /// gets its terms in libsvm's order, the lower class first.
    fn pair_values(&self, kernel_values: &[f64], sums: &mut [f64], pairs: &mut [f64]) {
        let classes = self.classes.len();
        let others = classes.saturating_sub(1);
        pairs.fill(0.0);
        for (class, bounds) in self.class_starts.windows(2).enumerate() {
            let &[start, end] = bounds else { continue };
            let place = |other: usize| {
                if other < class { pair_index(other, class, classes) } else { pair_index(class, other + 1, classes) }
            };
            for (other, sum) in sums.iter_mut().enumerate() {
                *sum = pairs.get(place(other)).copied().unwrap_or(0.0);
            }
            let values = kernel_values.get(start..end).unwrap_or_default();
            let coefficients = self.coefficients.get(start * others..end * others).unwrap_or_default();
            for (&value, coefficients) in values.iter().zip(coefficients.chunks_exact(others)) {
                for (sum, &coefficient) in sums.iter_mut().zip(coefficients) {
                    *sum += coefficient * value;
                }
            }
            for (other, &sum) in sums.iter().enumerate() {
                if let Some(pair) = pairs.get_mut(place(other)) {
                    *pair = sum;
                }
            }
        }
        for (pair, intercept) in pairs.iter_mut().zip(&self.intercepts) {
            *pair += intercept;
        }
    }
}

/// The place of the pair of classes `low < high` in libsvm's order: (0,1), (0,2) … (1,2) ….
fn pair_index(low: usize, high: usize, classes: usize) -> usize {
    low * classes - low * (low + 1) / 2 + (high - low - 1)
}

/// All pairs of classes in libsvm's order.
fn pairs_of(classes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..classes).flat_map(move |low| (low + 1..classes).map(move |high| (low, high)))
}

fn count_votes(pairs: &[f64], votes: &mut [usize]) {
    votes.fill(0);
    for ((low, high), &value) in pairs_of(votes.len()).zip(pairs) {
        let winner = if value > 0.0 { low } else { high };
        if let Some(count) = votes.get_mut(winner) {
            *count += 1;
        }
    }
}

/// The score of each class: its votes, and between equals the sum of its values, squeezed into ±⅓.
///
/// That is scikit-learn's rule since 0.21; 0.20 scaled by the largest value of the whole batch, so that a
/// row's score depended on its neighbours. Here a value of exactly zero is a vote for the lower class.
fn one_vs_rest(pairs: &[f64], scores: &mut [f64]) {
    let classes = scores.len();
    let mut sums = vec![0.0; classes];
    scores.fill(0.0);
    for ((low, high), &value) in pairs_of(classes).zip(pairs) {
        let winner = if value < 0.0 { high } else { low };
        if let Some(score) = scores.get_mut(winner) {
            *score += 1.0;
        }
        if let Some(sum) = sums.get_mut(low) {
            *sum += value;
        }
        if let Some(sum) = sums.get_mut(high) {
            *sum -= value;
        }
    }
    for (score, sum) in scores.iter_mut().zip(sums) {
        *score += sum / (3.0 * (sum.abs() + 1.0));
    }
}

fn first_largest<T: PartialOrd>(values: &[T]) -> usize {
    let mut best: Option<(usize, &T)> = None;
    for (index, value) in values.iter().enumerate() {
        if best.is_none_or(|(_, largest)| value > largest) {
            best = Some((index, value));
        }
    }
    best.map_or(0, |(index, _)| index)
}
