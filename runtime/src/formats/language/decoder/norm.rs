//! Normalisation of positions, and of single heads.

use crate::formats::LoadError;
use crate::formats::language::compute::{ComputeError, States, Vector};
use crate::formats::language::config;
use crate::formats::language::weights::Weights;

pub(super) struct Norm {
    kind: config::Norm,
    scale: Vector,
    shift: Option<Vector>,
}

// === impl Norm ===

impl Norm {
    pub(super) fn take(weights: &mut Weights, name: &str, width: usize, kind: config::Norm) -> Result<Self, LoadError> {
        let mut scale = weights.take(&format!("{name}.weight"), &[width])?;
        let shift = match kind {
            config::Norm::Layer(_) => Some(weights.take(&format!("{name}.bias"), &[width])?),
            config::Norm::Rms(_) => None,
            config::Norm::RmsFromOne(_) => {
                scale.iter_mut().for_each(|scale| *scale += 1.0);
                None
            }
        };
        let (scale, shift) = (weights.vector(scale)?, shift.map(|shift| weights.vector(shift)).transpose()?);
        Ok(Self { kind, scale, shift })
    }

    /// Of vectors of the norm's width.
    pub(super) fn apply(&self, states: &States) -> Result<States, ComputeError> {
        states.normed(self.kind, &self.scale, self.shift.as_ref())
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.scale.size_bytes() + self.shift.as_ref().map_or(0, Vector::size_bytes)
    }
}
