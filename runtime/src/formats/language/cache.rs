//! Keys and values of the positions that a text already has, for each layer.
//!
//! It belongs to the text and not to the decoder, so that texts of any length share one step, and join and leave
//! between steps. Texts that begin alike share what they have in common.

use modelway_kernels::{Cache as Layer, CachePrecision, Heads, ShapeError};

/// What one text keeps between steps.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) layers: Vec<Layer>,
}

/// The shape of the caches of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheShape {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) precision: CachePrecision,
}

// === impl CacheShape ===

impl CacheShape {
    /// Of a text that has not begun.
    pub(super) fn empty(self) -> Cache {
        let layer = || Layer::new(self.heads, self.width, self.precision);
        Cache { layers: (0..self.layers).map(|_| layer()).collect() }
    }

    /// Bytes of so many positions.
    pub(super) fn bytes(self, positions: usize) -> usize {
        self.layers * Layer::bytes_for(self.heads, self.width, self.precision, positions)
    }
}

// === impl Cache ===

impl Cache {
    /// The cache of a text that begins with so many positions of this one.
    pub(super) fn fork(&self, positions: usize) -> Self {
        Self { layers: self.layers.iter().map(|layer| layer.prefix(positions)).collect() }
    }

    /// Positions that there are.
    pub(super) fn length(&self) -> usize {
        self.layers.first().map_or(0, Layer::len)
    }

    /// Bytes that keys and values take, those that are shared with other texts among them.
    pub(super) fn size_bytes(&self) -> usize {
        self.layers.iter().map(Layer::size_bytes).sum()
    }

    /// Adds keys and values of positions to one layer.
    pub(super) fn append(
        &mut self,
        layer: usize,
        positions: usize,
        keys: Heads<'_>,
        values: Heads<'_>,
    ) -> Result<(), ShapeError> {
        match self.layers.get_mut(layer) {
            Some(layer) => layer.append(positions, keys, values),
            None => Ok(()),
        }
    }
}
