//! What the new positions of a text see of those before them, as tensors that are added to scores.

use candle_core::{Device, Result, Tensor};

/// Of one text in one step, for all layers.
#[derive(Debug)]
pub(in crate::formats::language) struct Sight {
    /// ALiBi's, `[heads, 1, positions]`.
    far: Option<Tensor>,
    /// `[1, new positions, positions]`, where a new position does not see all.
    hidden: Option<Tensor>,
    /// The same, of layers with a window.
    windowed: Option<Tensor>,
}

// === impl Sight ===

impl Sight {
    /// Of all rows of a step, each with so many positions before its new ones.
    pub(in crate::formats::language) fn of_all(
        device: &Device,
        rows: impl Iterator<Item = (usize, usize)>,
        slopes: Option<&[f32]>,
        window: Option<usize>,
    ) -> Result<Vec<Self>> {
        let slopes = slopes.map(|slopes| Tensor::from_slice(slopes, (slopes.len(), 1, 1), device)).transpose()?;
        rows.map(|row| Self::new(device, row, slopes.as_ref(), window)).collect()
    }

    /// Of `new` positions behind `before` others. `slopes` is `[heads, 1, 1]`.
    fn new(
        device: &Device,
        (before, new): (usize, usize),
        slopes: Option<&Tensor>,
        window: Option<usize>,
    ) -> Result<Self> {
        let all = before + new;
        let far = slopes.map(|slopes| {
            let positions = Tensor::arange(0, all as u32, device)?.to_dtype(slopes.dtype())?;
            slopes.broadcast_mul(&positions)
        });
        let mask = |window: usize| {
            let is_seen = |row: usize, position: usize| position <= before + row && before + row - position < window;
            let values: Vec<f32> = (0..new)
                .flat_map(|row| {
                    (0..all).map(move |position| if is_seen(row, position) { 0.0 } else { f32::NEG_INFINITY })
                })
                .collect();
            Tensor::from_vec(values, (1, new, all), device)
        };
        let hidden = (new > 1).then(|| mask(usize::MAX)).transpose()?;
        let windowed = match window {
            Some(window) if window < all => Some(mask(window)?),
            _ => hidden.clone(),
        };
        Ok(Self { far: far.transpose()?, hidden, windowed })
    }

    /// Scores `[heads, new positions, positions]` of the new positions from `first` on, with what is not to be seen taken out.
    pub(in crate::formats::language) fn applied(
        &self,
        scores: Tensor,
        first: usize,
        is_windowed: bool,
    ) -> Result<Tensor> {
        let scores = match &self.far {
            Some(far) => scores.broadcast_add(far)?,
            None => scores,
        };
        match if is_windowed { &self.windowed } else { &self.hidden } {
            Some(hidden) => scores.broadcast_add(&hidden.narrow(1, first, scores.dim(1)?)?),
            None => Ok(scores),
        }
    }
}
