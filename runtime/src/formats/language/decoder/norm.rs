//! Normalisation of positions, and of single heads.

use modelway_kernels::{ShapeError, layer_norm, rms_norm};

use crate::formats::LoadError;
use crate::formats::language::config;
use crate::formats::language::weights::Weights;

pub(super) struct Norm {
    kind: config::Norm,
    scale: Vec<f32>,
    shift: Option<Vec<f32>>,
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
        Ok(Self { kind, scale, shift })
    }

    /// Of rows of the norm's width.
    pub(super) fn apply(&self, positions: &[f32]) -> Result<Vec<f32>, ShapeError> {
        let mut normed = vec![0.0; positions.len()];
        match self.kind {
            config::Norm::Layer(epsilon) => {
                layer_norm(positions, &self.scale, self.shift.as_deref(), epsilon, &mut normed)?;
            }
            config::Norm::Rms(epsilon) | config::Norm::RmsFromOne(epsilon) => {
                rms_norm(positions, &self.scale, epsilon, &mut normed)?;
            }
        }
        Ok(normed)
    }

    pub(super) fn size_bytes(&self) -> usize {
        (self.scale.len() + self.shift.as_ref().map_or(0, Vec::len)) * size_of::<f32>()
    }
}
