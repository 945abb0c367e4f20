//! Panels of f32, f16 and bf16: for every input, the weights of the panel's outputs side by side.

use super::PANEL;
use super::multiply::Tile;
use crate::buffer::{LINE, numbers_mut};
use crate::instructions::Task;
use crate::simd::{Float, Simd};

/// Inputs that are summed up before they are added to the total: shorter sums round less, and a
/// piece of a panel stays near for all blocks of rows. (128 is as fast.)
pub(crate) const PIECE: usize = 256;

/// Adds to the sums of one panel and one block of `ROWS` rows. The inputs are all there are, or one
/// piece: the sums are the same. `PASS` is one of the constants below.
pub(crate) struct FloatTile<'a, W, const ROWS: usize, const PASS: usize> {
    /// inputs x PANEL.
    pub(crate) panel: &'a [W],
    pub(crate) inputs: usize,
    /// Packed rows: ROWS x PIECE, for each piece. A single row may end with its inputs.
    pub(crate) input: &'a [f32],
    pub(crate) tile: &'a mut Tile,
    /// Whether the sums begin here, whatever the tile holds.
    pub(crate) begins: bool,
    pub(crate) ahead: Ahead,
    /// inputs x PANEL, with `KEEPING`.
    pub(crate) wide: &'a mut [f32],
}

/// The only block of rows: the panel comes from memory, and asks for what stands behind it.
pub(crate) const ALONE: usize = 0;
/// The first of several blocks, which leaves the weights in f32 for the others.
pub(crate) const KEEPING: usize = 1;
/// One of several blocks.
pub(crate) const AMONG: usize = 2;

/// Memory that will be needed next, asked for at the pace at which inputs are read.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub(crate) from: *const u8,
    /// Bytes for each input; with `ALONE` those of the panel.
    pub(crate) pace: usize,
}

/// Values that rows take when they are packed.
pub(crate) fn packed_length(rows: usize, inputs: usize) -> usize {
    rows * inputs.next_multiple_of(PIECE)
}

/// One piece of some rows, from input `start` on, into a block: ROWS x PIECE. Rows that stand as far
/// apart as they are long, mostly a power of two, would compete for the same lines of the first cache.
pub(crate) fn pack_input(rows: &[f32], inputs: usize, start: usize, block: &mut [f32]) {
    let end = (start + PIECE).min(inputs);
    for (to, row) in block.chunks_exact_mut(PIECE).zip(rows.chunks_exact(inputs)) {
        to[..end - start].copy_from_slice(&row[start..end]);
    }
}

/// Puts a row of weights into its column of a panel; false if a weight is not finite there.
pub(crate) fn pack_row<W: Float>(panel: &mut [u8], column: usize, row: &[f32]) -> bool {
    let panel = numbers_mut::<W>(panel, row.len() * PANEL);
    let mut finite = true;
    for (to, from) in panel[column..].iter_mut().step_by(PANEL).zip(row) {
        *to = W::from_f32(*from);
        finite &= to.to_f32().is_finite();
    }
    finite
}

pub(crate) fn row<W: Float>(panels: &[W], panel: usize, column: usize, values: &mut [f32]) {
    if values.is_empty() {
        return;
    }
    let start = panel * values.len() * PANEL + column;
    for (to, from) in values.iter_mut().zip(panels[start..].iter().step_by(PANEL)) {
        *to = from.to_f32();
    }
}

// === impl FloatTile ===

impl<W: Float, const ROWS: usize, const PASS: usize> Task for FloatTile<'_, W, ROWS, PASS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if ROWS > S::FLOAT_ROWS {
            return;
        }
        let inputs = self.inputs;
        let values = if ROWS == 1 { inputs } else { packed_length(ROWS, inputs) };
        assert!(self.input.len() >= values, "a value for every input and row");
        assert!(self.panel.len() >= inputs * PANEL, "a panel for every input");
        assert!(PASS != KEEPING || self.wide.len() >= inputs * PANEL, "a place for every weight");
        let mut start = 0;
        while start < inputs {
            let end = (start + PIECE).min(inputs);
            let mut part = 0;
            while part < PANEL {
                let share = 2 * S::LANES * self.ahead.pace / PANEL;
                let ahead = self.ahead.from.wrapping_add(part * inputs * self.ahead.pace / PANEL);
                let input = self.input[start * ROWS..].as_ptr();
                let mut sums = [[simd.splat(0.0); 2]; ROWS];
                for position in start..end {
                    // SAFETY: position < inputs and part + 2 * LANES <= PANEL, so that both loads are
                    // inside of `panel` by the assertion.
                    let weights = unsafe {
                        let at = self.panel.as_ptr().add(position * PANEL + part);
                        [W::load(simd, at), W::load(simd, at.add(S::LANES))]
                    };
                    if PASS == ALONE {
                        let ahead = self.ahead.from.wrapping_add((position * PANEL + part) * size_of::<W>());
                        for offset in (0..2 * S::LANES * size_of::<W>()).step_by(LINE) {
                            simd.prefetch(ahead.wrapping_add(offset));
                        }
                    } else {
                        simd.prefetch(ahead.wrapping_add(position * share));
                    }
                    if PASS == KEEPING {
                        // SAFETY: as for the loads, and `wide` is as long by the assertion.
                        unsafe {
                            let at = self.wide.as_mut_ptr().add(position * PANEL + part);
                            simd.store(at, weights[0]);
                            simd.store(at.add(S::LANES), weights[1]);
                        }
                    }
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the piece has ROWS x PIECE values, or all of one row's, by the assertion.
                        let value = simd.splat(unsafe { *input.add(row * PIECE + position - start) });
                        sums[0] = simd.fma(value, weights[0], sums[0]);
                        sums[1] = simd.fma(value, weights[1], sums[1]);
                    }
                }
                let begins = self.begins && start == 0;
                for (row, sums) in self.tile.sums.iter_mut().zip(sums) {
                    for (index, sum) in sums.into_iter().enumerate() {
                        let total = &mut row[part + index * S::LANES..];
                        let sum = if begins { sum } else { simd.add(simd.read(total), sum) };
                        simd.write(total, sum);
                    }
                }
                part += 2 * S::LANES;
            }
            start = end;
        }
    }
}
