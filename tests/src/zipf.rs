//! Requests for models as popularity makes them: the n-th most popular of them is asked n⁻ˢ times as often as the first.

use crate::random::Random;

#[cfg(test)]
mod tests;

/// An endless trace over models `0..count`, the same for the same seed.
///
/// Which model is how popular is drawn as well: neither its number nor its size says anything about it.
#[derive(Clone, Debug)]
pub struct Zipf {
    random: Random,
    /// The sum of the weights up to each rank.
    cumulative: Vec<f64>,
    /// The model of each rank.
    models: Vec<usize>,
}

// === impl Zipf ===

impl Zipf {
    /// Over so many models, with this exponent.
    pub fn new(count: usize, exponent: f64, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut total = 0.0;
        let weights = (1..=count).map(|rank| (rank as f64).powf(-exponent));
        let cumulative = weights.map(|weight| {
            total += weight;
            total
        });
        let cumulative = cumulative.collect();
        let models = random.order_of(count);
        Self { random, cumulative, models }
    }

    /// The models, the most popular first.
    pub fn by_popularity(&self) -> &[usize] {
        &self.models
    }
}

impl Iterator for Zipf {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let drawn = self.random.fraction() * self.cumulative.last()?;
        let rank = self.cumulative.partition_point(|&sum| sum <= drawn);
        self.models.get(rank).or(self.models.last()).copied()
    }
}
