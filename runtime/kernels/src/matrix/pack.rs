//! From rows of weights to panels, a panel at a time: the whole matrix never exists in f32.

use super::{Matrix, PANEL, Precision, float, int8};
use crate::buffer::{Buffer, lines_for};
use crate::shape::{ShapeError, check};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::fmt;

/// Weights as a file has them, row after row.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    Bf16(&'a [bf16]),
}

/// Why weights cannot be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// There are more or fewer than outputs x inputs of them.
    Shape(ShapeError),
    /// A weight is not a number, is infinite, or is beyond the range of the precision.
    Range {
        /// The row of the weight.
        row: usize,
        /// The precision that was asked for.
        precision: Precision,
    },
}

// === impl Matrix ===

impl Matrix {
    /// Packs `outputs` x `inputs` weights. `read` is given a row's index and where to put its
    /// `inputs` values; rows are asked for by several threads, each once, in no order.
    ///
    /// # Errors
    /// If a weight is beyond the range of `precision`, or is not finite (`F32` keeps what it gets).
    pub fn pack(
        outputs: usize,
        inputs: usize,
        precision: Precision,
        read: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Result<Self, PackError> {
        let panel_bytes = match precision {
            Precision::F32 => inputs * PANEL * 4,
            Precision::F16 | Precision::Bf16 => inputs * PANEL * 2,
            Precision::Int8 => int8::panel_bytes(inputs),
        };
        let panels = Buffer::fill(outputs.div_ceil(PANEL), lines_for(panel_bytes), |panel, bytes| {
            let mut row = vec![0.0; inputs];
            let first = panel * PANEL;
            for column in 0..PANEL.min(outputs - first) {
                let index = first + column;
                read(index, &mut row);
                let fits = match precision {
                    Precision::F32 => {
                        float::pack_row::<f32>(bytes, column, &row);
                        true
                    }
                    Precision::F16 => float::pack_row::<f16>(bytes, column, &row),
                    Precision::Bf16 => float::pack_row::<bf16>(bytes, column, &row),
                    Precision::Int8 => int8::pack_row(bytes, column, &row),
                };
                if !fits {
                    return Err(PackError::Range { row: index, precision });
                }
            }
            Ok(())
        })?;
        Ok(Self { outputs, inputs, precision, panels })
    }

    /// Packs weights that are in memory already, or mapped into it.
    ///
    /// # Errors
    /// As [`pack`](Self::pack), and if there are not outputs x inputs weights.
    pub fn pack_values(
        outputs: usize,
        inputs: usize,
        precision: Precision,
        values: Values<'_>,
    ) -> Result<Self, PackError> {
        check("weights (outputs x inputs)", values.len(), outputs * inputs).map_err(PackError::Shape)?;
        Self::pack(outputs, inputs, precision, |row, to| {
            let range = row * inputs..(row + 1) * inputs;
            match values {
                Values::F32(values) => to.copy_from_slice(&values[range]),
                Values::F16(values) => values[range].convert_to_f32_slice(to),
                Values::Bf16(values) => values[range].convert_to_f32_slice(to),
            }
        })
    }
}

// === impl Values ===

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }
}

// === impl PackError ===

impl fmt::Display for PackError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(error) => error.fmt(formatter),
            Self::Range { row, precision } => write!(
                formatter,
                "row {row} of the weight has a value that is not finite as {precision:?}; keep this weight in a wider precision"
            ),
        }
    }
}

impl std::error::Error for PackError {}
