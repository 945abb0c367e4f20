//! Typed tensor values: the arrays of `InferTensorContents`.

use crate::error::Error;
use crate::protocol::proto::InferTensorContents;
use crate::tensor::{DataType, TensorData};

#[cfg(test)]
mod tests;

/// Takes the values of the input of this name out of the one array that its datatype allows.
pub(crate) fn read(name: &str, datatype: DataType, contents: InferTensorContents) -> Result<TensorData, Error> {
    let field = field_of(datatype);
    if let Some(other) = fields_set(&contents).into_iter().flatten().find(|&set| set != field) {
        return Err(Error::invalid(format!("input '{name}': {datatype} values belong in {field}, got {other}")));
    }
    Ok(match datatype {
        DataType::Bool => TensorData::Bool(contents.bool_contents),
        DataType::Uint8 => TensorData::Uint8(narrow(name, datatype, &contents.uint_contents)?),
        DataType::Uint16 => TensorData::Uint16(narrow(name, datatype, &contents.uint_contents)?),
        DataType::Uint32 => TensorData::Uint32(contents.uint_contents),
        DataType::Uint64 => TensorData::Uint64(contents.uint64_contents),
        DataType::Int8 => TensorData::Int8(narrow(name, datatype, &contents.int_contents)?),
        DataType::Int16 => TensorData::Int16(narrow(name, datatype, &contents.int_contents)?),
        DataType::Int32 => TensorData::Int32(contents.int_contents),
        DataType::Int64 => TensorData::Int64(contents.int64_contents),
        DataType::Fp32 => TensorData::Fp32(contents.fp32_contents),
        DataType::Fp64 => TensorData::Fp64(contents.fp64_contents),
        DataType::Bytes => TensorData::Bytes(contents.bytes_contents),
        DataType::Fp16 | DataType::Bf16 => {
            return Err(Error::invalid(format!("input '{name}': {datatype} has no typed contents, send {field}")));
        }
    })
}

/// The values as typed contents; `None` for FP16 and BF16, which the protocol has raw only.
pub(crate) fn write(data: TensorData) -> Option<InferTensorContents> {
    let mut contents = InferTensorContents::default();
    match data {
        TensorData::Bool(values) => contents.bool_contents = values,
        TensorData::Uint8(values) => contents.uint_contents = widen(&values),
        TensorData::Uint16(values) => contents.uint_contents = widen(&values),
        TensorData::Uint32(values) => contents.uint_contents = values,
        TensorData::Uint64(values) => contents.uint64_contents = values,
        TensorData::Int8(values) => contents.int_contents = widen(&values),
        TensorData::Int16(values) => contents.int_contents = widen(&values),
        TensorData::Int32(values) => contents.int_contents = values,
        TensorData::Int64(values) => contents.int64_contents = values,
        TensorData::Fp32(values) => contents.fp32_contents = values,
        TensorData::Fp64(values) => contents.fp64_contents = values,
        TensorData::Bytes(elements) => contents.bytes_contents = elements,
        TensorData::Fp16(_) | TensorData::Bf16(_) => return None,
    }
    Some(contents)
}

/// Whether values of this datatype can be written as typed contents.
pub(crate) fn has_field(datatype: DataType) -> bool {
    !matches!(datatype, DataType::Fp16 | DataType::Bf16)
}

fn field_of(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "bool_contents",
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => "uint_contents",
        DataType::Uint64 => "uint64_contents",
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int_contents",
        DataType::Int64 => "int64_contents",
        DataType::Fp32 => "fp32_contents",
        DataType::Fp64 => "fp64_contents",
        DataType::Bytes => "bytes_contents",
        DataType::Fp16 | DataType::Bf16 => "raw_input_contents",
    }
}

fn fields_set(contents: &InferTensorContents) -> [Option<&'static str>; 8] {
    [
        (!contents.bool_contents.is_empty()).then_some("bool_contents"),
        (!contents.int_contents.is_empty()).then_some("int_contents"),
        (!contents.int64_contents.is_empty()).then_some("int64_contents"),
        (!contents.uint_contents.is_empty()).then_some("uint_contents"),
        (!contents.uint64_contents.is_empty()).then_some("uint64_contents"),
        (!contents.fp32_contents.is_empty()).then_some("fp32_contents"),
        (!contents.fp64_contents.is_empty()).then_some("fp64_contents"),
        (!contents.bytes_contents.is_empty()).then_some("bytes_contents"),
    ]
}

fn narrow<Wide, Narrow>(name: &str, datatype: DataType, values: &[Wide]) -> Result<Vec<Narrow>, Error>
where
    Wide: Copy + std::fmt::Display,
    Narrow: TryFrom<Wide>,
{
    values
        .iter()
        .map(|&value| {
            Narrow::try_from(value)
                .map_err(|_| Error::invalid(format!("input '{name}': {value} is out of range for {datatype}")))
        })
        .collect()
}

fn widen<Narrow: Copy, Wide: From<Narrow>>(values: &[Narrow]) -> Vec<Wide> {
    values.iter().map(|&value| Wide::from(value)).collect()
}
