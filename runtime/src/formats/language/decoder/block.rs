//! One layer of the decoder: attention, then a feed-forward network, each behind a norm and added to what came in.
//! Or both side by side, behind one norm.

use super::attention::Attention;
use super::linear::{Linear, Site, Target};
use super::norm::Norm;
use super::places::Place;
use super::{Row, Span};
use crate::formats::LoadError;
use crate::formats::language::compute::{ComputeError, States};
use crate::formats::language::config::{Config, Widen};
use crate::formats::language::weights::{Kept, Weights};

pub(super) struct Block {
    activation: modelway_kernels::Activation,
    is_gated: bool,
    is_residual_after_norm: bool,
    before_attention: Norm,
    query_key_value: Linear,
    attention: Attention,
    attention_out: Linear,
    after_attention: Option<Norm>,
    /// Without, attention and network stand side by side.
    before_mlp: Option<Norm>,
    widen: Linear,
    narrow: Linear,
    after_mlp: Option<Norm>,
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
        Ok(Self {
            activation: config.activation,
            is_gated: matches!(names.widen, Widen::Gated(_) | Widen::Fused(_)),
            is_residual_after_norm: config.is_residual_after_norm,
            before_attention: norm(weights, names.before_attention)?,
            query_key_value: linear(weights, Site::QueryKeyValue, config.bias.query_key_value)?,
            attention: Attention::take(weights, &block, config)?,
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
        let norms = [&self.after_attention, &self.before_mlp, &self.after_mlp].into_iter().flatten();
        let norms: usize = norms.chain([&self.before_attention]).map(Norm::size_bytes).sum();
        linear.into_iter().map(Linear::size_bytes).sum::<usize>() + norms + self.attention.size_bytes()
    }

    /// `positions` is `[positions of all rows, hidden]`, before and after.
    pub(super) fn apply(
        &self,
        positions: &mut States,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<(), ComputeError> {
        let normed = self.before_attention.apply(positions)?;
        let attended = self.mix(&normed, number, rows, spans, place)?;
        let Some(before_mlp) = &self.before_mlp else {
            let narrow = self.feed(&normed, number, rows, spans)?;
            positions.add(&attended)?;
            return positions.add(&narrow);
        };
        if self.is_residual_after_norm {
            *positions = normed;
        }
        positions.add(&attended)?;

        let normed = before_mlp.apply(positions)?;
        let narrow = self.feed(&normed, number, rows, spans)?;
        if self.is_residual_after_norm {
            *positions = normed;
        }
        positions.add(&narrow)
    }

    /// What attention adds.
    fn mix(
        &self,
        normed: &States,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<States, ComputeError> {
        let mixed = self.query_key_value.apply(normed, (number, Site::QueryKeyValue), rows, spans)?;
        let attended = self.attention.apply(mixed, number, rows, spans, place)?;
        let attended = self.attention_out.apply(&attended, (number, Site::AttentionOut), rows, spans)?;
        match &self.after_attention {
            Some(norm) => norm.apply(&attended),
            None => Ok(attended),
        }
    }

    /// What the feed-forward network adds.
    fn feed(&self, normed: &States, number: usize, rows: &[Row<'_>], spans: &[Span]) -> Result<States, ComputeError> {
        let wide = self.widen.apply(normed, (number, Site::Widen), rows, spans)?;
        let active = if self.is_gated { wide.gated(self.activation)? } else { wide.activated(self.activation)? };
        let narrow = self.narrow.apply(&active, (number, Site::Narrow), rows, spans)?;
        match &self.after_mlp {
            Some(norm) => norm.apply(&narrow),
            None => Ok(narrow),
        }
    }
}
