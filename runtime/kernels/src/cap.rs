//! Soft bounds of scores.

use crate::instructions::{Instructions, Task};
use crate::simd::{MAX_LANES, Simd, tanh};
use rayon::prelude::*;

/// Values that one thread takes at least.
const PIECE: usize = 1 << 14;

struct Cap<'a> {
    cap: f32,
    values: &'a mut [f32],
}

/// `x = cap x tanh(x / cap)` for every value: nearly as it is far below the cap, never above it.
pub fn soft_cap(cap: f32, values: &mut [f32]) {
    soft_cap_with(Instructions::best(), cap, values);
}

pub(crate) fn soft_cap_with(instructions: Instructions, cap: f32, values: &mut [f32]) {
    if values.len() <= PIECE {
        return instructions.run(Cap { cap, values });
    }
    values.par_chunks_mut(PIECE).for_each(|values| instructions.run(Cap { cap, values }));
}

/// The same of a vector.
#[inline(always)]
pub(crate) fn capped<S: Simd>(simd: S, cap: f32, values: S::Floats) -> S::Floats {
    simd.mul(tanh(simd, simd.div(values, simd.splat(cap))), simd.splat(cap))
}

// === impl Cap ===

impl Task for Cap<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for values in self.values.chunks_mut(S::LANES) {
            if values.len() == S::LANES {
                let result = capped(simd, self.cap, simd.read(values));
                simd.write(values, result);
            } else {
                let mut last = [0.0; MAX_LANES];
                last[..values.len()].copy_from_slice(values);
                let result = capped(simd, self.cap, simd.read(&last));
                simd.write(&mut last, result);
                values.copy_from_slice(&last[..values.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_as_in_double_precision_on_every_path() {
        let inputs: Vec<f32> = (-40_001..40_003).map(|index| index as f32 * 5e-3 + 1e-5).collect();
        for instructions in Instructions::available() {
            for cap in [1.0, 30.0, 50.0] {
                let mut values = inputs.clone();
                soft_cap_with(instructions, cap, &mut values);
                for (x, y) in inputs.iter().zip(&values) {
                    let expected = f64::from(cap) * (f64::from(*x) / f64::from(cap)).tanh();
                    let error = (f64::from(*y) - expected).abs();
                    assert!(error <= 5e-7 * expected.abs(), "{instructions:?} {cap}: {x} becomes {y}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn extremes_are_the_cap_and_a_value_is_the_same_wherever_it_stands() {
        for instructions in Instructions::available() {
            let mut values = [-1e30, -0.0, 0.0, 1e30, f32::INFINITY, f32::NAN];
            soft_cap_with(instructions, 30.0, &mut values);
            assert_eq!(values[..5], [-30.0, 0.0, 0.0, 30.0, 30.0], "{instructions:?}");
            assert!(values[5].is_nan());
            let inputs: Vec<f32> = (0..40_003).map(|index| index as f32 * 7e-4 - 12.0).collect();
            let mut all = inputs.clone();
            soft_cap_with(instructions, 9.0, &mut all);
            for index in (0..inputs.len()).step_by(97).chain(40_000..40_003) {
                let mut one = [inputs[index]];
                soft_cap_with(instructions, 9.0, &mut one);
                assert_eq!(one[0].to_bits(), all[index].to_bits());
            }
        }
    }
}
