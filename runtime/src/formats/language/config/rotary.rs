//! Rotary positions: how fast each pair of a head's values turns.
//!
//! Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021). Extensions to longer contexts:
//! `linear` (Chen et al., 2023) and `llama3` (Llama 3.1's model card); transformers' `modeling_rope_utils` has the names.

use serde::Deserialize;

use crate::formats::LoadError;

/// The speeds, in radians a position, of each pair.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats::language) struct Rotary {
    pub(in crate::formats::language) frequencies: Vec<f32>,
}

/// What a configuration says: older files beside each other, newer ones in `rope_parameters`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Members {
    rope_theta: Option<f64>,
    rope_scaling: Option<Scaling>,
    rope_parameters: Option<Scaling>,
    partial_rotary_factor: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
struct Scaling {
    rope_theta: Option<f64>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
}

// === impl Rotary ===

impl Rotary {
    pub(super) fn read(members: &Members, head_width: usize) -> Result<Self, LoadError> {
        let scaling = members.rope_parameters.as_ref().or(members.rope_scaling.as_ref());
        let theta = scaling.and_then(|scaling| scaling.rope_theta).or(members.rope_theta).unwrap_or(10_000.0);
        let partial = scaling.and_then(|scaling| scaling.partial_rotary_factor).or(members.partial_rotary_factor);
        let width = (head_width as f64 * partial.unwrap_or(1.0)) as usize / 2 * 2;
        let exponent = |pair: usize| (2 * pair) as f64 / width as f64;
        let frequencies = (0..width / 2).map(|pair| theta.powf(exponent(pair)).recip());
        let scaled = match scaling.and_then(|scaling| Some((scaling, scaling.rope_type.as_deref()?))) {
            None | Some((_, "default")) => frequencies.collect(),
            Some((scaling, "linear")) => {
                let factor = wanted("factor", scaling.factor)?;
                frequencies.map(|frequency| frequency / factor).collect()
            }
            Some((scaling, "llama3")) => llama3(frequencies, scaling)?,
            Some((_, other)) => {
                let text = format!("rope_type: expected default, linear or llama3, got '{other}'");
                return Err(LoadError::Unsupported(text));
            }
        };
        let frequencies = scaled.into_iter().map(|frequency: f64| frequency as f32).collect();
        Ok(Self { frequencies })
    }

    /// Values of a head that are rotated.
    pub(super) fn width(&self) -> usize {
        2 * self.frequencies.len()
    }
}

/// Slow pairs are slowed further, fast ones stay, those between in part.
fn llama3(frequencies: impl Iterator<Item = f64>, scaling: &Scaling) -> Result<Vec<f64>, LoadError> {
    let factor = wanted("factor", scaling.factor)?;
    let low = wanted("low_freq_factor", scaling.low_freq_factor)?;
    let high = wanted("high_freq_factor", scaling.high_freq_factor)?;
    let context = wanted("original_max_position_embeddings", scaling.original_max_position_embeddings)?;
    let scaled = frequencies.map(|frequency| {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        if wavelength < context / high {
            frequency
        } else if wavelength > context / low {
            frequency / factor
        } else {
            let smooth = (context / wavelength - low) / (high - low);
            (1.0 - smooth) * frequency / factor + smooth * frequency
        }
    });
    Ok(scaled.collect())
}

fn wanted(name: &str, value: Option<f64>) -> Result<f64, LoadError> {
    value.filter(|value| *value > 0.0).ok_or_else(|| LoadError::Malformed(format!("rope_scaling: {name} is missing")))
}
