//! Raw tensor values: little-endian, row-major; each BYTES element behind a `u32` length.
//!
//! The form of `raw_input_contents` over gRPC and of the binary tensor data extension over REST.

use bytes::{Buf, Bytes};
use half::{bf16, f16};

use crate::error::Error;
use crate::tensor::{DataType, TensorData, element_count};

#[cfg(test)]
mod tests;

/// Reads the values of the input of this name; the bytes must be exactly those of the shape.
pub(crate) fn read(name: &str, datatype: DataType, shape: &[usize], raw: Bytes) -> Result<TensorData, Error> {
    let count = element_count(shape).ok_or_else(|| {
        Error::invalid(format!("input '{name}': the shape {shape:?} has more elements than can be counted"))
    })?;
    let Some(size) = datatype.element_size() else {
        return read_elements(name, count, raw).map(TensorData::Bytes);
    };
    if count.checked_mul(size) != Some(raw.len()) {
        return Err(Error::invalid(format!(
            "input '{name}': {datatype} of shape {shape:?} needs {} raw bytes, got {}",
            count.saturating_mul(size),
            raw.len()
        )));
    }
    Ok(match datatype {
        DataType::Bool => TensorData::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        DataType::Uint8 => TensorData::Uint8(raw.to_vec()),
        DataType::Uint16 => TensorData::Uint16(read_values(&raw, u16::from_le_bytes)),
        DataType::Uint32 => TensorData::Uint32(read_values(&raw, u32::from_le_bytes)),
        DataType::Uint64 => TensorData::Uint64(read_values(&raw, u64::from_le_bytes)),
        DataType::Int8 => TensorData::Int8(read_values(&raw, i8::from_le_bytes)),
        DataType::Int16 => TensorData::Int16(read_values(&raw, i16::from_le_bytes)),
        DataType::Int32 => TensorData::Int32(read_values(&raw, i32::from_le_bytes)),
        DataType::Int64 => TensorData::Int64(read_values(&raw, i64::from_le_bytes)),
        DataType::Fp16 => TensorData::Fp16(read_values(&raw, f16::from_le_bytes)),
        DataType::Bf16 => TensorData::Bf16(read_values(&raw, bf16::from_le_bytes)),
        DataType::Fp32 => TensorData::Fp32(read_values(&raw, f32::from_le_bytes)),
        DataType::Fp64 => TensorData::Fp64(read_values(&raw, f64::from_le_bytes)),
        DataType::Bytes => TensorData::Bytes(read_elements(name, count, raw)?),
    })
}

/// Bytes that [`write`] appends for these values.
pub(crate) fn size(data: &TensorData) -> usize {
    match data {
        TensorData::Bytes(elements) => elements.iter().map(|element| 4 + element.len()).sum(),
        other => other.len() * other.datatype().element_size().unwrap_or(0),
    }
}

/// Appends the values.
pub(crate) fn write(data: &TensorData, out: &mut Vec<u8>) {
    match data {
        TensorData::Bool(values) => out.extend(values.iter().map(|&value| u8::from(value))),
        TensorData::Uint8(values) => out.extend_from_slice(values),
        TensorData::Uint16(values) => write_values(values, u16::to_le_bytes, out),
        TensorData::Uint32(values) => write_values(values, u32::to_le_bytes, out),
        TensorData::Uint64(values) => write_values(values, u64::to_le_bytes, out),
        TensorData::Int8(values) => write_values(values, i8::to_le_bytes, out),
        TensorData::Int16(values) => write_values(values, i16::to_le_bytes, out),
        TensorData::Int32(values) => write_values(values, i32::to_le_bytes, out),
        TensorData::Int64(values) => write_values(values, i64::to_le_bytes, out),
        TensorData::Fp16(values) => write_values(values, f16::to_le_bytes, out),
        TensorData::Bf16(values) => write_values(values, bf16::to_le_bytes, out),
        TensorData::Fp32(values) => write_values(values, f32::to_le_bytes, out),
        TensorData::Fp64(values) => write_values(values, f64::to_le_bytes, out),
        TensorData::Bytes(elements) => {
            for element in elements {
                let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(element);
            }
        }
    }
}

fn read_values<T, const SIZE: usize>(raw: &[u8], from_le_bytes: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (chunks, _) = raw.as_chunks::<SIZE>();
    chunks.iter().map(|&chunk| from_le_bytes(chunk)).collect()
}

// Resized once and filled in place, so that the loop has no capacity check and vectorises.
fn write_values<T: Copy, const SIZE: usize>(values: &[T], to_le_bytes: impl Fn(T) -> [u8; SIZE], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + values.len() * SIZE, 0);
    let Some(room) = out.get_mut(start..) else { return };
    let (chunks, _) = room.as_chunks_mut::<SIZE>();
    for (chunk, &value) in chunks.iter_mut().zip(values) {
        *chunk = to_le_bytes(value);
    }
}

fn read_elements(name: &str, count: usize, mut raw: Bytes) -> Result<Vec<Bytes>, Error> {
    // Each element has at least its length, so a shape cannot reserve more than came.
    let mut elements = Vec::with_capacity(count.min(raw.len() / 4));
    for index in 0..count {
        let length = raw.try_get_u32_le().map_err(|_| {
            Error::invalid(format!("input '{name}': the raw bytes end before BYTES element {index} of {count}"))
        })?;
        let length = length as usize;
        if length > raw.len() {
            return Err(Error::invalid(format!(
                "input '{name}': BYTES element {index} says {length} bytes, {} are left",
                raw.len()
            )));
        }
        elements.push(raw.split_to(length));
    }
    if !raw.is_empty() {
        return Err(Error::invalid(format!(
            "input '{name}': {} raw bytes are left after {count} BYTES elements",
            raw.len()
        )));
    }
    Ok(elements)
}
