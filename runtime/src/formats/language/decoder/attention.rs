//! Attention of a block: heads are taken out of the output of one linear layer, normed and rotated where the family does
//! so, and look at the keys of their own text.

mod device;
mod host;

use modelway_kernels::Heads;

use super::norm::Norm;
use super::places::Place;
use super::{Row, Span};
use crate::formats::LoadError;
use crate::formats::language::compute::{ComputeError, States};
use crate::formats::language::config::{Config, QueryKeyValue};
use crate::formats::language::weights::Weights;

pub(super) struct Attention {
    layout: Layout,
    head_norms: Option<HeadNorms>,
}

/// Where queries, keys and values stand in the output of their layer.
#[derive(Clone, Copy, Debug)]
struct Layout {
    heads: usize,
    kv_heads: usize,
    width: usize,
    /// Outputs of a position.
    row: usize,
    key: usize,
    value: usize,
    /// From one head to the next.
    stride: usize,
}

/// Norms of each head of queries and keys.
struct HeadNorms {
    query: Norm,
    key: Norm,
}

// === impl Attention ===

impl Attention {
    pub(super) fn take(weights: &mut Weights, block: &str, config: &Config) -> Result<Self, LoadError> {
        let head_norms = config.has_head_norms.then(|| HeadNorms::take(weights, block, config)).transpose()?;
        Ok(Self { layout: Layout::of(config), head_norms })
    }

    /// Of the positions of all rows, in one layer; what it mixes is `[positions, outputs of queries, keys and values]`.
    pub(super) fn apply(
        &self,
        mixed: States,
        layer: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<States, ComputeError> {
        match mixed {
            States::Host(mixed) => Ok(States::Host(self.on_host(mixed, layer, rows, spans, place)?)),
            States::Device(mixed) => Ok(States::Device(self.on_device(&mixed, layer, rows, spans, place)?)),
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.head_norms.as_ref().map_or(0, |norms| norms.query.size_bytes() + norms.key.size_bytes())
    }
}

// === impl Layout ===

impl Layout {
    fn of(config: &Config) -> Self {
        let Config { heads, kv_heads, head_width: width, .. } = *config;
        let row = (heads + 2 * kv_heads) * width;
        match config.names.query_key_value {
            QueryKeyValue::ByHead(_) => {
                Self { heads, kv_heads, width, row, key: width, value: 2 * width, stride: 3 * width }
            }
            QueryKeyValue::Fused(_) | QueryKeyValue::Three(_) => {
                let key = heads * width;
                Self { heads, kv_heads, width, row, key, value: key + kv_heads * width, stride: width }
            }
        }
    }

    fn heads_at(self, rows: &[f32], first: usize) -> Heads<'_> {
        let values = rows.get(first..).unwrap_or_default();
        Heads { values, row_stride: self.row, head_stride: self.stride }
    }
}

// === impl HeadNorms ===

impl HeadNorms {
    fn take(weights: &mut Weights, block: &str, config: &Config) -> Result<Self, LoadError> {
        let mut norm = |name: &str| Norm::take(weights, &format!("{block}.{name}"), config.head_width, config.norm);
        let [query, key] = config.names.head_norms;
        Ok(Self { query: norm(query)?, key: norm(key)? })
    }
}
