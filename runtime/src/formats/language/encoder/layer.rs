//! One layer of the encoder: attention, then a feed-forward network, each added to what came in. Norms stand behind that
//! (BERT's), or before attention and network (ModernBERT's).

use std::borrow::Cow;
use std::ops::Range;

use modelway_kernels::{
    Activation, Attention, Cache, CachePrecision, Heads, RotaryLayout, Rotations, ShapeError, Span, add, attend,
};
use rayon::prelude::*;

use super::Config;
use super::linear::{Linear, Norm};
use crate::formats::LoadError;
use crate::formats::language::config::{QueryKeyValue, Widen};
use crate::formats::language::weights::{Kept, Weights};

pub(super) struct Layer {
    hidden: usize,
    inner: usize,
    heads: usize,
    activation: Activation,
    is_gated: bool,
    before_attention: Option<Norm>,
    /// Outputs: all queries, then all keys, then all values.
    query_key_value: Linear,
    attention_out: Linear,
    after_attention: Option<Norm>,
    before_mlp: Option<Norm>,
    widen: Linear,
    narrow: Linear,
    after_mlp: Option<Norm>,
}

// === impl Layer ===

impl Layer {
    pub(super) fn take(weights: &mut Weights, number: usize, config: &Config, kept: Kept) -> Result<Self, LoadError> {
        let Config { names, hidden, inner, bias, .. } = *config;
        let full = |name: &str| format!("{}.{number}.{name}", names.layers);
        let norm = |weights: &mut Weights, name: Option<&str>| {
            name.map(|name| Norm::take(weights, &full(name), hidden, bias.norm, config.epsilon)).transpose()
        };
        let (query_key_value, widen) = match (&names.query_key_value, &names.widen) {
            (QueryKeyValue::Three(three), _) => (three.iter().map(|name| (full(name), hidden)).collect(), &names.widen),
            (QueryKeyValue::Fused(name) | QueryKeyValue::ByHead(name), widen) => {
                (vec![(full(name), 3 * hidden)], widen)
            }
        };
        let widen = match widen {
            Widen::Plain(name) => vec![(full(name), inner)],
            Widen::Fused(name) => vec![(full(name), 2 * inner)],
            Widen::Gated(two) => two.iter().map(|name| (full(name), inner)).collect(),
        };
        Ok(Self {
            hidden,
            inner,
            heads: config.heads,
            activation: config.activation,
            is_gated: !matches!(names.widen, Widen::Plain(_)),
            // The first layer has the norm of the embedding before it.
            before_attention: norm(weights, names.before_attention.filter(|_| number > 0))?,
            query_key_value: Linear::take(weights, &query_key_value, hidden, bias.attention, kept)?,
            attention_out: Linear::take(weights, &[(full(names.attention_out), hidden)], hidden, bias.attention, kept)?,
            after_attention: norm(weights, names.after_attention)?,
            before_mlp: norm(weights, names.before_mlp)?,
            widen: Linear::take(weights, &widen, hidden, bias.mlp, kept)?,
            narrow: Linear::take(weights, &[(full(names.narrow), hidden)], inner, bias.mlp, kept)?,
            after_mlp: norm(weights, names.after_mlp)?,
        })
    }

    pub(super) fn size_bytes(&self) -> usize {
        let linear = [&self.query_key_value, &self.attention_out, &self.widen, &self.narrow];
        let norms = [&self.before_attention, &self.after_attention, &self.before_mlp, &self.after_mlp];
        let norms = norms.into_iter().flatten().map(Norm::size_bytes).sum::<usize>();
        linear.into_iter().map(Linear::size_bytes).sum::<usize>() + norms
    }

    /// `positions` is `[positions of all texts, hidden]`, before and after; `spans` are the rows of each text.
    pub(super) fn apply(
        &self,
        positions: &mut Vec<f32>,
        spans: &[Range<usize>],
        attention: &Attention<'_>,
        rotations: Option<&Rotations>,
    ) -> Result<(), ShapeError> {
        let mut mixed = self.query_key_value.apply(&normed(self.before_attention.as_ref(), positions)?)?;
        let attended = self.attention_out.apply(&self.attend(&mut mixed, spans, attention, rotations)?)?;
        add(positions, &attended)?;
        if let Some(norm) = &self.after_attention {
            *positions = norm.apply(positions)?;
        }
        let wide = self.widen.apply(&normed(self.before_mlp.as_ref(), positions)?)?;
        let narrow = self.narrow.apply(&self.activate(wide)?)?;
        add(positions, &narrow)?;
        if let Some(norm) = &self.after_mlp {
            *positions = norm.apply(positions)?;
        }
        Ok(())
    }

    /// `mixed` is `[positions of all texts, queries, keys and values]`.
    fn attend(
        &self,
        mixed: &mut [f32],
        spans: &[Range<usize>],
        attention: &Attention<'_>,
        rotations: Option<&Rotations>,
    ) -> Result<Vec<f32>, ShapeError> {
        let (row, width) = (3 * self.hidden, self.hidden / self.heads);
        if let Some(rotations) = rotations {
            rotations.apply(RotaryLayout::HalfSplit, mixed, row, self.heads, width)?;
            let keys = mixed.get_mut(self.hidden..).unwrap_or_default();
            rotations.apply(RotaryLayout::HalfSplit, keys, row, self.heads, width)?;
        }
        let mixed = &*mixed;
        let heads_from = |start: usize| Heads {
            values: mixed.get(start..).unwrap_or_default(),
            row_stride: row,
            head_stride: width,
        };
        let cache = |span: &Range<usize>| {
            let mut cache = Cache::new(self.heads, width, CachePrecision::F32);
            let start = span.start * row;
            cache.append(span.len(), heads_from(start + self.hidden), heads_from(start + 2 * self.hidden))?;
            Ok(cache)
        };
        let caches: Vec<Cache> = match spans {
            [only] => vec![cache(only)?],
            all => all.par_iter().map(cache).collect::<Result<_, _>>()?,
        };
        let texts: Vec<Span<'_>> = caches.iter().map(|cache| Span { cache, rows: cache.len() }).collect();
        let mut attended = vec![0.0; mixed.len() / 3];
        attend(attention, heads_from(0), &texts, &mut attended)?;
        Ok(attended)
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
}

/// Behind a norm, if there is one.
fn normed<'a>(norm: Option<&Norm>, positions: &'a [f32]) -> Result<Cow<'a, [f32]>, ShapeError> {
    norm.map_or(Ok(Cow::Borrowed(positions)), |norm| norm.apply(positions).map(Cow::Owned))
}
