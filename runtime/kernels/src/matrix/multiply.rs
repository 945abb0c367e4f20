//! Blocks of rows times panels, spread over threads.

use super::float::{ALONE, Ahead, FloatTile, PIECE, pack_input, packed_length};
use super::int8::{Int8Block, Int8Tile, RoundRows, panel_bytes};
use super::many::multiply_many;
use super::{Matrix, PANEL, Precision};
use crate::columns::Columns;
use crate::instructions::{Instructions, Task};
use crate::simd::{Float, Simd};
use half::{bf16, f16};
use rayon::prelude::*;

/// The most rows of a block, for any set of instructions.
pub(crate) const MAX_ROWS: usize = 12;

/// How far ahead of its use a panel is asked for, in bytes: two pages, beyond which processors do not
/// look by themselves. Measured, as is that it is asked into the second cache: the first one can wait
/// for too few lines at a time.
pub(crate) const AHEAD: usize = 8192;

/// The sums of a block of rows and a panel.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Tile {
    pub(crate) sums: [[f32; PANEL]; MAX_ROWS],
}

/// Multiplications below which a second thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 16;

/// Rows cut into blocks whose sizes differ by one at most.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) rows: usize,
    pub(super) count: usize,
}

/// Where the sums go.
pub(super) struct Output<'a> {
    columns: Columns<'a>,
    bias: Option<&'a [f32]>,
    outputs: usize,
}

/// Writes the sums of a panel and some rows.
pub(super) struct Write<'a> {
    pub(super) output: &'a Output<'a>,
    pub(super) panel: usize,
    pub(super) first_row: usize,
    pub(super) sums: &'a [[f32; PANEL]],
}

/// Calls a tile's task for a number of rows that is known at run time.
macro_rules! with_rows {
    ($rows:expr, $constant:ident => $body:expr) => {
        match $rows {
            1 => with_rows!(@ $constant, 1, $body),
            2 => with_rows!(@ $constant, 2, $body),
            3 => with_rows!(@ $constant, 3, $body),
            4 => with_rows!(@ $constant, 4, $body),
            5 => with_rows!(@ $constant, 5, $body),
            6 => with_rows!(@ $constant, 6, $body),
            7 => with_rows!(@ $constant, 7, $body),
            8 => with_rows!(@ $constant, 8, $body),
            9 => with_rows!(@ $constant, 9, $body),
            10 => with_rows!(@ $constant, 10, $body),
            11 => with_rows!(@ $constant, 11, $body),
            _ => with_rows!(@ $constant, 12, $body),
        }
    };
    (@ $constant:ident, $rows:literal, $body:expr) => {{
        const $constant: usize = $rows;
        $body
    }};
}
pub(super) use with_rows;

pub(crate) fn multiply(
    matrix: &Matrix,
    instructions: Instructions,
    input: &[f32],
    rows: usize,
    bias: Option<&[f32]>,
    output: &mut [f32],
) {
    if rows == 0 || matrix.outputs == 0 {
        return;
    }
    if matrix.inputs == 0 {
        for row in output.chunks_exact_mut(matrix.outputs) {
            match bias {
                Some(bias) => row.copy_from_slice(bias),
                None => row.fill(0.0),
            }
        }
        return;
    }
    let output = Output { columns: Columns::new(output, matrix.outputs), bias, outputs: matrix.outputs };
    match matrix.precision {
        Precision::F32 => multiply_float::<f32>(matrix, instructions, input, rows, &output),
        Precision::F16 => multiply_float::<f16>(matrix, instructions, input, rows, &output),
        Precision::Bf16 => multiply_float::<bf16>(matrix, instructions, input, rows, &output),
        Precision::Int8 => multiply_int8(matrix, instructions, input, rows, &output),
    }
}

fn multiply_float<W: Float>(
    matrix: &Matrix,
    instructions: Instructions,
    input: &[f32],
    rows: usize,
    output: &Output<'_>,
) {
    if rows > instructions.float_rows() {
        return multiply_many::<W>(matrix, instructions, input, rows, output);
    }
    let mut packed = Vec::new();
    let packed: &[f32] = if rows == 1 {
        input
    } else {
        packed.resize(packed_length(rows, matrix.inputs), 0.0);
        for (index, block) in packed.chunks_exact_mut(rows * PIECE).enumerate() {
            pack_input(input, matrix.inputs, index * PIECE, block);
        }
        &packed
    };
    let panels: &[W] = matrix.panels.numbers();
    let panel_length = matrix.inputs * PANEL;
    for_each_panel(matrix, rows, |index, tile| {
        let panel = &panels[index * panel_length..][..panel_length];
        let ahead = Ahead { from: panel.as_ptr().cast::<u8>().wrapping_add(AHEAD), pace: PANEL * size_of::<W>() };
        with_rows!(rows, ROWS => instructions.run(FloatTile::<W, ROWS, ALONE> {
            panel,
            inputs: matrix.inputs,
            input: packed,
            tile,
            begins: true,
            ahead,
            wide: &mut [],
        }));
        instructions.run(Write { output, panel: index, first_row: 0, sums: &tile.sums[..rows] });
    });
}

fn multiply_int8(matrix: &Matrix, instructions: Instructions, input: &[f32], rows: usize, output: &Output<'_>) {
    let inputs = matrix.inputs;
    let blocks = Blocks::new(rows, instructions.int8_rows());
    let round = |block: usize| -> Int8Block {
        let (first, count) = blocks.get(block);
        instructions.run(RoundRows { rows: &input[first * inputs..(first + count) * inputs], inputs })
    };
    let rounded: Vec<Int8Block> = if rows * inputs < WORTH_A_THREAD / 8 {
        (0..blocks.count).map(round).collect()
    } else {
        (0..blocks.count).into_par_iter().map(round).collect()
    };
    let panels = matrix.panels.bytes();
    let panel_length = panel_bytes(inputs);
    for_each_panel(matrix, rows, |panel_index, tile| {
        let panel = &panels[panel_index * panel_length..][..panel_length];
        for (index, block) in rounded.iter().enumerate() {
            let (first, count) = blocks.get(index);
            output.expect(panel_index, first, count);
            with_rows!(count, ROWS => instructions.run(Int8Tile::<ROWS> { panel, block, tile }));
            instructions.run(Write { output, panel: panel_index, first_row: first, sums: &tile.sums[..count] });
        }
    });
}

/// Calls `work` for every panel, neighbours on one thread as far as work is spread evenly.
fn for_each_panel(matrix: &Matrix, rows: usize, work: impl Fn(usize, &mut Tile) + Sync) {
    let panels = matrix.panel_count();
    let least = least_panels(matrix, rows);
    if panels <= least {
        let mut tile = Tile::new();
        for panel in 0..panels {
            work(panel, &mut tile);
        }
        return;
    }
    // Eight pieces a thread: enough to even out a thread that is held up.
    let least = least.max(panels / (8 * rayon::current_num_threads()));
    (0..panels).into_par_iter().with_min_len(least).for_each_init(Tile::new, |tile, panel| work(panel, tile));
}

/// How many panels are worth a thread.
pub(super) fn least_panels(matrix: &Matrix, rows: usize) -> usize {
    WORTH_A_THREAD.div_ceil(rows * matrix.inputs * PANEL)
}

// === impl Tile ===

impl Tile {
    pub(super) fn new() -> Self {
        Self { sums: [[0.0; PANEL]; MAX_ROWS] }
    }
}

// === impl Blocks ===

impl Blocks {
    pub(super) fn new(rows: usize, most: usize) -> Self {
        Self { rows, count: rows.div_ceil(most) }
    }

    /// The first row of a block, and how many it has.
    pub(super) fn get(self, block: usize) -> (usize, usize) {
        let first = block * self.rows / self.count;
        let end = (block + 1) * self.rows / self.count;
        (first, end - first)
    }
}

// === impl Output ===

impl Output<'_> {
    pub(super) fn expect(&self, panel: usize, first_row: usize, rows: usize) {
        for row in first_row..first_row + rows {
            self.columns.expect(row, panel * PANEL, PANEL);
        }
    }

    /// The sums of a row and a panel.
    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, panel: usize, row: usize, sums: &[f32; PANEL]) {
        let column = panel * PANEL;
        let count = PANEL.min(self.outputs - column);
        // SAFETY: every panel is computed once for a row, by one thread, and its columns are no other's.
        let to = unsafe { self.columns.piece(row, column, count) };
        let bias = self.bias.map(|bias| &bias[column..column + count]);
        let mut at = 0;
        while at + S::LANES <= count {
            let sum = simd.read(&sums[at..]);
            let value = bias.map_or(sum, |bias| simd.add(sum, simd.read(&bias[at..])));
            simd.write(&mut to[at..], value);
            at += S::LANES;
        }
        for at in at..count {
            to[at] = sums[at] + bias.map_or(0.0, |bias| bias[at]);
        }
    }
}

// === impl Write ===

impl Task for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (index, sums) in self.sums.iter().enumerate() {
            self.output.write(simd, self.panel, self.first_row + index, sums);
        }
    }
}
