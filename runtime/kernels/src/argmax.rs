//! The greatest logit: greedy decoding of a vocabulary of a quarter of a million.

use crate::instructions::{Instructions, Task};
use crate::simd::{MAX_LANES, Simd};

/// The index of the greatest value, the first one among equals; `None` if there is none, since
/// `values` is empty or all NaN.
pub fn argmax(values: &[f32]) -> Option<usize> {
    argmax_with(Instructions::best(), values)
}

struct Greatest<'a>(&'a [f32]);

pub(crate) fn argmax_with(instructions: Instructions, values: &[f32]) -> Option<usize> {
    let greatest = instructions.run(Greatest(values));
    // The second look stops at the first hit and is as fast as memory.
    values.iter().position(|value| *value == greatest)
}

// === impl Greatest ===

impl Task for Greatest<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        // NaN stands first in `max`, so that it is passed over.
        let mut greatest = [simd.splat(f32::NEG_INFINITY); 4];
        let mut chunks = self.0.chunks_exact(4 * S::LANES);
        for chunk in &mut chunks {
            for (index, greatest) in greatest.iter_mut().enumerate() {
                *greatest = simd.max(simd.read(&chunk[index * S::LANES..]), *greatest);
            }
        }
        let mut lanes = [f32::NEG_INFINITY; 4 * MAX_LANES];
        for (index, greatest) in greatest.into_iter().enumerate() {
            simd.write(&mut lanes[index * S::LANES..], greatest);
        }
        let rest = chunks.remainder().iter();
        lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |greatest, value| greatest.max(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn the_first_of_the_greatest_is_found_at_every_length() {
        for instructions in Instructions::available() {
            for length in (0..200).chain([250_880]) {
                let mut values: Vec<f32> = (0..length).map(noise).collect();
                if length > 3 {
                    values[length / 3] = f32::NAN;
                    values[length - 1] = 2.0;
                    values[length / 2] = 2.0;
                }
                let mut expected: Option<usize> = None;
                for (index, value) in values.iter().enumerate() {
                    if !value.is_nan() && expected.is_none_or(|best| *value > values[best]) {
                        expected = Some(index);
                    }
                }
                assert_eq!(argmax_with(instructions, &values), expected, "{instructions:?} {length}");
            }
            assert_eq!(argmax_with(instructions, &[f32::NAN, f32::NAN]), None);
            assert_eq!(argmax_with(instructions, &[f32::NEG_INFINITY; 40]), Some(0));
        }
    }
}
