//! Activation functions, in place, and gates.

use crate::instructions::{Instructions, Task};
use crate::shape::{ShapeError, check};
use crate::simd::{MAX_LANES, Simd, erfcx, exp};
use rayon::prelude::*;

/// Values that one thread takes at least.
const PIECE: usize = 1 << 14;

/// A function of each value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `0.5 x (1 + erf(x / sqrt 2))`: PyTorch's `gelu`.
    Gelu,
    /// `0.5 x (1 + tanh(0.79788456 x (1 + 0.044715 x^2)))`: BLOOM's, and PyTorch's `gelu_tanh`.
    GeluTanh,
    /// `x / (1 + e^-x)`, also named swish.
    Silu,
    /// `max(x, 0)`.
    Relu,
}

struct Apply<'a> {
    activation: Activation,
    values: &'a mut [f32],
    up: Option<&'a [f32]>,
}

// === impl Activation ===

impl Activation {
    /// `x = f(x)` for every value.
    pub fn apply(self, values: &mut [f32]) {
        self.apply_with(Instructions::best(), values);
    }

    /// `gate = f(gate) * up`: what stands between the projections of a gated feed-forward layer.
    ///
    /// # Errors
    /// If the two are not equally long.
    pub fn gate(self, gate: &mut [f32], up: &[f32]) -> Result<(), ShapeError> {
        check("values of `up` (as many as of `gate`)", up.len(), gate.len())?;
        self.gate_with(Instructions::best(), gate, up);
        Ok(())
    }

    pub(crate) fn apply_with(self, instructions: Instructions, values: &mut [f32]) {
        if values.len() <= PIECE {
            return instructions.run(Apply { activation: self, values, up: None });
        }
        let pieces = values.par_chunks_mut(PIECE);
        pieces.for_each(|values| instructions.run(Apply { activation: self, values, up: None }));
    }

    pub(crate) fn gate_with(self, instructions: Instructions, gate: &mut [f32], up: &[f32]) {
        if gate.len() <= PIECE {
            return instructions.run(Apply { activation: self, values: gate, up: Some(up) });
        }
        let pieces = gate.par_chunks_mut(PIECE).zip(up.par_chunks(PIECE));
        pieces.for_each(|(values, up)| instructions.run(Apply { activation: self, values, up: Some(up) }));
    }

    #[inline(always)]
    fn vector<S: Simd>(self, simd: S, x: S::Floats) -> S::Floats {
        match self {
            Self::Gelu => gelu(simd, x),
            Self::GeluTanh => gelu_tanh(simd, x),
            Self::Silu => silu(simd, x),
            // NaN stays NaN: it is the second one.
            Self::Relu => simd.max(simd.splat(0.0), x),
        }
    }
}

#[inline(always)]
fn gelu<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    // By erfc of the magnitude, so that the small results of negative values keep their precision.
    // Beyond 14.8 e^(-z^2) is 0; the bound keeps erfcx where it was fitted.
    let magnitude = simd.min(simd.splat(14.8), simd.abs(x));
    let z = simd.mul(magnitude, simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let falling = exp(simd, simd.mul(simd.mul(magnitude, magnitude), simd.splat(-0.5)));
    let below = simd.mul(simd.mul(falling, erfcx(simd, z)), simd.splat(0.5));
    let weight = simd.by_sign(x, below, simd.sub(simd.splat(1.0), below));
    simd.mul(x, weight)
}

#[inline(always)]
fn gelu_tanh<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    // (1 + tanh u) / 2 = 1 / (1 + e^-2u)
    let square = simd.mul(x, x);
    let inner = simd.fma(square, simd.splat(0.044_715), simd.splat(1.0));
    let exponent = simd.mul(simd.mul(x, simd.splat(-2.0 * 0.797_884_6)), inner);
    simd.div(x, simd.add(simd.splat(1.0), exp(simd, exponent)))
}

#[inline(always)]
fn silu<S: Simd>(simd: S, x: S::Floats) -> S::Floats {
    let negative = simd.sub(simd.splat(0.0), x);
    simd.div(x, simd.add(simd.splat(1.0), exp(simd, negative)))
}

// === impl Apply ===

impl Apply<'_> {
    #[inline(always)]
    fn every<S: Simd>(self, simd: S, activation: Activation) {
        let length = self.values.len();
        let mut start = 0;
        while start < length {
            let end = (start + S::LANES).min(length);
            let mut last = [0.0; MAX_LANES];
            let mut last_up = [0.0; MAX_LANES];
            if end - start == S::LANES {
                let mut y = activation.vector(simd, simd.read(&self.values[start..end]));
                if let Some(up) = self.up {
                    y = simd.mul(y, simd.read(&up[start..end]));
                }
                simd.write(&mut self.values[start..end], y);
            } else {
                last[..end - start].copy_from_slice(&self.values[start..end]);
                let mut y = activation.vector(simd, simd.read(&last));
                if let Some(up) = self.up {
                    last_up[..end - start].copy_from_slice(&up[start..end]);
                    y = simd.mul(y, simd.read(&last_up));
                }
                simd.write(&mut last, y);
                self.values[start..end].copy_from_slice(&last[..end - start]);
            }
            start = end;
        }
    }
}

impl Task for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // A loop for each function, not a choice in the loop.
        match self.activation {
            Activation::Gelu => self.every(simd, Activation::Gelu),
            Activation::GeluTanh => self.every(simd, Activation::GeluTanh),
            Activation::Silu => self.every(simd, Activation::Silu),
            Activation::Relu => self.every(simd, Activation::Relu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{erf, noise};

    fn reference(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Gelu => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
            Activation::GeluTanh => 0.5 * x * (1.0 + (0.797_884_56 * x * (1.0 + 0.044_715 * x * x)).tanh()),
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::Relu => x.max(0.0),
        }
    }

    const ALL: [Activation; 4] = [Activation::Gelu, Activation::GeluTanh, Activation::Silu, Activation::Relu];

    #[test]
    fn every_function_is_within_a_millionth_on_every_path() {
        let inputs: Vec<f32> = (-40_001..40_003).map(|index| index as f32 * 5e-4 + 1e-5).collect();
        for instructions in Instructions::available() {
            for activation in ALL {
                let mut values = inputs.clone();
                activation.apply_with(instructions, &mut values);
                for (x, y) in inputs.iter().zip(&values) {
                    let expected = reference(activation, f64::from(*x));
                    // The functions round a value of the input's size, so the error goes by that.
                    let tolerance = 4e-7 * expected.abs() + 1e-9 + 1.2e-7 * f64::from(x.min(0.0).abs());
                    let error = (f64::from(*y) - expected).abs();
                    assert!(error <= tolerance, "{instructions:?} {activation:?}({x}) = {y}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn extremes_neither_overflow_nor_become_nan() {
        for instructions in Instructions::available() {
            for activation in ALL {
                let mut values = [-1e30, -200.0, -0.0, 0.0, 200.0, 1e30, f32::NAN];
                activation.apply_with(instructions, &mut values);
                assert!(
                    values[..4].iter().all(|value| value.abs() < 1e-20),
                    "{instructions:?} {activation:?} {values:?}"
                );
                assert_eq!(values[4..6], [200.0, 1e30], "{instructions:?} {activation:?}");
                assert!(values[6].is_nan(), "{instructions:?} {activation:?}");
            }
        }
    }

    #[test]
    fn a_value_is_the_same_wherever_it_stands_and_gates_multiply() {
        let inputs: Vec<f32> = (0..40_003).map(|index| 6.0 * noise(index)).collect();
        let up: Vec<f32> = (0..40_003).map(|index| noise(index + 77)).collect();
        for instructions in Instructions::available() {
            for activation in ALL {
                let mut values = inputs.clone();
                activation.apply_with(instructions, &mut values);
                let mut gated = inputs.clone();
                activation.gate_with(instructions, &mut gated, &up);
                for index in (0..inputs.len()).step_by(97).chain(40_000..40_003) {
                    let mut one = [inputs[index]];
                    activation.apply_with(instructions, &mut one);
                    assert_eq!(one[0].to_bits(), values[index].to_bits());
                    assert_eq!((one[0] * up[index]).to_bits(), gated[index].to_bits());
                }
            }
        }
        assert!(Activation::Silu.gate(&mut [0.0; 3], &[0.0; 2]).is_err());
    }
}
