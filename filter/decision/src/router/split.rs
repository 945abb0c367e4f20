//! Splits: which variant of several a unit gets.

use super::positions::Positions;
use super::ramp::Ramp;
use crate::assign::{Share, Unit, assign};

/// Stakes of variants.
#[derive(Debug, Default)]
pub(super) struct Split(pub(super) Vec<Stake>);

/// A variant's part of a split.
#[derive(Debug)]
pub(super) struct Stake {
    /// The variant's.
    pub(super) position: usize,
    pub(super) share: Share,
    pub(super) ramp: Option<Ramp>,
}

// === impl Split ===

impl Split {
    /// Whether more than one of these may win: otherwise nothing is drawn.
    pub(super) fn is_drawn(&self, among: Positions) -> bool {
        let possible = self.among(among).filter(|stake| stake.may_win());
        possible.take(2).count() == 2
    }

    /// Whether one of these is among its variants.
    pub(super) fn reaches(&self, among: Positions) -> bool {
        self.among(among).next().is_some()
    }

    /// The winner among those with a weight.
    pub(super) fn winner(&self, among: Positions, unit: Unit, now: impl Fn() -> u64) -> Option<usize> {
        let time = if self.0.iter().any(|stake| stake.ramp.is_some()) { now() } else { 0 };
        assign(unit, self.among(among).map(|stake| (stake.position, stake.share_at(time))))
    }

    /// The first of these, whatever its weight.
    pub(super) fn first(&self, among: Positions) -> Option<usize> {
        self.among(among).next().map(|stake| stake.position)
    }

    fn among(&self, among: Positions) -> impl Iterator<Item = &Stake> {
        self.0.iter().filter(move |stake| among.has(stake.position))
    }
}

// === impl Stake ===

impl Stake {
    pub(super) fn new(position: usize, variant: &[u8], weight: f64) -> Self {
        Self { position, share: Share::new(variant, weight), ramp: None }
    }

    /// Whether it has a weight, now or at some time.
    pub(super) fn may_win(&self) -> bool {
        self.share.weight() > 0.0 || self.ramp.as_ref().is_some_and(Ramp::rises)
    }

    fn share_at(&self, now: u64) -> Share {
        match self.ramp.as_ref().and_then(|ramp| ramp.weight_at(now)) {
            Some(weight) => self.share.with_weight(weight),
            None => self.share,
        }
    }
}
