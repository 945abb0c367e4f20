//! A variant's weight over time.

use crate::config::{self, Freeze};

/// Weights by the time from which they count, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ramp(Vec<(u64, f64)>);

// === impl Ramp ===

impl Ramp {
    /// A step that falls into a freeze comes at its end.
    pub(super) fn new(ramp: &config::Ramp, freezes: &[Freeze]) -> Self {
        let mut freezes: Vec<&Freeze> = freezes.iter().chain(&ramp.freezes).collect();
        freezes.sort_by_key(|freeze| freeze.from);
        let thawed = |mut at: config::Timestamp| {
            // In order of their begins: the end of one may fall into the next.
            for freeze in &freezes {
                if freeze.from <= at && at < freeze.until {
                    at = freeze.until;
                }
            }
            at.nanoseconds
        };
        Self(ramp.steps.iter().map(|step| (thawed(step.at), step.weight.0)).collect())
    }

    /// The weight at this time, in nanoseconds since 1970; `None` before the first step.
    pub(super) fn weight_at(&self, now: u64) -> Option<f64> {
        let passed = self.0.iter().take_while(|(at, _)| *at <= now);
        passed.last().map(|(_, weight)| *weight)
    }

    /// Whether there is a time at which it gets anything.
    pub(super) fn rises(&self) -> bool {
        self.0.iter().any(|(_, weight)| *weight > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RampStep, Timestamp, Weight};

    fn at(hour: u64) -> Timestamp {
        Timestamp { nanoseconds: hour * 3_600_000_000_000 }
    }

    fn weights(freezes: &[(u64, u64)]) -> Vec<Option<f64>> {
        let steps = [(1, 1.0), (3, 10.0), (4, 50.0), (8, 0.0)];
        let ramp = config::Ramp {
            steps: steps.into_iter().map(|(hour, weight)| RampStep { at: at(hour), weight: Weight(weight) }).collect(),
            freezes: Vec::new(),
        };
        let freezes: Vec<_> =
            freezes.iter().map(|(from, until)| Freeze { from: at(*from), until: at(*until) }).collect();
        let ramp = Ramp::new(&ramp, &freezes);
        (0..10).map(|hour| ramp.weight_at(at(hour).nanoseconds)).collect()
    }

    #[test]
    fn a_step_counts_from_its_time_on() {
        let expected = [
            None,
            Some(1.0),
            Some(1.0),
            Some(10.0),
            Some(50.0),
            Some(50.0),
            Some(50.0),
            Some(50.0),
            Some(0.0),
            Some(0.0),
        ];
        assert_eq!(weights(&[]), expected);
    }

    #[test]
    fn in_a_freeze_the_weight_stays_and_the_last_missed_step_comes_at_its_end() {
        let expected =
            [None, Some(1.0), Some(1.0), Some(1.0), Some(1.0), Some(1.0), Some(50.0), Some(50.0), Some(0.0), Some(0.0)];
        assert_eq!(weights(&[(2, 6)]), expected);
        assert_eq!(weights(&[(5, 6), (2, 5)]), expected);
    }
}
