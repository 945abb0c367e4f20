//! One layer of the decoder: attention, then a feed-forward network, each behind a norm and added to what came in.
//! Or both side by side, behind one norm.

use modelway_kernels::{Heads, RotaryLayout, ShapeError, Span as Attending, add, attend};

use super::linear::{Linear, Site, Target};
use super::norm::Norm;
use super::places::Place;
use super::{Row, Span};
use crate::formats::LoadError;
use crate::formats::language::config::{Config, QueryKeyValue, Widen};
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
    after_attention: Option<Norm>,
    /// Without, attention and network stand side by side.
    before_mlp: Option<Norm>,
    widen: Linear,
    narrow: Linear,
    after_mlp: Option<Norm>,
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
            is_gated: matches!(names.widen, Widen::Gated(_) | Widen::Fused(_)),
            is_residual_after_norm: config.is_residual_after_norm,
            before_attention: norm(weights, names.before_attention)?,
            query_key_value: linear(weights, Site::QueryKeyValue, config.bias.query_key_value)?,
            head_norms,
            attention_out: linear(weights, Site::AttentionOut, config.bias.attention_out)?,
            after_attention: names.after_attention.map(|name| norm(weights, name)).transpose()?,
            before_mlp: names.before_mlp.map(|name| norm(weights, name)).transpose()?,
            widen: linear(weights, Site::Widen, config.bias.mlp)?,
            narrow: linear(weights, Site::Narrow, config.bias.mlp)?,
            after_mlp: names.after_mlp.map(|name| norm(weights, name)).transpose()?,
        })
    }

    pub(super) fn size_bytes(&self) -> usize {
        let linear = [&self.query_key_value, &self.attention_out, &self.widen, &self.narrow];
        let head_norms = self.head_norms.as_ref().map(|norms| [&norms.query, &norms.key]);
        let norms = [&self.after_attention, &self.before_mlp, &self.after_mlp].into_iter().flatten();
        let norms = norms.chain([&self.before_attention]).chain(head_norms.into_iter().flatten());
        linear.into_iter().map(Linear::size_bytes).sum::<usize>() + norms.map(Norm::size_bytes).sum::<usize>()
    }

    /// `positions` is `[positions of all rows, hidden]`, before and after.
    pub(super) fn apply(
        &self,
        positions: &mut Vec<f32>,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<(), ShapeError> {
        let normed = self.before_attention.apply(positions)?;
        let attended = self.mix(&normed, number, rows, spans, place)?;
        let Some(before_mlp) = &self.before_mlp else {
            let narrow = self.feed(&normed, number, rows, spans)?;
            add(positions, &attended)?;
            return add(positions, &narrow);
        };
        if self.is_residual_after_norm {
            *positions = normed;
        }
        add(positions, &attended)?;

        let normed = before_mlp.apply(positions)?;
        let narrow = self.feed(&normed, number, rows, spans)?;
        if self.is_residual_after_norm {
            *positions = normed;
        }
        add(positions, &narrow)
    }

    /// What attention adds.
    fn mix(
        &self,
        normed: &[f32],
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<Vec<f32>, ShapeError> {
        let mut mixed = self.query_key_value.apply(normed, (number, Site::QueryKeyValue), rows, spans)?;
        let attended = self.attend(&mut mixed, number, rows, spans, place)?;
        let attended = self.attention_out.apply(&attended, (number, Site::AttentionOut), rows, spans)?;
        match &self.after_attention {
            Some(norm) => norm.apply(&attended),
            None => Ok(attended),
        }
    }

    /// What the feed-forward network adds.
    fn feed(&self, normed: &[f32], number: usize, rows: &[Row<'_>], spans: &[Span]) -> Result<Vec<f32>, ShapeError> {
        let wide = self.widen.apply(normed, (number, Site::Widen), rows, spans)?;
        let active = self.activate(wide)?;
        let narrow = self.narrow.apply(&active, (number, Site::Narrow), rows, spans)?;
        match &self.after_mlp {
            Some(norm) => norm.apply(&narrow),
            None => Ok(narrow),
        }
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
        place: &Place<'_>,
    ) -> Result<Vec<f32>, ShapeError> {
        let layout = self.layout;
        if let Some(norms) = &self.head_norms {
            norms.apply(mixed, layout)?;
        }
        if let Some(rotations) = place.rotations {
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
        attend(&place.attention, layout.heads_at(mixed, 0), &texts, &mut attended)?;
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

    fn apply(&self, mixed: &mut [f32], layout: Layout) -> Result<(), ShapeError> {
        for (norm, first, heads) in [(&self.query, 0, layout.heads), (&self.key, layout.key, layout.kv_heads)] {
            let starts = (0..mixed.len() / layout.row)
                .flat_map(|row| (0..heads).map(move |head| row * layout.row + first + head * layout.stride));
            let mut gathered = Vec::with_capacity(mixed.len() / layout.row * heads * layout.width);
            for start in starts.clone() {
                gathered.extend_from_slice(mixed.get(start..start + layout.width).unwrap_or_default());
            }
            let normed = norm.apply(&gathered)?;
            for (start, head) in starts.zip(normed.chunks(layout.width)) {
                mixed.get_mut(start..start + layout.width).unwrap_or_default().copy_from_slice(head);
            }
        }
        Ok(())
    }
}
