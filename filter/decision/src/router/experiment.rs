//! Experiments: which units are in, and which arm each of them gets.

use crate::assign::{Salt, Share, Unit, assign};

use super::key::Keys;

#[derive(Debug)]
pub(super) struct Experiment {
    pub(super) name: Vec<u8>,
    pub(super) keys: Keys,
    /// Its stretch of the layer's units, from 0 to 1.
    pub(super) from: f64,
    pub(super) to: f64,
    /// Where a unit stands in the layer.
    pub(super) layer_salt: Salt,
    pub(super) hold_outs: Vec<HoldOut>,
    /// Which arm a unit gets.
    pub(super) salt: Salt,
    pub(super) arms: Vec<Arm>,
    /// Sorted.
    pub(super) allow: Vec<Vec<u8>>,
    /// Sorted.
    pub(super) deny: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(super) struct Arm {
    pub(super) name: Vec<u8>,
    pub(super) share: Share,
    /// Sorted.
    pub(super) allow: Vec<Vec<u8>>,
}

/// Units that get no arm, for comparison.
#[derive(Debug)]
pub(super) struct HoldOut {
    pub(super) salt: Salt,
    /// From 0 to 1.
    pub(super) part: f64,
}

/// What a unit is to an experiment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Membership {
    /// Not in it.
    Out,
    /// In its stretch, but held out.
    HeldOut,
    /// By its position.
    Arm(usize),
}

// === impl Experiment ===

impl Experiment {
    /// What the unit of this key is to it.
    pub(super) fn membership(&self, key: &[u8]) -> Membership {
        if contains(&self.deny, key) {
            return Membership::Out;
        }
        if let Some(arm) = self.arms.iter().position(|arm| contains(&arm.allow, key)) {
            return Membership::Arm(arm);
        }
        if !contains(&self.allow, key) {
            let place = self.layer_salt.unit(key).place();
            if !(self.from..self.to).contains(&place) {
                return Membership::Out;
            }
            if self.hold_outs.iter().any(|hold_out| hold_out.salt.unit(key).place() < hold_out.part) {
                return Membership::HeldOut;
            }
        }
        let shares = self.arms.iter().enumerate().map(|(position, arm)| (position, arm.share));
        assign(self.unit(key), shares).map_or(Membership::Out, Membership::Arm)
    }

    pub(super) fn unit(&self, key: &[u8]) -> Unit {
        self.salt.unit(key)
    }
}

fn contains(sorted: &[Vec<u8>], key: &[u8]) -> bool {
    sorted.binary_search_by(|known| known.as_slice().cmp(key)).is_ok()
}
