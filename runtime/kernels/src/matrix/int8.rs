//! Panels of 8-bit weights, and rows of 8-bit activations.
//!
//! Weights and activations are cut along the input into groups of [`GROUP`], each with a scale of
//! its own, so that one outlier spoils the resolution of its group and not of the row (language
//! models have a few inputs that are a hundred times the others). Inside of a group the sum is of
//! whole numbers and exact, hence the same on every machine.
//!
//! A panel is, for every group: a scale for each output; then, for every four inputs, the four
//! weights of each output side by side, kept as weight + 128.

use super::PANEL;
use super::multiply::{AHEAD, Tile};
use crate::buffer::numbers_mut;
use crate::instructions::Task;
use crate::simd::{ROUND, Simd};

/// Inputs that share a scale. With a thirty-fold outlier among every hundred inputs, the product's
/// error relative to its norm is 1.4% for groups of 32, 1.9% for 64, 2.4% for 128 and 4.5% for one of
/// 1024 (without outliers 0.8%, 0.9%, 1.1% and 1.8%). 64 costs 6% of memory and of instructions.
pub(crate) const GROUP: usize = 64;

/// Bytes of a group's scales in a panel.
const SCALES: usize = PANEL * 4;

/// Inputs of the group that begins at `start`, in whole quads: the last group may be shorter.
fn group_length(inputs: usize, start: usize) -> usize {
    GROUP.min((inputs - start).next_multiple_of(4))
}

fn groups(inputs: usize) -> usize {
    inputs.div_ceil(GROUP)
}

pub(crate) fn panel_bytes(inputs: usize) -> usize {
    groups(inputs) * SCALES + inputs.next_multiple_of(4) * PANEL
}

/// The greatest magnitude, or NaN if any value is not finite.
fn magnitude(values: &[f32]) -> f32 {
    let greatest = values.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    let nan_if_not_finite: f32 = values.iter().map(|value| value * 0.0).sum();
    greatest + nan_if_not_finite
}

/// Puts a row of weights into its column of a panel; false if a weight is not finite.
pub(crate) fn pack_row(panel: &mut [u8], column: usize, row: &[f32]) -> bool {
    let mut rest = panel;
    let mut finite = true;
    for group in row.chunks(GROUP) {
        let (scales, after) = rest.split_at_mut(SCALES);
        let (quads, after) = after.split_at_mut(group_length(group.len(), 0) * PANEL);
        rest = after;
        let magnitude = magnitude(group);
        finite &= magnitude.is_finite();
        let scale = magnitude / 127.0;
        let inverse = if scale > f32::MIN_POSITIVE { 127.0 / magnitude } else { 0.0 };
        numbers_mut::<f32>(scales, PANEL)[column] = scale;
        for (quad, weights) in quads.chunks_exact_mut(4 * PANEL).zip(group.chunks(4)) {
            let quad = &mut quad[4 * column..4 * column + 4];
            // What is beyond the input is multiplied with 0; it must only be a weight.
            quad.fill(128);
            for (to, weight) in quad.iter_mut().zip(weights) {
                *to = ((weight * inverse + ROUND).to_bits() as u8).wrapping_add(128);
            }
        }
    }
    finite
}

pub(crate) fn row(panel: &[u8], column: usize, values: &mut [f32]) {
    let mut rest = panel;
    for group in values.chunks_mut(GROUP) {
        let (scales, after) = rest.split_at(SCALES);
        let (quads, after) = after.split_at(group_length(group.len(), 0) * PANEL);
        rest = after;
        let mut scale = [0; 4];
        scale.copy_from_slice(&scales[4 * column..4 * column + 4]);
        let scale = f32::from_ne_bytes(scale);
        for (quad, values) in quads.chunks_exact(4 * PANEL).zip(group.chunks_mut(4)) {
            for (value, weight) in values.iter_mut().zip(&quad[4 * column..4 * column + 4]) {
                *value = f32::from(i16::from(*weight) - 128) * scale;
            }
        }
    }
}

/// A block of rows in 8 bits.
#[derive(Default)]
pub(crate) struct Int8Block {
    /// For every four inputs, the block's rows side by side.
    quads: Vec<i8>,
    /// groups x rows.
    scales: Vec<f32>,
    /// groups x rows: the sums of the rounded activations.
    sums: Vec<i32>,
    inputs: usize,
}

/// Rounds a block of rows.
pub(crate) struct RoundRows<'a> {
    pub(crate) rows: &'a [f32],
    pub(crate) inputs: usize,
}

/// The sums of one panel and one block of `ROWS` rows.
pub(crate) struct Int8Tile<'a, const ROWS: usize> {
    pub(crate) panel: &'a [u8],
    pub(crate) block: &'a Int8Block,
    pub(crate) tile: &'a mut Tile,
}

// === impl RoundRows ===

impl Task for RoundRows<'_> {
    type Output = Int8Block;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Int8Block {
        let count = self.rows.len() / self.inputs;
        let groups = groups(self.inputs);
        let mut block = Int8Block {
            quads: vec![0; self.inputs.next_multiple_of(4) * count],
            scales: vec![0.0; groups * count],
            sums: vec![0; groups * count],
            inputs: self.inputs,
        };
        for (index, row) in self.rows.chunks_exact(self.inputs).enumerate() {
            for (group, values) in row.chunks(GROUP).enumerate() {
                let rounded = match values.first_chunk::<GROUP>() {
                    Some(values) => round_group(simd, values),
                    None => {
                        let mut padded = [0.0; GROUP];
                        padded[..values.len()].copy_from_slice(values);
                        round_group(simd, &padded)
                    }
                };
                block.scales[group * count + index] = rounded.scale;
                block.sums[group * count + index] = rounded.sum;
                let quads = block.quads[group * GROUP * count..].chunks_exact_mut(4 * count);
                for (to, from) in quads.zip(rounded.values.chunks_exact(4)) {
                    to[4 * index..4 * index + 4].copy_from_slice(from);
                }
            }
        }
        block
    }
}

/// Whole numbers in -127..=127, their scale and their sum.
struct Rounded {
    values: [i8; GROUP],
    scale: f32,
    sum: i32,
}

#[inline(always)]
fn round_group<S: Simd>(simd: S, values: &[f32; GROUP]) -> Rounded {
    let mut greatest = simd.splat(0.0);
    let mut nan_if_not_finite = simd.splat(0.0);
    for values in values.chunks_exact(S::LANES) {
        let values = simd.read(values);
        greatest = simd.max(simd.abs(values), greatest);
        nan_if_not_finite = simd.fma(values, simd.splat(0.0), nan_if_not_finite);
    }
    let greatest = simd.greatest_lane(greatest);
    let scale = greatest / 127.0;
    let inverse = if scale > f32::MIN_POSITIVE { 127.0 / greatest } else { 0.0 };
    let mut rounded = [0; GROUP];
    // What `ROUND` has been added to has the whole number in its lowest bits. A sum of 64 such
    // numbers is exact in f32, too.
    let mut total = simd.splat(0.0);
    for (to, values) in rounded.chunks_exact_mut(S::LANES).zip(values.chunks_exact(S::LANES)) {
        let value = simd.fma(simd.read(values), simd.splat(inverse), simd.splat(ROUND));
        simd.write_lowest_bytes(to, value);
        total = simd.add(total, simd.sub(value, simd.splat(ROUND)));
    }
    Rounded { values: rounded, scale: scale + simd.sum_lanes(nan_if_not_finite), sum: simd.sum_lanes(total) as i32 }
}

// === impl Int8Tile ===

impl<const ROWS: usize> Task for Int8Tile<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if ROWS > S::INT8_ROWS {
            return;
        }
        let inputs = self.block.inputs;
        assert!(
            self.panel.len() >= panel_bytes(inputs)
                && self.block.quads.len() >= inputs.next_multiple_of(4) * ROWS
                && self.block.scales.len() >= groups(inputs) * ROWS
                && self.block.sums.len() >= groups(inputs) * ROWS,
            "a panel and a block for every input"
        );
        let (mut panel, mut quads) = (self.panel.as_ptr(), self.block.quads.as_ptr());
        for (group, start) in (0..inputs).step_by(GROUP).enumerate() {
            let length = group_length(inputs, start);
            let mut part = 0;
            while part < PANEL {
                let mut sums = [[simd.start(0); 2]; ROWS];
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: groups x ROWS of them, by the assertion.
                    *sums = [simd.start(unsafe { *self.block.sums.get_unchecked(group * ROWS + row) }); 2];
                }
                for quad in 0..length / 4 {
                    // SAFETY: `panel` is at the group's scales, behind which stand PANEL x length weights;
                    // part + 2 * LANES <= PANEL. The hint may point anywhere.
                    let weights = unsafe {
                        let at = panel.add(SCALES + (quad * PANEL + part) * 4);
                        simd.prefetch(at.wrapping_add(AHEAD));
                        simd.prefetch(at.wrapping_add(AHEAD + 64));
                        [simd.load_weights(at), simd.load_weights(at.add(4 * S::LANES))]
                    };
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: `quads` is at the group's activations, length x ROWS of them.
                        let activations = unsafe { simd.load_quad(quads.add((quad * ROWS + row) * 4)) };
                        sums[0] = simd.dot(sums[0], weights[0], activations);
                        sums[1] = simd.dot(sums[1], weights[1], activations);
                    }
                }
                // SAFETY: PANEL scales stand at the start of a group.
                let scales = unsafe {
                    let at = panel.cast::<f32>().add(part);
                    [simd.load(at), simd.load(at.add(S::LANES))]
                };
                for (row, sums) in sums.into_iter().enumerate() {
                    // SAFETY: groups x ROWS of them, by the assertion.
                    let scale = simd.splat(unsafe { *self.block.scales.get_unchecked(group * ROWS + row) });
                    for (index, sum) in sums.into_iter().enumerate() {
                        let total = &mut self.tile.sums[row][part + index * S::LANES..];
                        let scaled = simd.mul(simd.to_floats(sum), scales[index]);
                        let before = if group == 0 { simd.splat(0.0) } else { simd.read(total) };
                        simd.write(total, simd.fma(scaled, scale, before));
                    }
                }
                part += 2 * S::LANES;
            }
            // SAFETY: at most one past the end of each, by the assertion.
            unsafe {
                panel = panel.add(SCALES + length * PANEL);
                quads = quads.add(length * ROWS);
            }
        }
    }
}
