//! Weights on a device.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor, WithDType};
use half::{bf16, f16};
use modelway_kernels::{PackError, Precision};
use rayon::prelude::*;

use crate::formats::language::compute::{MatrixError, ReadRow};

/// Outputs × inputs.
#[derive(Debug)]
pub(in crate::formats::language) struct DeviceMatrix {
    weight: Weight,
    outputs: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Weight {
    /// In floats.
    Full(Tensor),
    /// In blocks of 32 whole numbers of 8 bits with one scale: GGML's Q8_0.
    Blocks(QMatMul),
}

// === impl DeviceMatrix ===

impl DeviceMatrix {
    /// Rows are read one by one, on several threads.
    pub(in crate::formats::language) fn pack(
        device: &Device,
        shape: (usize, usize),
        precision: Precision,
        row: impl ReadRow,
    ) -> std::result::Result<Self, MatrixError> {
        match precision {
            Precision::F32 => Ok(Self::of(uploaded::<f32>(device, shape, precision, row, |value| value)?)?),
            Precision::F16 => Ok(Self::of(uploaded::<f16>(device, shape, precision, row, f16::from_f32)?)?),
            Precision::Bf16 => Ok(Self::of(uploaded::<bf16>(device, shape, precision, row, bf16::from_f32)?)?),
            Precision::Int8 if shape.1.is_multiple_of(GgmlDType::Q8_0.block_size()) => {
                let floats = uploaded::<f32>(&Device::Cpu, shape, precision, row, |value| value)?;
                // Quantised here and then taken there: what quantises right there leaves memory behind the last block
                // as it was, which kernels read.
                let blocks = QTensor::quantize(&floats, GgmlDType::Q8_0)?;
                let there = QStorage::from_data(blocks.data()?, device, GgmlDType::Q8_0)?;
                let blocks = QTensor::new(there, shape)?;
                let bytes = blocks.storage_size_in_bytes();
                let weight = Weight::Blocks(QMatMul::QTensor(blocks.into()));
                Ok(Self { weight, outputs: shape.0, bytes })
            }
            // No whole blocks.
            Precision::Int8 => Self::pack(device, shape, Precision::F32, row),
        }
    }

    pub(in crate::formats::language) fn of(tensor: Tensor) -> Result<Self> {
        let (outputs, _) = tensor.dims2()?;
        let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
        Ok(Self { weight: Weight::Full(tensor), outputs, bytes })
    }

    pub(in crate::formats::language) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(in crate::formats::language) fn size_bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::formats::language) fn rows(&self, rows: &[u32]) -> Result<Tensor> {
        match &self.weight {
            Weight::Full(weight) => weight.index_select(&Tensor::new(rows, weight.device())?, 0)?.to_dtype(DType::F32),
            Weight::Blocks(QMatMul::QTensor(blocks)) => {
                blocks.embedding(&Tensor::new(rows, &blocks.device())?)?.to_dtype(DType::F32)
            }
            Weight::Blocks(QMatMul::Tensor(weight) | QMatMul::TensorF16(weight)) => {
                weight.index_select(&Tensor::new(rows, weight.device())?, 0)?.to_dtype(DType::F32)
            }
        }
    }

    pub(in crate::formats::language) fn multiply(&self, states: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let product = match &self.weight {
            Weight::Full(weight) => states.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(DType::F32)?,
            Weight::Blocks(blocks) => blocks.forward(&states.contiguous()?)?,
        };
        match bias {
            Some(bias) => product.broadcast_add(bias),
            None => Ok(product),
        }
    }
}

/// All rows, as numbers of one type, there.
fn uploaded<N: WithDType + Send + Sync>(
    device: &Device,
    (outputs, inputs): (usize, usize),
    precision: Precision,
    row: impl ReadRow,
    number: impl Fn(f32) -> N + Sync,
) -> std::result::Result<Tensor, MatrixError> {
    let mut numbers = vec![N::zero(); outputs * inputs];
    let fault = numbers.par_chunks_mut(inputs.max(1)).enumerate().find_map_any(|(index, to)| {
        let mut values = vec![0.0; inputs];
        row(index, &mut values);
        for (to, value) in to.iter_mut().zip(values) {
            *to = number(value);
        }
        to.iter().any(|number| !number.to_f64().is_finite()).then_some(index)
    });
    match fault {
        Some(row) => Err(PackError::Range { row, precision }.into()),
        None => Ok(Tensor::from_vec(numbers, (outputs, inputs), device)?),
    }
}
