//! One layer of the decoder: attention, then a feed-forward network, each behind a norm and added to what came in.

use modelway_kernels::{
    Attention, Heads, RotaryLayout, Rotations, ShapeError, Span as Attending, add, attend, rms_norm,
};

use super::linear::{Linear, Site, Target};
use super::norm::Norm;
use super::{Row, Span};
use crate::formats::LoadError;
use crate::formats::language::config::{self, Config, QueryKeyValue, Widen};
use crate::formats::language::weights::{Kept, Weights};

pub(super) struct Block {
    layout: Layout,
    inner: usize,
    activation: modelway_kernels::Activation,
    is_gated: bool,
    is_residual_after_norm: bool,
    before_attention: Norm,
    query_key_value: Linear,
    head_norms: Option<HeadNorms>,
    attention_out: Linear,
    before_mlp: Norm,
    widen: Linear,
    narrow: Linear,
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

/// Qwen 3's: root mean square norms of each head of queries and keys.
struct HeadNorms {
    query: Vec<f32>,
    key: Vec<f32>,
    epsilon: f32,
}

/// What positions mean to attention, the same in all blocks.
pub(super) struct Places<'a> {
    pub(super) attention: Attention<'a>,
    pub(super) rotations: Option<Rotations>,
}

// === impl Block ===

impl Block {
    pub(super) fn take(weights: &mut Weights, number: usize, config: &Config, kept: Kept) -> Result<Self, LoadError> {
        let names = config.names;
        let block = format!("{}.{number}", names.blocks);
        let linear = |weights: &mut Weights, site: Site, has_bias: bool| {
            Linear::take(weights, &block, &Target::of(site, config), has_bias, kept)
        };
        let norm = |weights: &mut Weights, name: &str| {
            Norm::take(weights, &format!("{block}.{name}"), config.hidden, config.norm)
        };
        let head_norms = config.has_head_norms.then(|| HeadNorms::take(weights, &block, config)).transpose()?;
        Ok(Self {
            layout: Layout::of(config),
            inner: config.inner,
            activation: config.activation,
            is_gated: matches!(names.widen, Widen::Gated(_)),
            is_residual_after_norm: config.is_residual_after_norm,
            before_attention: norm(weights, names.before_attention)?,
            query_key_value: linear(weights, Site::QueryKeyValue, config.bias.query_key_value)?,
            head_norms,
            attention_out: linear(weights, Site::AttentionOut, config.bias.attention_out)?,
            before_mlp: norm(weights, names.before_mlp)?,
            widen: linear(weights, Site::Widen, config.bias.mlp)?,
            narrow: linear(weights, Site::Narrow, config.bias.mlp)?,
        })
    }

    pub(super) fn size_bytes(&self) -> usize {
        let linear = [&self.query_key_value, &self.attention_out, &self.widen, &self.narrow];
        let norms = self.before_attention.size_bytes() + self.before_mlp.size_bytes();
        linear.into_iter().map(Linear::size_bytes).sum::<usize>() + norms
    }

    /// `positions` is `[positions of all rows, hidden]`, before and after.
    pub(super) fn apply(
        &self,
        positions: &mut Vec<f32>,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        places: &Places<'_>,
    ) -> Result<(), ShapeError> {
        let normed = self.before_attention.apply(positions)?;
        let mut mixed = self.query_key_value.apply(&normed, (number, Site::QueryKeyValue), rows, spans)?;
        let attended = self.attend(&mut mixed, number, rows, spans, places)?;
        let attended = self.attention_out.apply(&attended, (number, Site::AttentionOut), rows, spans)?;
        if self.is_residual_after_norm {
            *positions = normed;
        }
        add(positions, &attended)?;

        let normed = self.before_mlp.apply(positions)?;
        let wide = self.widen.apply(&normed, (number, Site::Widen), rows, spans)?;
        let active = self.activate(wide)?;
        let narrow = self.narrow.apply(&active, (number, Site::Narrow), rows, spans)?;
        if self.is_residual_after_norm {
            *positions = normed;
        }
        add(positions, &narrow)
    }

    fn activate(&self, mut wide: Vec<f32>) -> Result<Vec<f32>, ShapeError> {
        if !self.is_gated {
            self.activation.apply(&mut wide);
            return Ok(wide);
        }
        let mut gates = Vec::with_capacity(wide.len() / 2);
        let mut ups = Vec::with_capacity(wide.len() / 2);
        for row in wide.chunks(2 * self.inner) {
            let (gate, up) = row.split_at_checked(self.inner).unwrap_or_default();
            gates.extend_from_slice(gate);
            ups.extend_from_slice(up);
        }
        self.activation.gate(&mut gates, &ups)?;
        Ok(gates)
    }

    /// `mixed` is `[positions of all rows, outputs]`.
    fn attend(
        &self,
        mixed: &mut [f32],
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        places: &Places<'_>,
    ) -> Result<Vec<f32>, ShapeError> {
        let layout = self.layout;
        if let Some(norms) = &self.head_norms {
            norms.apply(mixed, layout)?;
        }
        if let Some(rotations) = &places.rotations {
            rotations.apply(RotaryLayout::HalfSplit, mixed, layout.row, layout.heads, layout.stride)?;
            let keys = mixed.get_mut(layout.key..).unwrap_or_default();
            rotations.apply(RotaryLayout::HalfSplit, keys, layout.row, layout.kv_heads, layout.stride)?;
        }
        for (row, span) in rows.iter_mut().zip(spans) {
            let own = mixed.get(span.start * layout.row..).unwrap_or_default();
            row.cache.append(
                number,
                span.length,
                layout.heads_at(own, layout.key),
                layout.heads_at(own, layout.value),
            )?;
        }
        let texts: Vec<Attending<'_>> = rows
            .iter()
            .zip(spans)
            .filter_map(|(row, span)| Some(Attending { cache: row.cache.layers.get(number)?, rows: span.length }))
            .collect();
        let count = mixed.len() / layout.row;
        let mut attended = vec![0.0; count * layout.heads * layout.width];
        attend(&places.attention, layout.heads_at(mixed, 0), &texts, &mut attended)?;
        Ok(attended)
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
            QueryKeyValue::Three(_) => {
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
        let mut scale = |name: &str| weights.take(&format!("{block}.{name}.weight"), &[config.head_width]);
        let [query, key] = config.names.head_norms;
        let epsilon = match config.norm {
            config::Norm::Layer(epsilon) | config::Norm::Rms(epsilon) => epsilon,
        };
        Ok(Self { query: scale(query)?, key: scale(key)?, epsilon })
    }

    fn apply(&self, mixed: &mut [f32], layout: Layout) -> Result<(), ShapeError> {
        let mut normed = vec![0.0; layout.width];
        for row in mixed.chunks_mut(layout.row) {
            let queries = (0..layout.heads).map(|head| (head * layout.stride, &self.query));
            let keys = (0..layout.kv_heads).map(|head| (layout.key + head * layout.stride, &self.key));
            for (start, scale) in queries.chain(keys) {
                let head = row.get_mut(start..start + layout.width).unwrap_or_default();
                rms_norm(head, scale, self.epsilon, &mut normed)?;
                head.copy_from_slice(&normed);
            }
        }
        Ok(())
    }
}
