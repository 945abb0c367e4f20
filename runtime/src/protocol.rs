//! What the wires have in common: the generated messages, typed contents and raw values.

pub(crate) mod contents;
pub(crate) mod raw;

/// The messages, the service and a client, generated from `proto/inference.proto`.
#[allow(missing_docs, unreachable_pub, unused_qualifications)]
#[allow(clippy::all, clippy::needless_pass_by_value, clippy::semicolon_if_nothing_returned)]
pub mod proto {
    tonic::include_proto!("inference");
}

use crate::error::Error;

/// A shape as the wire has it, as dimensions; an error names the input and the dimension.
pub(crate) fn shape_from_wire(name: &str, shape: &[i64]) -> Result<Vec<usize>, Error> {
    shape
        .iter()
        .map(|&dimension| {
            usize::try_from(dimension).map_err(|_| {
                Error::invalid(format!("input '{name}': shape {shape:?} has a negative dimension, expected sizes"))
            })
        })
        .collect()
}

/// Dimensions as the wire has them. No dimension of a tensor in memory exceeds `i64`.
pub(crate) fn shape_to_wire(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&dimension| i64::try_from(dimension).unwrap_or(i64::MAX)).collect()
}
