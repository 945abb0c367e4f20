//! Rotary position embedding: pairs of a head's values are rotated by angles that grow with the position.

use crate::shape::{ShapeError, check_at_least};

/// Which two values make a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotaryLayout {
    /// `i` and `i + half`: transformers' `rotate_half`, for Llama, Mistral, Qwen, GPT-NeoX.
    HalfSplit,
    /// `2i` and `2i + 1`: GPT-J, and Llama's own files.
    Interleaved,
}

/// Sines and cosines for the rows of a step, made once and used by every layer.
#[derive(Clone, Debug)]
pub struct Rotations {
    half: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

// === impl Rotations ===

impl Rotations {
    /// For rows at `positions`. `inverse_frequencies` has a value for each pair (usually
    /// `base^(-2i / width)`, or what a context extension makes of it); sines and cosines are
    /// multiplied by `scale` (1, but for extensions that say otherwise).
    pub fn new(inverse_frequencies: &[f32], scale: f32, positions: &[usize]) -> Self {
        let mut cosines = Vec::with_capacity(positions.len() * inverse_frequencies.len());
        let mut sines = Vec::with_capacity(cosines.capacity());
        for position in positions {
            for frequency in inverse_frequencies {
                // The product is in f32, as in PyTorch; far positions would differ otherwise.
                let (sine, cosine) = f64::from(*position as f32 * frequency).sin_cos();
                sines.push(sine as f32 * scale);
                cosines.push(cosine as f32 * scale);
            }
        }
        Self { half: inverse_frequencies.len(), cosines, sines }
    }

    /// For each row, those of its pairs.
    pub fn cosines(&self) -> &[f32] {
        &self.cosines
    }

    /// For each row, those of its pairs.
    pub fn sines(&self) -> &[f32] {
        &self.sines
    }

    /// Rotates the first `2 * inverse_frequencies.len()` values of each head in place. Head `h` of
    /// row `r` begins at `r * row_stride + h * head_stride` of `values`.
    ///
    /// # Errors
    /// If `values` ends before the last head of the last row.
    pub fn apply(
        &self,
        layout: RotaryLayout,
        values: &mut [f32],
        row_stride: usize,
        heads: usize,
        head_stride: usize,
    ) -> Result<(), ShapeError> {
        if self.cosines.is_empty() || heads == 0 {
            return Ok(());
        }
        let half = self.half;
        let rows = self.cosines.len() / half;
        let end = (rows - 1) * row_stride + (heads - 1) * head_stride + 2 * half;
        check_at_least("values to rotate (to the end of the last head)", values.len(), end)?;
        for (row, (cosines, sines)) in self.cosines.chunks(half).zip(self.sines.chunks(half)).enumerate() {
            for head in 0..heads {
                let start = row * row_stride + head * head_stride;
                let values = &mut values[start..start + 2 * half];
                match layout {
                    RotaryLayout::HalfSplit => {
                        let (first, second) = values.split_at_mut(half);
                        for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
                        }
                    }
                    RotaryLayout::Interleaved => {
                        for ((pair, cosine), sine) in values.chunks_exact_mut(2).zip(cosines).zip(sines) {
                            let (a, b) = (pair[0], pair[1]);
                            pair[0] = a * cosine - b * sine;
                            pair[1] = b * cosine + a * sine;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    #[test]
    fn pairs_turn_by_position_times_frequency_in_both_layouts() {
        let (heads, width, half) = (3, 10, 4);
        let frequencies: Vec<f32> = (0..half).map(|index| 10_000.0_f32.powf(-(index as f32) / half as f32)).collect();
        let positions = [0, 5, 1000];
        let rotations = Rotations::new(&frequencies, 1.0, &positions);
        let original: Vec<f32> = (0..positions.len() * heads * width).map(noise).collect();
        for layout in [RotaryLayout::HalfSplit, RotaryLayout::Interleaved] {
            let mut values = original.clone();
            rotations.apply(layout, &mut values, heads * width, heads, width).unwrap();
            for (row, position) in positions.iter().enumerate() {
                for head in 0..heads {
                    let start = row * heads * width + head * width;
                    for (index, frequency) in frequencies.iter().enumerate() {
                        let (i, j) = match layout {
                            RotaryLayout::HalfSplit => (start + index, start + half + index),
                            RotaryLayout::Interleaved => (start + 2 * index, start + 2 * index + 1),
                        };
                        let angle = f64::from(*position as f32 * frequency);
                        let (a, b) = (f64::from(original[i]), f64::from(original[j]));
                        assert!((f64::from(values[i]) - (a * angle.cos() - b * angle.sin())).abs() < 1e-6);
                        assert!((f64::from(values[j]) - (b * angle.cos() + a * angle.sin())).abs() < 1e-6);
                    }
                    assert_eq!(values[start + 8..start + 10], original[start + 8..start + 10], "beyond the rotation");
                }
            }
        }
        assert!(rotations.apply(RotaryLayout::HalfSplit, &mut [0.0; 20], 30, 3, 10).is_err());
        assert!(Rotations::new(&[], 1.0, &[1]).apply(RotaryLayout::HalfSplit, &mut [], 30, 3, 10).is_ok());
    }
}
