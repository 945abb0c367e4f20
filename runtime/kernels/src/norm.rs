//! Normalisation of rows, and sums of rows.

use crate::instructions::{Instructions, Task};
use crate::shape::{ShapeError, check};
use crate::simd::Simd;
use rayon::prelude::*;

/// Values that one thread takes at least.
const PIECE: usize = 1 << 14;

/// `output = (x - mean) / sqrt(variance + epsilon) * weight + bias` for each row of
/// `weight.len()` values.
///
/// # Errors
/// If `input` is not whole rows, or the other slices are not as long as the shape asks for.
pub fn layer_norm(
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    normalise_with(Instructions::best(), input, Norm { weight, bias, epsilon, centred: true }, output)
}

/// `output = x / sqrt(mean of x^2 + epsilon) * weight` for each row of `weight.len()` values.
///
/// # Errors
/// If `input` is not whole rows, or `output` is not as long.
pub fn rms_norm(input: &[f32], weight: &[f32], epsilon: f32, output: &mut [f32]) -> Result<(), ShapeError> {
    normalise_with(Instructions::best(), input, Norm { weight, bias: None, epsilon, centred: false }, output)
}

/// `sum += values`: the residual connection.
///
/// # Errors
/// If the two are not equally long.
pub fn add(sum: &mut [f32], values: &[f32]) -> Result<(), ShapeError> {
    check("values to add (as many as there are)", values.len(), sum.len())?;
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
    Ok(())
}

#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) epsilon: f32,
    /// Whether the mean is taken away first.
    pub(crate) centred: bool,
}

struct Normalise<'a> {
    norm: Norm<'a>,
    input: &'a [f32],
    output: &'a mut [f32],
}

pub(crate) fn normalise_with(
    instructions: Instructions,
    input: &[f32],
    norm: Norm<'_>,
    output: &mut [f32],
) -> Result<(), ShapeError> {
    let width = norm.weight.len();
    check("values of the output (as many as of the input)", output.len(), input.len())?;
    if let Some(bias) = norm.bias {
        check("values of the bias (as many as of the weight)", bias.len(), width)?;
    }
    if input.is_empty() {
        return Ok(());
    }
    check("values beyond whole rows of the weight's length", input.len() % width.max(1), 0)?;
    check("rows of nothing, values", if width == 0 { input.len() } else { 0 }, 0)?;
    if input.len() <= PIECE {
        instructions.run(Normalise { norm, input, output });
        return Ok(());
    }
    let piece = PIECE.div_ceil(width) * width;
    let pieces = input.par_chunks(piece).zip(output.par_chunks_mut(piece));
    pieces.for_each(|(input, output)| instructions.run(Normalise { norm, input, output }));
    Ok(())
}

// === impl Normalise ===

impl Task for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Norm { weight, bias, epsilon, centred } = self.norm;
        let width = weight.len();
        for (row, to) in self.input.chunks_exact(width).zip(self.output.chunks_exact_mut(width)) {
            let mean = if centred { total(simd, row, None) / width as f32 } else { 0.0 };
            let variance = total(simd, row, Some(mean)) / width as f32;
            let scale = 1.0 / (variance + epsilon).sqrt();
            let whole = width - width % S::LANES;
            let (means, scales) = (simd.splat(mean), simd.splat(scale));
            let mut at = 0;
            while at < whole {
                let centred = simd.mul(simd.sub(simd.read(&row[at..]), means), scales);
                let offset = bias.map_or(simd.splat(0.0), |bias| simd.read(&bias[at..]));
                simd.write(&mut to[at..], simd.fma(centred, simd.read(&weight[at..]), offset));
                at += S::LANES;
            }
            for at in whole..width {
                to[at] = (row[at] - mean) * scale * weight[at] + bias.map_or(0.0, |bias| bias[at]);
            }
        }
    }
}

/// The sum of all values, or of the squares of their distances from a mean.
#[inline(always)]
fn total<S: Simd>(simd: S, values: &[f32], squares_around: Option<f32>) -> f32 {
    let mut sums = [simd.splat(0.0); 2];
    let mut chunks = values.chunks_exact(2 * S::LANES);
    for chunk in &mut chunks {
        for (index, sum) in sums.iter_mut().enumerate() {
            let values = simd.read(&chunk[index * S::LANES..]);
            *sum = match squares_around {
                Some(mean) => {
                    let distance = simd.sub(values, simd.splat(mean));
                    simd.fma(distance, distance, *sum)
                }
                None => simd.add(values, *sum),
            };
        }
    }
    let mut result = simd.sum_lanes(simd.add(sums[0], sums[1]));
    for value in chunks.remainder() {
        result += match squares_around {
            Some(mean) => (value - mean) * (value - mean),
            None => *value,
        };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn rows_are_normalised_as_in_double_precision_and_as_if_alone() {
        for instructions in Instructions::available() {
            for (rows, width) in [(1, 1024), (3, 7), (5, 48), (70, 1024), (2, 33), (1, 1)] {
                let input: Vec<f32> = (0..rows * width).map(|index| 3.0 * noise(index) + 0.7).collect();
                let weight: Vec<f32> = (0..width).map(|index| 1.0 + noise(index + 5)).collect();
                let bias: Vec<f32> = (0..width).map(|index| noise(index + 9)).collect();
                for (centred, bias) in [(true, Some(&bias[..])), (true, None), (false, None)] {
                    let norm = Norm { weight: &weight, bias, epsilon: 1e-5, centred };
                    let mut output = vec![0.0; rows * width];
                    normalise_with(instructions, &input, norm, &mut output).unwrap();
                    for (row, output) in input.chunks(width).zip(output.chunks(width)) {
                        let mut alone = vec![0.0; width];
                        normalise_with(instructions, row, norm, &mut alone).unwrap();
                        assert_eq!(alone, output);
                        let wide: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
                        let mean = if centred { wide.iter().sum::<f64>() / width as f64 } else { 0.0 };
                        let variance = wide.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / width as f64;
                        for index in 0..width {
                            let expected = (wide[index] - mean) / (variance + 1e-5).sqrt() * f64::from(weight[index])
                                + bias.map_or(0.0, |bias| f64::from(bias[index]));
                            // A single value is its own mean: only epsilon is left to divide by.
                            let tolerance = if width == 1 { 1e-4 } else { 2e-6 * (1.0 + expected.abs()) };
                            assert!(
                                (f64::from(output[index]) - expected).abs() < tolerance,
                                "{instructions:?} {width}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_that_tell_numbers() {
        let error = layer_norm(&[0.0; 7], &[1.0; 3], None, 1e-5, &mut [0.0; 7]).unwrap_err();
        assert_eq!(error.to_string(), "values beyond whole rows of the weight's length: expected 0, found 1");
        assert!(layer_norm(&[0.0; 6], &[1.0; 3], Some(&[0.0; 2]), 1e-5, &mut [0.0; 6]).is_err());
        assert!(rms_norm(&[0.0; 6], &[1.0; 3], 1e-5, &mut [0.0; 5]).is_err());
        assert!(rms_norm(&[0.0; 6], &[], 1e-5, &mut [0.0; 6]).is_err());
        assert!(rms_norm(&[], &[], 1e-5, &mut []).is_ok());
        assert!(add(&mut [1.0], &[]).is_err());
        let mut sum = [1.0, 2.0];
        add(&mut sum, &[0.5, 0.25]).unwrap();
        assert_eq!(sum, [1.5, 2.25]);
    }
}
