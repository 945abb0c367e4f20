//! Keys and values of the positions that a text already has, for each layer.
//!
//! It belongs to the text and not to the decoder, so that texts of any length share one step, and join and leave
//! between steps. Texts that begin alike share what they have in common.

use modelway_kernels::{Cache as HostLayer, CachePrecision, Heads};

use super::compute::{ComputeError, KeyValues, Processor, gathered};

/// What one text keeps between steps.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub(super) layers: Vec<Layer>,
}

/// Of one layer.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    Host(HostLayer),
    Device(KeyValues),
}

/// The shape of the caches of a model.
#[derive(Clone, Debug)]
pub(super) struct CacheShape {
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) width: usize,
    pub(super) processor: Processor,
}

/// How they are kept on the host.
const PRECISION: CachePrecision = CachePrecision::F32;

// === impl CacheShape ===

impl CacheShape {
    /// Of a text that has not begun.
    pub(super) fn empty(&self) -> Cache {
        let layer = || match &self.processor {
            Processor::Host => Layer::Host(HostLayer::new(self.heads, self.width, PRECISION)),
            Processor::Device(device) => Layer::Device(KeyValues::new(device, self.heads, self.width)),
        };
        Cache { layers: (0..self.layers).map(|_| layer()).collect() }
    }

    /// Bytes of so many positions.
    pub(super) fn bytes(&self, positions: usize) -> usize {
        let layer = match &self.processor {
            Processor::Host => HostLayer::bytes_for(self.heads, self.width, PRECISION, positions),
            Processor::Device(_) => KeyValues::bytes_for(self.heads, self.width, positions),
        };
        self.layers * layer
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
        self.layers.first().map_or(0, Layer::length)
    }

    /// Bytes that keys and values take, those that are shared with other texts among them.
    pub(super) fn size_bytes(&self) -> usize {
        self.layers.iter().map(Layer::size_bytes).sum()
    }

    /// Adds keys and values of positions to one layer, from the host's memory.
    pub(super) fn append(
        &mut self,
        layer: usize,
        positions: usize,
        keys: Heads<'_>,
        values: Heads<'_>,
    ) -> Result<(), ComputeError> {
        match self.layers.get_mut(layer) {
            Some(Layer::Host(layer)) => Ok(layer.append(positions, keys, values)?),
            Some(Layer::Device(layer)) => {
                let (heads, width) = (layer.heads(), layer.width());
                let moved = |from| {
                    let values = gathered(positions, heads, width, from);
                    candle_core::Tensor::from_vec(values, (heads, positions, width), layer.device())
                };
                let (keys, values) = (moved(keys)?, moved(values)?);
                Ok(layer.append(&keys, &values)?)
            }
            None => Ok(()),
        }
    }
}

// === impl Layer ===

impl Layer {
    fn prefix(&self, positions: usize) -> Self {
        match self {
            Self::Host(layer) => Self::Host(layer.prefix(positions)),
            Self::Device(layer) => Self::Device(layer.prefix(positions)),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Host(layer) => layer.len(),
            Self::Device(layer) => layer.len(),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Host(layer) => layer.size_bytes(),
            Self::Device(layer) => layer.size_bytes(),
        }
    }
}
