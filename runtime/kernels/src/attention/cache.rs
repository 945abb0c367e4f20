//! Keys and values of one layer and one text.

use crate::buffer::Buffer;
use crate::shape::{Heads, ShapeError};
use crate::simd::Float;
use half::f16;
use std::sync::Arc;

/// Positions of a block.
pub(crate) const BLOCK: usize = 16;

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CachePrecision {
    /// 4 bytes a value.
    F32,
    /// 2 bytes a value; values beyond 65504 become infinite.
    F16,
}

/// Keys and values of one layer and one text, to which positions are only ever added.
///
/// They stand in blocks of 16 positions. A clone shares the blocks and copies one only when it
/// appends to it: a prefix that many texts begin with is computed and kept once.
#[derive(Clone, Debug)]
pub struct Cache {
    heads: usize,
    width: usize,
    precision: CachePrecision,
    length: usize,
    blocks: Vec<Arc<Block>>,
}

/// For each head the keys of all positions, `width x BLOCK` (so that a vector holds one value of
/// many positions), then the values, `BLOCK x padded width`. What is not written yet is 0.
#[derive(Clone)]
struct Block(Buffer);

// === impl Cache ===

impl Cache {
    /// An empty cache for `heads` heads (of keys and values) of `width` values each.
    pub fn new(heads: usize, width: usize, precision: CachePrecision) -> Self {
        Self { heads, width, precision, length: 0, blocks: Vec::new() }
    }

    /// Positions that it holds.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Heads of keys and values.
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Values of a head.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Memory of its blocks, those that clones share included.
    pub fn size_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.0.size_bytes()).sum()
    }

    /// Memory that a cache of this shape takes for so many positions.
    pub fn bytes_for(heads: usize, width: usize, precision: CachePrecision, positions: usize) -> usize {
        positions.div_ceil(BLOCK) * Self::new(heads, width, precision).block_bytes()
    }

    /// A cache that begins with the first `length` positions of this one, and shares their blocks.
    pub fn prefix(&self, length: usize) -> Self {
        let length = length.min(self.length);
        let blocks = self.blocks.iter().take(length.div_ceil(BLOCK)).cloned().collect();
        Self { blocks, length, ..*self }
    }

    /// Adds `rows` positions at the end.
    ///
    /// # Errors
    /// If `keys` or `values` end before the last head of the last row.
    pub fn append(&mut self, rows: usize, keys: Heads<'_>, values: Heads<'_>) -> Result<(), ShapeError> {
        keys.check("keys (to the end of the last head)", rows, self.heads, self.width)?;
        values.check("values (to the end of the last head)", rows, self.heads, self.width)?;
        for row in 0..rows {
            if self.length.is_multiple_of(BLOCK) {
                self.blocks.push(Arc::new(Block(Buffer::zeroed(self.block_bytes()))));
            }
            let position = self.length % BLOCK;
            let (heads, width, precision) = (self.heads, self.width, self.precision);
            if let Some(block) = self.blocks.last_mut() {
                let block = &mut Arc::make_mut(block).0;
                for head in 0..heads {
                    let (key, value) = (keys.get(row, head, width), values.get(row, head, width));
                    match precision {
                        CachePrecision::F32 => put::<f32>(block, head, width, position, key, value),
                        CachePrecision::F16 => put::<f16>(block, head, width, position, key, value),
                    }
                }
            }
            self.length += 1;
        }
        Ok(())
    }

    pub(crate) fn precision(&self) -> CachePrecision {
        self.precision
    }

    /// A head's keys and values in a block, in the type of the cache's precision.
    pub(crate) fn block<T: Float>(&self, block: usize, head: usize) -> (&[T], &[T]) {
        let (keys, values) = lengths(self.width);
        let head = &self.blocks[block].0.numbers::<T>()[head * (keys + values)..][..keys + values];
        head.split_at(keys)
    }

    fn block_bytes(&self) -> usize {
        let (keys, values) = lengths(self.width);
        let bytes = match self.precision {
            CachePrecision::F32 => 4,
            CachePrecision::F16 => 2,
        };
        self.heads * (keys + values) * bytes
    }
}

/// The width in whole vectors.
pub(crate) fn padded(width: usize) -> usize {
    width.next_multiple_of(crate::simd::MAX_LANES)
}

/// Numbers of a head's keys and of its values in a block.
fn lengths(width: usize) -> (usize, usize) {
    (width * BLOCK, BLOCK * padded(width))
}

fn put<T: Float>(block: &mut Buffer, head: usize, width: usize, position: usize, key: &[f32], value: &[f32]) {
    let (keys, values) = lengths(width);
    let head = &mut block.numbers_mut::<T>()[head * (keys + values)..][..keys + values];
    let (keys, values) = head.split_at_mut(keys);
    for (to, from) in keys.chunks_exact_mut(BLOCK).zip(key) {
        to[position] = T::from_f32(*from);
    }
    for (to, from) in values[position * padded(width)..].iter_mut().zip(value) {
        *to = T::from_f32(*from);
    }
}

// === impl Block ===

impl std::fmt::Debug for Block {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Block({} bytes)", self.0.size_bytes())
    }
}
