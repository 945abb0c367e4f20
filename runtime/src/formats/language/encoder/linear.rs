//! Linear layers and norms, which hold no more than weights.

use modelway_kernels::{Matrix, ShapeError, layer_norm};

use crate::formats::LoadError;
use crate::formats::language::weights::{Kept, Weights};

/// y = W·x + b. Layers that take the same input are one layer here, one below the other.
pub(in crate::formats::language) struct Linear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
}

/// Of mean and variance.
pub(in crate::formats::language) struct Norm {
    scale: Vec<f32>,
    shift: Option<Vec<f32>>,
    epsilon: f32,
}

// === impl Linear ===

impl Linear {
    /// Of layers by these names, with so many outputs each.
    pub(in crate::formats::language) fn take(
        weights: &mut Weights,
        parts: &[(String, usize)],
        inputs: usize,
        has_bias: bool,
        kept: Kept,
    ) -> Result<Self, LoadError> {
        let names: Vec<_> = parts.iter().map(|(name, outputs)| (format!("{name}.weight"), *outputs)).collect();
        let weight = weights.host_matrix(&names, inputs, kept)?;
        let mut bias = has_bias.then(Vec::new);
        if let Some(bias) = &mut bias {
            for (name, outputs) in parts {
                bias.extend(weights.take(&format!("{name}.bias"), &[*outputs])?);
            }
        }
        Ok(Self { weight, bias })
    }

    /// Of `[rows, inputs]`.
    pub(in crate::formats::language) fn apply(&self, rows: &[f32]) -> Result<Vec<f32>, ShapeError> {
        let count = rows.len() / self.weight.inputs().max(1);
        let mut all = vec![0.0; count * self.weight.outputs()];
        self.weight.multiply(rows, count, self.bias.as_deref(), &mut all)?;
        Ok(all)
    }

    pub(in crate::formats::language) fn size_bytes(&self) -> usize {
        self.weight.size_bytes() + self.bias.as_ref().map_or(0, |bias| bias.len() * size_of::<f32>())
    }
}

// === impl Norm ===

impl Norm {
    pub(in crate::formats::language) fn take(
        weights: &mut Weights,
        name: &str,
        width: usize,
        has_shift: bool,
        epsilon: f32,
    ) -> Result<Self, LoadError> {
        let scale = weights.take(&format!("{name}.weight"), &[width])?;
        let shift = has_shift.then(|| weights.take(&format!("{name}.bias"), &[width])).transpose()?;
        Ok(Self { scale, shift, epsilon })
    }

    /// Of rows of the norm's width.
    pub(in crate::formats::language) fn apply(&self, rows: &[f32]) -> Result<Vec<f32>, ShapeError> {
        let mut normed = vec![0.0; rows.len()];
        layer_norm(rows, &self.scale, self.shift.as_deref(), self.epsilon, &mut normed)?;
        Ok(normed)
    }

    pub(in crate::formats::language) fn size_bytes(&self) -> usize {
        (self.scale.len() + self.shift.as_ref().map_or(0, Vec::len)) * size_of::<f32>()
    }
}
