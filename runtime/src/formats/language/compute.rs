//! What a decoder's numbers are, and what is computed with them: one model code over two ways to compute.
//!
//! - On the **host** by kernels of our own ([`modelway_kernels`]) over plain memory: a row has the same bits in any company.
//! - On a **device** by candle's tensors: a CUDA device where the program is built for it. candle's tensors on the CPU
//!   compute the same, which is how this way is tested everywhere; its last bits depend on the company.

mod device;
mod host;

use half::{bf16, f16};
use modelway_kernels::{Activation, Heads, PackError, Precision, ShapeError, Values};

use self::device::DeviceMatrix;
pub(super) use self::device::{KeyValues, Sight};
pub(super) use self::host::Rows;
use super::config;
use crate::formats::DeviceError;
use crate::model::{Device, DeviceChoice};

/// Where a decoder computes.
#[derive(Clone, Debug, Default)]
pub(super) enum Processor {
    /// By kernels of our own.
    #[default]
    Host,
    /// By tensors there.
    Device(candle_core::Device),
}

/// Vectors of positions, one below the other.
#[derive(Debug)]
pub(super) enum States {
    Host(Rows),
    Device(candle_core::Tensor),
}

/// Numbers for each value of a vector: a bias, a norm's scale.
#[derive(Debug)]
pub(super) enum Vector {
    Host(Vec<f32>),
    Device(candle_core::Tensor),
}

/// The weight of a linear layer or an embedding: outputs × inputs.
#[derive(Debug)]
pub(super) enum Matrix {
    Host(modelway_kernels::Matrix),
    Device(DeviceMatrix),
}

/// Sines and cosines of a step's positions.
#[derive(Debug)]
pub(super) enum Rotations {
    Host(modelway_kernels::Rotations),
    Device { cosines: candle_core::Tensor, sines: candle_core::Tensor },
}

/// Why something could not be computed: a fault of ours, or of the device.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComputeError {
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error("{0}")]
    Device(String),
    #[error("numbers of the host and of a device in one computation")]
    Elsewhere,
}

/// Why a matrix could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum MatrixError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

/// Reads one row of a matrix, in 32-bit floats.
pub(super) trait ReadRow: Fn(usize, &mut [f32]) + Sync {}

impl<F: Fn(usize, &mut [f32]) + Sync> ReadRow for F {}

impl From<candle_core::Error> for ComputeError {
    fn from(error: candle_core::Error) -> Self {
        // Only the first line: the rest is the library's stack.
        Self::Device(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

impl From<candle_core::Error> for MatrixError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.into())
    }
}

// === impl Processor ===

impl Processor {
    /// The one that is meant.
    pub(super) fn choose(choice: DeviceChoice) -> Result<Self, DeviceError> {
        let number = match choice {
            DeviceChoice::On(Device::Cpu) => return Ok(Self::Host),
            DeviceChoice::On(Device::Cuda(number)) => number,
            DeviceChoice::Auto => 0,
        };
        let device = Device::Cuda(number);
        let found = if candle_core::utils::cuda_is_available() {
            // With a stream of its own: the default one is another on each thread, and bases, adapters and steps of
            // several threads would not wait for each other.
            candle_core::Device::new_cuda_with_stream(number).map_err(|error| {
                let ComputeError::Device(reason) = error.into() else { return DeviceError::NotBuilt(device) };
                DeviceError::Refused { device, reason }
            })
        } else {
            Err(DeviceError::NotBuilt(device))
        };
        match (found, choice) {
            (Ok(device), _) => Ok(Self::Device(device)),
            (Err(DeviceError::NotBuilt(_)), DeviceChoice::Auto) => Ok(Self::Host),
            (Err(error), DeviceChoice::Auto) => {
                tracing::warn!(%error, "language models compute on the host's processors");
                Ok(Self::Host)
            }
            (Err(error), DeviceChoice::On(_)) => Err(error),
        }
    }

    /// As the rest of the server names it.
    pub(super) fn device(&self) -> Device {
        match self {
            Self::Device(device) => match device.location() {
                candle_core::DeviceLocation::Cuda { gpu_id } => Device::Cuda(gpu_id),
                // candle's tensors on the CPU are for tests.
                candle_core::DeviceLocation::Cpu | candle_core::DeviceLocation::Metal { .. } => Device::Cpu,
            },
            Self::Host => Device::Cpu,
        }
    }

    /// Runs what computes on the threads for it.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Host => host::on_threads(work),
            Self::Device(_) => work(),
        }
    }

    /// Vectors that stand in the host's memory.
    pub(super) fn states(&self, values: &[f32], width: usize) -> Result<States, ComputeError> {
        Ok(match self {
            Self::Host => States::Host(Rows { values: values.to_vec(), width }),
            Self::Device(device) => States::Device(device::rows(device, values, width)?),
        })
    }

    pub(super) fn vector(&self, values: Vec<f32>) -> Result<Vector, ComputeError> {
        Ok(match self {
            Self::Host => Vector::Host(values),
            Self::Device(device) => Vector::Device(candle_core::Tensor::new(values, device)?),
        })
    }

    /// A matrix whose rows are read one by one, on several threads.
    pub(super) fn matrix(
        &self,
        (outputs, inputs): (usize, usize),
        precision: Precision,
        row: impl ReadRow,
    ) -> Result<Matrix, MatrixError> {
        Ok(match self {
            Self::Host => Matrix::Host(host::pack(outputs, inputs, precision, row)?),
            Self::Device(device) => Matrix::Device(DeviceMatrix::pack(device, (outputs, inputs), precision, row)?),
        })
    }

    /// A matrix of 32-bit floats.
    pub(super) fn matrix_of(&self, outputs: usize, inputs: usize, values: &[f32]) -> Result<Matrix, MatrixError> {
        match self {
            Self::Host => {
                let packed =
                    modelway_kernels::Matrix::pack_values(outputs, inputs, Precision::F32, Values::F32(values))?;
                Ok(Matrix::Host(packed))
            }
            Self::Device(device) => {
                let tensor = candle_core::Tensor::from_slice(values, (outputs, inputs), device)?;
                Ok(Matrix::Device(DeviceMatrix::of(tensor)?))
            }
        }
    }

    pub(super) fn rotations(
        &self,
        frequencies: &[f32],
        scale: f32,
        positions: &[usize],
    ) -> Result<Rotations, ComputeError> {
        let rotations = modelway_kernels::Rotations::new(frequencies, scale, positions);
        Ok(match self {
            Self::Host => Rotations::Host(rotations),
            Self::Device(device) => Rotations::Device {
                cosines: device::rows(device, rotations.cosines(), frequencies.len())?,
                sines: device::rows(device, rotations.sines(), frequencies.len())?,
            },
        })
    }
}

/// Bytes of a device's memory that nothing has taken, if this build can ask it.
#[cfg(feature = "cuda")]
pub(super) fn free_memory() -> Option<u64> {
    let (free, _) = candle_core::cuda_backend::cudarc::driver::result::mem_get_info().ok()?;
    u64::try_from(free).ok()
}

#[cfg(not(feature = "cuda"))]
pub(super) fn free_memory() -> Option<u64> {
    None
}

// === impl States ===

impl States {
    /// Those of several, one below the other.
    pub(super) fn concatenated(parts: Vec<Self>) -> Result<Self, ComputeError> {
        let mut parts = parts.into_iter();
        let Some(mut all) = parts.next() else { return Err(ComputeError::Elsewhere) };
        let mut tensors = Vec::new();
        for part in parts {
            match (&mut all, part) {
                (Self::Host(all), Self::Host(part)) => all.values.extend(part.values),
                (Self::Device(_), Self::Device(part)) => tensors.push(part),
                _ => return Err(ComputeError::Elsewhere),
            }
        }
        match all {
            Self::Device(first) if !tensors.is_empty() => {
                tensors.insert(0, first);
                Ok(Self::Device(candle_core::Tensor::cat(&tensors, 0)?))
            }
            all => Ok(all),
        }
    }

    /// Multiplies all values.
    pub(super) fn scale(&mut self, factor: f32) -> Result<(), ComputeError> {
        match self {
            Self::Host(rows) => rows.values.iter_mut().for_each(|value| *value *= factor),
            Self::Device(tensor) => *tensor = (&*tensor * f64::from(factor))?,
        }
        Ok(())
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<(), ComputeError> {
        match (self, other) {
            (Self::Host(rows), Self::Host(other)) => Ok(modelway_kernels::add(&mut rows.values, &other.values)?),
            (Self::Device(tensor), Self::Device(other)) => {
                *tensor = (&*tensor + other)?;
                Ok(())
            }
            _ => Err(ComputeError::Elsewhere),
        }
    }

    /// Adds narrower vectors to a part of these: to as many as there are from `first` on, in each from the value `at` on.
    pub(super) fn add_part(&mut self, part: &Self, first: usize, at: usize) -> Result<(), ComputeError> {
        match (self, part) {
            (Self::Host(rows), Self::Host(part)) => rows.add_part(part, first, at),
            (Self::Device(tensor), Self::Device(part)) => {
                *tensor = device::add_part(tensor, part, first, at)?;
                Ok(())
            }
            _ => Err(ComputeError::Elsewhere),
        }
    }

    /// So many from `first` on.
    pub(super) fn part(&self, first: usize, count: usize) -> Result<Self, ComputeError> {
        Ok(match self {
            Self::Host(rows) => Self::Host(rows.part(first, count)),
            Self::Device(tensor) => Self::Device(tensor.narrow(0, first, count)?),
        })
    }

    /// These, in this order.
    pub(super) fn chosen(&self, chosen: &[usize]) -> Result<Self, ComputeError> {
        Ok(match self {
            Self::Host(rows) => Self::Host(rows.chosen(chosen)),
            Self::Device(tensor) => Self::Device(device::chosen(tensor, chosen)?),
        })
    }

    pub(super) fn normed(
        &self,
        kind: config::Norm,
        scale: &Vector,
        shift: Option<&Vector>,
    ) -> Result<Self, ComputeError> {
        match (self, scale, shift) {
            (Self::Host(rows), Vector::Host(scale), None) => Ok(Self::Host(rows.normed(kind, scale, None)?)),
            (Self::Host(rows), Vector::Host(scale), Some(Vector::Host(shift))) => {
                Ok(Self::Host(rows.normed(kind, scale, Some(shift))?))
            }
            (Self::Device(tensor), Vector::Device(scale), None) => {
                Ok(Self::Device(device::normed(tensor, kind, scale, None)?))
            }
            (Self::Device(tensor), Vector::Device(scale), Some(Vector::Device(shift))) => {
                Ok(Self::Device(device::normed(tensor, kind, scale, Some(shift))?))
            }
            _ => Err(ComputeError::Elsewhere),
        }
    }

    pub(super) fn activated(self, activation: Activation) -> Result<Self, ComputeError> {
        Ok(match self {
            Self::Host(mut rows) => {
                activation.apply(&mut rows.values);
                Self::Host(rows)
            }
            Self::Device(tensor) => Self::Device(device::activated(&tensor, activation)?),
        })
    }

    /// The first half of each vector, activated, times the second.
    pub(super) fn gated(self, activation: Activation) -> Result<Self, ComputeError> {
        Ok(match self {
            Self::Host(rows) => Self::Host(rows.gated(activation)?),
            Self::Device(tensor) => Self::Device(device::gated(&tensor, activation)?),
        })
    }

    pub(super) fn capped(self, cap: f32) -> Result<Self, ComputeError> {
        Ok(match self {
            Self::Host(mut rows) => {
                modelway_kernels::soft_cap(cap, &mut rows.values);
                Self::Host(rows)
            }
            Self::Device(tensor) => Self::Device(device::capped(&tensor, cap)?),
        })
    }

    /// The device's.
    pub(super) fn into_tensor(self) -> Result<candle_core::Tensor, ComputeError> {
        match self {
            Self::Device(tensor) => Ok(tensor),
            Self::Host(_) => Err(ComputeError::Elsewhere),
        }
    }

    /// All values, in the host's memory.
    pub(super) fn into_values(self) -> Result<Vec<f32>, ComputeError> {
        match self {
            Self::Host(rows) => Ok(rows.values),
            Self::Device(tensor) => Ok(tensor.flatten_all()?.to_vec1()?),
        }
    }
}

// === impl Vector ===

impl Vector {
    pub(super) fn size_bytes(&self) -> usize {
        let count = match self {
            Self::Host(values) => values.len(),
            Self::Device(tensor) => tensor.elem_count(),
        };
        count * size_of::<f32>()
    }
}

// === impl Matrix ===

impl Matrix {
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Host(matrix) => matrix.outputs(),
            Self::Device(matrix) => matrix.outputs(),
        }
    }

    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Host(matrix) => matrix.size_bytes(),
            Self::Device(matrix) => matrix.size_bytes(),
        }
    }

    /// These rows of the weight: the vectors of tokens. The error names the first that there is not.
    pub(super) fn rows(&self, rows: &[u32]) -> Result<Result<States, u32>, ComputeError> {
        if let Some(unknown) = rows.iter().find(|row| **row as usize >= self.outputs()) {
            return Ok(Err(*unknown));
        }
        Ok(Ok(match self {
            Self::Host(matrix) => States::Host(host::rows_of(matrix, rows)?),
            Self::Device(matrix) => States::Device(matrix.rows(rows)?),
        }))
    }

    /// `weight × state + bias` for each.
    pub(super) fn multiply(&self, states: &States, bias: Option<&Vector>) -> Result<States, ComputeError> {
        match (self, states, bias) {
            (Self::Host(matrix), States::Host(rows), None) => Ok(States::Host(rows.multiplied(matrix, None)?)),
            (Self::Host(matrix), States::Host(rows), Some(Vector::Host(bias))) => {
                Ok(States::Host(rows.multiplied(matrix, Some(bias))?))
            }
            (Self::Device(matrix), States::Device(tensor), None) => Ok(States::Device(matrix.multiply(tensor, None)?)),
            (Self::Device(matrix), States::Device(tensor), Some(Vector::Device(bias))) => {
                Ok(States::Device(matrix.multiply(tensor, Some(bias))?))
            }
            _ => Err(ComputeError::Elsewhere),
        }
    }
}

/// As what a precision can hold.
pub(super) fn rounded(value: f32, precision: Precision) -> f32 {
    match precision {
        Precision::Bf16 => bf16::from_f32(value).to_f32(),
        Precision::F16 => f16::from_f32(value).to_f32(),
        Precision::F32 | Precision::Int8 => value,
    }
}

/// Heads of vectors that stand one after the other, gathered: `[heads, rows, width]`.
pub(super) fn gathered(rows: usize, heads: usize, width: usize, from: Heads<'_>) -> Vec<f32> {
    let starts = (0..heads).flat_map(|head| (0..rows).map(move |row| row * from.row_stride + head * from.head_stride));
    starts.flat_map(|start| from.values.get(start..start + width).unwrap_or_default()).copied().collect()
}
