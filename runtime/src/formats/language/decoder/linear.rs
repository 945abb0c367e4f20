//! Linear layers, and what adapters of low rank (LoRA) add to them for single texts.
//!
//! Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021): y = W·x + b + scale·B·(A·x).
//!
//! Layers that take the same input are one layer here, one below the other: queries, keys and values, or gate and up.

use std::collections::HashMap;

use super::{Row, Span};
use crate::formats::LoadError;
use crate::formats::language::compute::{ComputeError, Matrix, Processor, States, Vector};
use crate::formats::language::config::{Config, QueryKeyValue, Widen};
use crate::formats::language::weights::{Kept, Weights};

pub(super) struct Linear {
    weight: Matrix,
    bias: Option<Vector>,
}

/// Which linear layer of a block.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(in crate::formats::language) enum Site {
    QueryKeyValue,
    AttentionOut,
    Widen,
    Narrow,
}

/// A layer as a file knows it: a part of one of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::formats::language) struct Target {
    pub(in crate::formats::language) name: &'static str,
    pub(in crate::formats::language) site: Site,
    /// Its first output among ours.
    pub(in crate::formats::language) at: usize,
    pub(in crate::formats::language) inputs: usize,
    pub(in crate::formats::language) outputs: usize,
}

/// What an adapter adds to linear layers, by block and layer.
#[derive(Debug, Default)]
pub(in crate::formats::language) struct LowRank {
    deltas: HashMap<(usize, Site), Vec<Delta>>,
}

#[derive(Debug)]
struct Delta {
    /// A: `[rank, in]`.
    down: Matrix,
    /// B: `[out, rank]`, scaled.
    up: Matrix,
    /// The first output that it changes.
    at: usize,
}

// === impl Linear ===

impl Linear {
    pub(super) fn take(
        weights: &mut Weights,
        block: &str,
        parts: &[Target],
        has_bias: bool,
        kept: Kept,
    ) -> Result<Self, LoadError> {
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let named = |what: &str, part: &Target| format!("{block}.{}.{what}", part.name);
        let names: Vec<_> = parts.iter().map(|part| (named("weight", part), part.outputs)).collect();
        let weight = weights.matrix(&names, inputs, kept)?;
        let mut bias = Vec::new();
        for part in parts.iter().filter(|_| has_bias) {
            bias.extend(weights.take(&named("bias", part), &[part.outputs])?);
        }
        let bias = has_bias.then(|| weights.vector(bias)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// Of `[positions, inputs]`.
    pub(super) fn apply(
        &self,
        positions: &States,
        place: (usize, Site),
        rows: &[Row<'_>],
        spans: &[Span],
    ) -> Result<States, ComputeError> {
        let mut all = self.weight.multiply(positions, self.bias.as_ref())?;
        for (row, span) in rows.iter().zip(spans) {
            let deltas = row.low_rank.and_then(|low_rank| low_rank.deltas.get(&place));
            for delta in deltas.into_iter().flatten() {
                let own = positions.part(span.start, span.length)?;
                all.add_part(&delta.of(&own)?, span.start, delta.at)?;
            }
        }
        Ok(all)
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.weight.size_bytes() + self.bias.as_ref().map_or(0, Vector::size_bytes)
    }
}

// === impl Target ===

impl Target {
    /// The layers of a block that a site is made of.
    pub(in crate::formats::language) fn of(site: Site, config: &Config) -> Vec<Self> {
        let (hidden, inner) = (config.hidden, config.inner);
        let queries = config.heads * config.head_width;
        let keys = config.kv_heads * config.head_width;
        let target = |name, at, inputs, outputs| Self { name, site, at, inputs, outputs };
        match site {
            Site::QueryKeyValue => match config.names.query_key_value {
                QueryKeyValue::ByHead(name) | QueryKeyValue::Fused(name) => {
                    vec![target(name, 0, hidden, queries + 2 * keys)]
                }
                QueryKeyValue::Three([query, key, value]) => vec![
                    target(query, 0, hidden, queries),
                    target(key, queries, hidden, keys),
                    target(value, queries + keys, hidden, keys),
                ],
            },
            Site::AttentionOut => vec![target(config.names.attention_out, 0, queries, hidden)],
            Site::Widen => match config.names.widen {
                Widen::Plain(name) => vec![target(name, 0, hidden, inner)],
                Widen::Fused(name) => vec![target(name, 0, hidden, 2 * inner)],
                Widen::Gated([gate, up]) => {
                    vec![target(gate, 0, hidden, inner), target(up, inner, hidden, inner)]
                }
            },
            Site::Narrow => vec![target(config.names.narrow, 0, inner, hidden)],
        }
    }
}

// === impl Site ===

impl Site {
    pub(in crate::formats::language) const ALL: [Self; 4] =
        [Self::QueryKeyValue, Self::AttentionOut, Self::Widen, Self::Narrow];
}

// === impl LowRank ===

impl LowRank {
    /// Adds scale·B·A to a layer of a block; A is `[rank, in]`, B `[out, rank]`.
    pub(in crate::formats::language) fn add(
        &mut self,
        processor: &Processor,
        block: usize,
        target: &Target,
        (a, b): (&[f32], &[f32]),
        (rank, scale): (usize, f64),
    ) -> Result<(), String> {
        let scaled: Vec<f32> = b.iter().map(|value| (f64::from(*value) * scale) as f32).collect();
        let pack =
            |outputs, inputs, values| processor.matrix_of(outputs, inputs, values).map_err(|error| error.to_string());
        let delta =
            Delta { down: pack(rank, target.inputs, a)?, up: pack(target.outputs, rank, &scaled)?, at: target.at };
        self.deltas.entry((block, target.site)).or_default().push(delta);
        Ok(())
    }

    pub(in crate::formats::language) fn is_empty(&self) -> bool {
        self.deltas.is_empty()
    }

    pub(in crate::formats::language) fn size_bytes(&self) -> usize {
        self.deltas.values().flatten().map(|delta| delta.down.size_bytes() + delta.up.size_bytes()).sum()
    }
}

// === impl Delta ===

impl Delta {
    /// What is added to the outputs that it changes.
    fn of(&self, positions: &States) -> Result<States, ComputeError> {
        self.up.multiply(&self.down.multiply(positions, None)?, None)
    }
}
