//! On a device: heads become tensors of their own, `[heads, positions, width]`, for all rows at once; then each text
//! multiplies its queries with its own keys and values.

use candle_core::{D, Tensor};
use candle_nn::{ops, rotary_emb};

use super::{Attention, Layout};
use crate::formats::language::cache::Layer;
use crate::formats::language::compute::{ComputeError, Rotations, States};
use crate::formats::language::decoder::norm::Norm;
use crate::formats::language::decoder::places::Place;
use crate::formats::language::decoder::{Row, Span};

/// Scores that are in memory at once, of all heads: a long prompt's would take gigabytes.
const SCORES: usize = if cfg!(test) { 1 << 10 } else { 1 << 24 };

impl Attention {
    pub(super) fn on_device(
        &self,
        mixed: &Tensor,
        number: usize,
        rows: &mut [Row<'_>],
        spans: &[Span],
        place: &Place<'_>,
    ) -> Result<Tensor, ComputeError> {
        let layout = self.layout;
        let mut queries = layout.heads_of(mixed, 0, layout.heads)?;
        let mut keys = layout.heads_of(mixed, layout.key, layout.kv_heads)?;
        let values = layout.heads_of(mixed, layout.value, layout.kv_heads)?;
        if let Some(norms) = &self.head_norms {
            (queries, keys) = (normed(&norms.query, queries)?, normed(&norms.key, keys)?);
        }
        match place.rotations {
            Some(Rotations::Device { cosines, sines }) => {
                (queries, keys) = (rotated(&queries, cosines, sines)?, rotated(&keys, cosines, sines)?);
            }
            Some(Rotations::Host(_)) => return Err(ComputeError::Elsewhere),
            None => {}
        }
        let mut attended = Vec::with_capacity(rows.len());
        for (index, (row, span)) in rows.iter_mut().zip(spans).enumerate() {
            let own = |tensor: &Tensor| tensor.narrow(1, span.start, span.length);
            let (Some(Layer::Device(cache)), Some(sight)) = (row.cache.layers.get_mut(number), place.sights.get(index))
            else {
                return Err(ComputeError::Elsewhere);
            };
            cache.append(&own(&keys)?, &own(&values)?)?;
            let (keys, values) = cache.all()?;
            let (keys, queries) = (keys.t()?, own(&queries)?);
            let most = SCORES / (layout.heads * cache.len()).max(1);
            for first in (0..span.length).step_by(most.max(1)) {
                let count = most.max(1).min(span.length - first);
                let group = layout.heads / layout.kv_heads.max(1) * count;
                let queries = queries.narrow(1, first, count)?.reshape((layout.kv_heads, group, layout.width))?;
                let scores = (queries.matmul(&keys)? * f64::from(place.attention.scale))?;
                let scores = match place.attention.cap {
                    Some(cap) => States::Device(scores).capped(cap)?.into_tensor()?,
                    None => scores,
                };
                let scores = scores.reshape((layout.heads, count, ()))?;
                let scores = sight.applied(scores, first, place.attention.window.is_some())?;
                let weights = ops::softmax_last_dim(&scores)?.reshape((layout.kv_heads, group, ()))?;
                let mixed = weights.matmul(&values)?.reshape((layout.heads, count, layout.width))?;
                attended.push(mixed.transpose(0, 1)?.reshape((count, layout.heads * layout.width))?);
            }
        }
        Ok(Tensor::cat(&attended, 0)?)
    }
}

/// Each head by itself.
fn normed(norm: &Norm, heads: Tensor) -> Result<Tensor, ComputeError> {
    norm.apply(&States::Device(heads))?.into_tensor()
}

/// The first values of each head, as many as there are pairs; sines and cosines are `[positions, pairs]`.
fn rotated(heads: &Tensor, cosines: &Tensor, sines: &Tensor) -> Result<Tensor, ComputeError> {
    let (turned, width) = (2 * cosines.dim(1)?, heads.dim(D::Minus1)?);
    if turned == 0 {
        return Ok(heads.clone());
    }
    let first = heads.narrow(D::Minus1, 0, turned)?.contiguous()?.unsqueeze(0)?;
    let first = rotary_emb::rope(&first, cosines, sines)?.squeeze(0)?;
    if turned == width {
        return Ok(first);
    }
    Ok(Tensor::cat(&[&first, &heads.narrow(D::Minus1, turned, width - turned)?], D::Minus1)?)
}

// === impl Layout ===

impl Layout {
    /// `[heads, positions, width]`.
    fn heads_of(self, mixed: &Tensor, first: usize, heads: usize) -> Result<Tensor, ComputeError> {
        let positions = mixed.dim(0)?;
        // From one head to the next there may be others between: of keys and values.
        let heads = if self.stride == self.width {
            mixed.narrow(1, first, heads * self.width)?.reshape((positions, heads, self.width))?
        } else {
            mixed.reshape((positions, heads, self.stride))?.narrow(2, first, self.width)?
        };
        Ok(heads.transpose(0, 1)?.contiguous()?)
    }
}
