//! Rotary positions: how fast each pair of a head's values turns.
//!
//! Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021). Extensions to longer contexts:
//! `linear` (Chen et al., 2023), `llama3` (Llama 3.1's model card), `yarn` (Peng et al., 2023) and `longrope` (Ding et al.,
//! 2024); transformers' `modeling_rope_utils` has the names.

use serde::Deserialize;

use crate::formats::LoadError;

/// The speeds, in radians a position, of each pair.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::formats::language) struct Rotary {
    pub(in crate::formats::language) frequencies: Vec<f32>,
    /// What sines and cosines are multiplied with.
    pub(in crate::formats::language) scale: f32,
    /// Positions up to which these speeds hold, where they say that by themselves.
    pub(in crate::formats::language) context: Option<usize>,
}

/// What a configuration says: older files beside each other, newer ones in `rope_parameters`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Members {
    pub(super) rope_theta: Option<f64>,
    rope_scaling: Option<Scaling>,
    pub(super) rope_parameters: Option<Scaling>,
    pub(super) partial_rotary_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    max_position_embeddings: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Scaling {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    /// The older name of `rope_type`. Some files have both.
    #[serde(rename = "type")]
    kind: Option<String>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<f64>,
    partial_rotary_factor: Option<f64>,
    short_factor: Option<Vec<f64>>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
}

// === impl Rotary ===

impl Rotary {
    /// `theta` is the family's, for files that have none.
    pub(super) fn read(members: &Members, head_width: usize, theta: f64) -> Result<Self, LoadError> {
        let default = Scaling::default();
        let scaling = members.rope_parameters.as_ref().or(members.rope_scaling.as_ref()).unwrap_or(&default);
        let theta = scaling.rope_theta.or(members.rope_theta).unwrap_or(theta);
        let partial = scaling.partial_rotary_factor.or(members.partial_rotary_factor).unwrap_or(1.0);
        let width = (head_width as f64 * partial) as usize / 2 * 2;
        let exponent = |pair: usize| (2 * pair) as f64 / width as f64;
        let frequencies: Vec<f64> = (0..width / 2).map(|pair| theta.powf(exponent(pair)).recip()).collect();
        let plain = |frequencies: Vec<f64>| {
            let frequencies = frequencies.into_iter().map(|frequency| frequency as f32).collect();
            Self { frequencies, scale: 1.0, context: None }
        };
        match scaling.rope_type.as_deref().or(scaling.kind.as_deref()) {
            None | Some("default") => Ok(plain(frequencies)),
            Some("linear") => {
                let factor = wanted("factor", scaling.factor)?;
                Ok(plain(frequencies.into_iter().map(|frequency| frequency / factor).collect()))
            }
            Some("llama3") => Ok(plain(llama3(&frequencies, scaling)?)),
            Some("yarn") => {
                let (frequencies, scale, context) = yarn(&frequencies, theta, scaling, members)?;
                Ok(Self { scale, context: Some(context), ..plain(frequencies) })
            }
            Some("longrope" | "su") => {
                let (frequencies, scale, context) = longrope(&frequencies, scaling, members)?;
                Ok(Self { scale, context: Some(context), ..plain(frequencies) })
            }
            Some(other) => {
                let text = format!("rope_type: expected default, linear, llama3, yarn or longrope, got '{other}'");
                Err(LoadError::Unsupported(text))
            }
        }
    }

    /// The same of a file that says it for each kind of layer: `stated` is what it says for one.
    pub(in crate::formats::language) fn read_stated(
        stated: Option<serde_json::Value>,
        head_width: usize,
        theta: f64,
    ) -> Result<Self, LoadError> {
        let rope_parameters = stated.map(super::members).transpose()?;
        Self::read(&Members { rope_parameters, ..Members::default() }, head_width, theta)
    }

    /// Values of a head that are rotated.
    pub(super) fn width(&self) -> usize {
        2 * self.frequencies.len()
    }
}

/// Slow pairs are slowed further, fast ones stay, those between in part.
fn llama3(frequencies: &[f64], scaling: &Scaling) -> Result<Vec<f64>, LoadError> {
    let factor = wanted("factor", scaling.factor)?;
    let low = wanted("low_freq_factor", scaling.low_freq_factor)?;
    let high = wanted("high_freq_factor", scaling.high_freq_factor)?;
    let context = wanted("original_max_position_embeddings", scaling.original_max_position_embeddings)?;
    let scaled = frequencies.iter().map(|&frequency| {
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

/// Pairs that turn often in the context that the model was first trained with stay, those that turn seldom are slowed,
/// those between in part; and scores grow a little.
fn yarn(
    frequencies: &[f64],
    theta: f64,
    scaling: &Scaling,
    members: &Members,
) -> Result<(Vec<f64>, f32, usize), LoadError> {
    let original = scaling.original_max_position_embeddings.or(members.original_max_position_embeddings);
    let original = wanted("original_max_position_embeddings", original.or(members.max_position_embeddings))?;
    let factor = match scaling.factor {
        Some(factor) => wanted("factor", Some(factor))?,
        None => wanted("factor or max_position_embeddings", members.max_position_embeddings)? / original,
    };
    let width = 2.0 * frequencies.len() as f64;
    // The pair that turns so often in the old context.
    let pair = |turns: f64| width * (original / (turns * 2.0 * std::f64::consts::PI)).ln() / (2.0 * theta.ln());
    let set = |value: Option<f64>, usual: f64| value.filter(|value| *value != 0.0).unwrap_or(usual);
    let (mut first, mut last) = (pair(set(scaling.beta_fast, 32.0)), pair(set(scaling.beta_slow, 1.0)));
    if scaling.truncate.unwrap_or(true) {
        (first, last) = (first.floor(), last.ceil());
    }
    (first, last) = (first.max(0.0), last.min(width - 1.0));
    if first == last {
        last += 0.001;
    }
    let scaled = frequencies.iter().enumerate().map(|(index, frequency)| {
        let slowed = ((index as f64 - first) / (last - first)).clamp(0.0, 1.0);
        frequency / factor * slowed + frequency * (1.0 - slowed)
    });
    let grown = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
    let usual = match (scaling.mscale, scaling.mscale_all_dim) {
        (Some(one), Some(all)) if one != 0.0 && all != 0.0 => grown(one) / grown(all),
        _ => grown(1.0),
    };
    let scale = scaling.attention_factor.unwrap_or(usual);
    Ok((scaled.collect(), scale as f32, (original * factor) as usize))
}

/// Each pair has a factor of its own, another one for texts beyond the context that the model was first trained with.
/// A text that grows beyond it would need all its keys again, so only the first are served, and that context.
fn longrope(frequencies: &[f64], scaling: &Scaling, members: &Members) -> Result<(Vec<f64>, f32, usize), LoadError> {
    let original = scaling.original_max_position_embeddings.or(members.original_max_position_embeddings);
    let original = wanted("original_max_position_embeddings", original)?;
    let factors = scaling.short_factor.as_deref().unwrap_or_default();
    if factors.len() != frequencies.len() {
        let (expected, found) = (frequencies.len(), factors.len());
        return Err(LoadError::Malformed(format!("rope_scaling: short_factor: expected {expected}, got {found}")));
    }
    let grown = match scaling.factor {
        Some(factor) => factor,
        None => wanted("max_position_embeddings", members.max_position_embeddings)? / original,
    };
    let usual = if grown <= 1.0 { 1.0 } else { (1.0 + grown.ln() / original.ln()).sqrt() };
    let scale = scaling.attention_factor.unwrap_or(usual);
    let frequencies = frequencies.iter().zip(factors).map(|(frequency, factor)| frequency / factor).collect();
    let context = members.max_position_embeddings.map_or(original, |context| context.min(original));
    Ok((frequencies, scale as f32, context as usize))
}

fn wanted(name: &str, value: Option<f64>) -> Result<f64, LoadError> {
    value.filter(|value| *value > 0.0).ok_or_else(|| LoadError::Malformed(format!("rope_scaling: {name} is missing")))
}
