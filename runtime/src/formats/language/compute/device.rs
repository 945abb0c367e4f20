//! On a device: candle's tensors.
//!
//! Vectors are in 32-bit floats between the layers; a product is computed in the precision of its weights.

mod keys;
mod matrix;
mod sight;

use candle_core::{D, Device, Result, Tensor};
use candle_nn::ops;
use modelway_kernels::Activation;

pub(in crate::formats::language) use self::keys::KeyValues;
pub(super) use self::matrix::DeviceMatrix;
pub(in crate::formats::language) use self::sight::Sight;
use crate::formats::language::config::Norm;

pub(super) fn rows(device: &Device, values: &[f32], width: usize) -> Result<Tensor> {
    Tensor::from_slice(values, (values.len() / width.max(1), width), device)
}

pub(super) fn chosen(tensor: &Tensor, chosen: &[usize]) -> Result<Tensor> {
    let chosen: Vec<u32> = chosen.iter().map(|row| *row as u32).collect();
    tensor.index_select(&Tensor::new(chosen, tensor.device())?, 0)
}

pub(super) fn add_part(tensor: &Tensor, part: &Tensor, first: usize, at: usize) -> Result<Tensor> {
    let ((rows, width), (own_rows, own_width)) = (tensor.dims2()?, part.dims2()?);
    let part = part.pad_with_zeros(1, at, width.saturating_sub(at + own_width))?;
    tensor + part.pad_with_zeros(0, first, rows.saturating_sub(first + own_rows))?
}

pub(in crate::formats::language) fn normed(
    tensor: &Tensor,
    kind: Norm,
    scale: &Tensor,
    shift: Option<&Tensor>,
) -> Result<Tensor> {
    let tensor = tensor.contiguous()?;
    match (kind, shift) {
        (Norm::Layer(epsilon), Some(shift)) => ops::layer_norm(&tensor, scale, shift, epsilon),
        (Norm::Layer(epsilon), None) => ops::layer_norm(&tensor, scale, &scale.zeros_like()?, epsilon),
        (Norm::Rms(epsilon) | Norm::RmsFromOne(epsilon), _) => ops::rms_norm(&tensor, scale, epsilon),
    }
}

pub(super) fn activated(tensor: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Gelu => tensor.gelu_erf(),
        Activation::GeluTanh => tensor.gelu(),
        Activation::Silu => tensor.silu(),
        Activation::Relu => tensor.relu(),
    }
}

pub(super) fn gated(tensor: &Tensor, activation: Activation) -> Result<Tensor> {
    let width = tensor.dim(D::Minus1)? / 2;
    let gate = activated(&tensor.narrow(D::Minus1, 0, width)?.contiguous()?, activation)?;
    gate * tensor.narrow(D::Minus1, width, width)?
}

pub(in crate::formats::language) fn capped(tensor: &Tensor, cap: f32) -> Result<Tensor> {
    (tensor / f64::from(cap))?.tanh()? * f64::from(cap)
}
