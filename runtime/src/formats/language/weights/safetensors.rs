//! Files of safetensors: a header in JSON that says where each tensor's values stand, then the values.
//!
//! Source: Hugging Face's documentation, "Safetensors", "Format".

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use half::{bf16, f16};
use modelway_kernels::Precision;
use safetensors::tensor::Metadata;

use super::{malformed, unreadable};
use crate::formats::LoadError;

/// Bytes that say how long the header is.
const LENGTH: usize = 8;
/// No header of a model is longer; the format's own readers have the same limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// A tensor in a file.
pub(super) struct Stored {
    file: Arc<File>,
    /// Of its first value.
    at: u64,
    number: Number,
    shape: Vec<usize>,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
enum Number {
    F32,
    F16,
    Bf16,
    /// Of a tensor that cannot be taken. Files may hold some that nobody needs, such as the numbers of positions.
    Other(safetensors::Dtype),
}

/// The tensors of a file, of which only the header is read.
pub(super) fn open(path: &Path) -> Result<Vec<(String, Stored)>, LoadError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
    let mut length = [0; LENGTH];
    file.read_exact_at(&mut length, 0).map_err(|_| truncated(path, size, LENGTH as u64))?;
    let header_length = u64::from_le_bytes(length);
    if header_length > LONGEST_HEADER {
        return Err(malformed(path, &format!("no safetensors file: its header would have {header_length} bytes")));
    }
    let start = LENGTH as u64 + header_length;
    if start > size {
        return Err(truncated(path, size, start));
    }
    let mut head = length.to_vec();
    head.resize(start as usize, 0);
    file.read_exact_at(&mut head, 0).map_err(|error| unreadable(path, &error))?;
    let header = head.get(LENGTH..).unwrap_or_default();
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| malformed(path, &format!("no safetensors file: its header is no JSON of tensors: {error}")))?;
    let ends = metadata.tensors().into_values().map(|info| start + info.data_offsets.1 as u64);
    let end = ends.max().unwrap_or(start);
    if end > size {
        return Err(truncated(path, size, end));
    }
    let file = Arc::new(file);
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        let number = match info.dtype {
            safetensors::Dtype::F32 => Number::F32,
            safetensors::Dtype::F16 => Number::F16,
            safetensors::Dtype::BF16 => Number::Bf16,
            other => Number::Other(other),
        };
        let wanted = info.shape.iter().try_fold(number.bits(), |bits, dimension| bits.checked_mul(*dimension));
        let (first, last) = info.data_offsets;
        if wanted.is_none_or(|wanted| last.checked_sub(first) != Some(wanted.div_ceil(8))) {
            let text = format!("the tensor '{name}' of the shape {:?} has not as many bytes at {first}", info.shape);
            return Err(malformed(path, &text));
        }
        let at = start + first as u64;
        tensors.push((name.clone(), Stored { file: file.clone(), at, number, shape: info.shape.clone() }));
    }
    Ok(tensors)
}

fn truncated(path: &Path, size: u64, wanted: u64) -> LoadError {
    malformed(path, &format!("the file is cut off: it has {size} bytes, its header tells of {wanted}"))
}

// === impl Number ===

impl Number {
    /// Bits that one takes.
    fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Other(other) => other.bitsize(),
        }
    }
}

// === impl Stored ===

impl Stored {
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What holds its values as they are.
    pub(super) fn precision(&self) -> Precision {
        match self.number {
            Number::F32 | Number::Other(_) => Precision::F32,
            Number::F16 => Precision::F16,
            Number::Bf16 => Precision::Bf16,
        }
    }

    /// Values from this one on, as many as there is room for.
    pub(super) fn read(&self, start: usize, to: &mut [f32]) -> std::io::Result<()> {
        if let Number::Other(other) = self.number {
            let text = format!("its values are {other:?}, expected F32, F16 or BF16");
            return Err(std::io::Error::new(std::io::ErrorKind::Unsupported, text));
        }
        let width = self.number.bits() / 8;
        let mut bytes = vec![0; to.len() * width];
        self.file.read_exact_at(&mut bytes, self.at + (start * width) as u64)?;
        match self.number {
            Number::F32 => convert(&bytes, to, f32::from_le_bytes),
            Number::F16 => convert(&bytes, to, |two| f16::from_le_bytes(two).to_f32()),
            Number::Bf16 => convert(&bytes, to, |two| bf16::from_le_bytes(two).to_f32()),
            Number::Other(_) => {}
        }
        Ok(())
    }
}

fn convert<const WIDTH: usize>(bytes: &[u8], to: &mut [f32], value: impl Fn([u8; WIDTH]) -> f32) {
    let (values, _) = bytes.as_chunks::<WIDTH>();
    for (to, bytes) in to.iter_mut().zip(values) {
        *to = value(*bytes);
    }
}
