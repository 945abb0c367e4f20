//! Float products with more rows than fit into registers at a time, as when prompts are read.
//!
//! Each multiplication should find what it needs in the first two caches, and memory should have
//! time to send the next weights. So rows are taken in groups and panels in chunks, and inputs in
//! pieces: a piece of a panel is multiplied with all of the group's blocks of rows, then the same
//! piece of the chunk's other panels, while the sums of the group and the chunk wait beside.

use super::float::{AMONG, Ahead, FloatTile, KEEPING, PIECE, pack_input, packed_length};
use super::multiply::{Blocks, Output, Tile, Write, least_panels, with_rows};
use super::{Matrix, PANEL};
use crate::buffer::Buffer;
use crate::instructions::Instructions;
use crate::simd::Float;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Mutex;

/// Rows of a group at most. A piece of them and their sums with a chunk of panels take 256 KiB of the
/// second cache; 96 and 192 are as fast where it has 2 MiB, and 400 are 7% to 10% slower.
const GROUP: usize = 128;

/// Panels of a chunk at most. With one panel, all inputs of a group pass by for each: as fast for 1024
/// inputs, 12% slower for 4096.
const CHUNK: usize = 8;

/// Some rows, packed: for each piece, the blocks one after the other.
struct Group<'a> {
    first: usize,
    blocks: Blocks,
    packed: &'a [f32],
}

/// What each thread needs for itself, kept for the next call.
#[derive(Default)]
struct Scratch {
    /// Those of the chunk's first panel, one for each block, then those of the next.
    tiles: Vec<Tile>,
    /// A piece of a panel.
    wide: Buffer,
}

/// What the last product packed its rows into: a few megabytes, which new would be zeroed by one thread
/// while the others wait (0.8 MiB for 51 rows of 4096 inputs). A second product at a time has its own.
static SPARE: Mutex<Option<Buffer>> = Mutex::new(None);

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

pub(super) fn multiply_many<W: Float>(
    matrix: &Matrix,
    instructions: Instructions,
    input: &[f32],
    rows: usize,
    output: &Output<'_>,
) {
    let inputs = matrix.inputs;
    let groups = Blocks::new(rows, GROUP);
    let mut memory = take_memory(packed_length(rows.div_ceil(groups.count), inputs) * size_of::<f32>());
    for group in 0..groups.count {
        let (first, count) = groups.get(group);
        let blocks = Blocks::new(count, instructions.float_rows());
        let packed = &mut memory.numbers_mut::<f32>()[..packed_length(count, inputs)];
        pack(&input[first * inputs..(first + count) * inputs], inputs, blocks, packed);
        let group = Group { first, blocks, packed };
        let panels = matrix.panel_count();
        let chunk = (panels / (4 * rayon::current_num_threads())).clamp(1, CHUNK);
        let chunks = panels.div_ceil(chunk);
        let work = |index: usize| {
            let chunk = index * chunk..((index + 1) * chunk).min(panels);
            let mut scratch = SCRATCH.take();
            multiply_chunk::<W>(matrix, instructions, &group, chunk, &mut scratch, output);
            SCRATCH.set(scratch);
        };
        let least = least_panels(matrix, count).div_ceil(chunk);
        if chunks <= least {
            (0..chunks).for_each(work);
        } else {
            (0..chunks).into_par_iter().with_min_len(least).for_each(work);
        }
    }
    if let Ok(mut spare) = SPARE.lock() {
        *spare = Some(memory);
    }
}

/// At least so many bytes, whatever they hold.
fn take_memory(bytes: usize) -> Buffer {
    let spare = SPARE.lock().ok().and_then(|mut spare| spare.take());
    spare.filter(|spare| spare.size_bytes() >= bytes).unwrap_or_else(|| Buffer::zeroed(bytes))
}

/// Packs a group's rows.
fn pack(rows: &[f32], inputs: usize, blocks: Blocks, packed: &mut [f32]) {
    let mut parts = Vec::with_capacity(inputs.div_ceil(PIECE) * blocks.count);
    let mut rest = packed;
    for start in (0..inputs).step_by(PIECE) {
        for block in 0..blocks.count {
            let (first, count) = blocks.get(block);
            let (part, after) = rest.split_at_mut(PIECE * count);
            rest = after;
            parts.push((&rows[first * inputs..(first + count) * inputs], start, part));
        }
    }
    parts.into_par_iter().with_min_len(4).for_each(|(rows, start, part)| pack_input(rows, inputs, start, part));
}

/// The sums of a group of rows and a chunk of panels.
fn multiply_chunk<W: Float>(
    matrix: &Matrix,
    instructions: Instructions,
    group: &Group<'_>,
    chunk: Range<usize>,
    scratch: &mut Scratch,
    output: &Output<'_>,
) {
    let inputs = matrix.inputs;
    let panels: &[W] = matrix.panels.numbers();
    let panel_length = inputs * PANEL;
    let Group { blocks, packed, .. } = *group;
    let Scratch { tiles, wide } = scratch;
    if tiles.len() < chunk.len() * blocks.count {
        tiles.resize(chunk.len() * blocks.count, Tile::new());
    }
    if wide.size_bytes() == 0 {
        *wide = Buffer::zeroed(PIECE * PANEL * size_of::<f32>());
    }
    for start in (0..inputs).step_by(PIECE) {
        let length = PIECE.min(inputs - start);
        let begins = start == 0;
        let ends = start + length == inputs;
        let packed = &packed[start * blocks.rows..][..PIECE * blocks.rows];
        for (panel_index, tiles) in chunk.clone().zip(tiles.chunks_exact_mut(blocks.count)) {
            let panel = &panels[panel_index * panel_length + start * PANEL..][..length * PANEL];
            let (next_panel, next_start) = if panel_index + 1 < chunk.end {
                (panel_index + 1, start)
            } else if !ends {
                (chunk.start, start + PIECE)
            } else {
                // Most likely comes the next chunk.
                (chunk.end, 0)
            };
            let next = panels.as_ptr().wrapping_add(next_panel * panel_length + next_start * PANEL).cast::<u8>();
            let pace = (PANEL * size_of::<W>()).div_ceil(blocks.count);
            for (block, tile) in tiles.iter_mut().enumerate() {
                let (first, count) = blocks.get(block);
                let input = &packed[first * PIECE..][..count * PIECE];
                // Each block asks for its share.
                let ahead = Ahead { from: next.wrapping_add(block * pace * length), pace };
                if ends {
                    output.expect(panel_index, group.first + first, count);
                }
                let as_they_are = W::as_f32(panel);
                if block == 0 && as_they_are.is_none() {
                    let wide = wide.numbers_mut();
                    with_rows!(count, ROWS => instructions.run(
                        FloatTile::<W, ROWS, KEEPING> { panel, inputs: length, input, tile, begins, ahead, wide }
                    ));
                } else {
                    let panel = as_they_are.unwrap_or(wide.numbers());
                    with_rows!(count, ROWS => instructions.run(
                        FloatTile::<f32, ROWS, AMONG> { panel, inputs: length, input, tile, begins, ahead, wide: &mut [] }
                    ));
                }
                if ends {
                    let sums = &tile.sums[..count];
                    instructions.run(Write { output, panel: panel_index, first_row: group.first + first, sums });
                }
            }
        }
    }
}
