//! Weights in panels, and their product with rows of activations.
//!
//! A panel holds [`PANEL`] outputs, interleaved so that one vector of weights belongs to as many
//! outputs and one position of the input. A panel is read once for each block of rows that fits
//! into registers; with more blocks than one it comes from the cache. Since every output is
//! accumulated by itself along the input, in pieces of fixed length, the number of rows changes
//! nothing in any of them.

mod float;
mod int8;
mod many;
mod multiply;
mod pack;
#[cfg(test)]
mod tests;

pub use pack::{PackError, Values};

use crate::buffer::Buffer;
use crate::instructions::Instructions;
use crate::shape::{ShapeError, check};
use half::{bf16, f16};

/// Outputs of a panel.
pub(crate) const PANEL: usize = 32;

/// How weights are kept. Sums are in f32 for all but `Int8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes a weight: exact for weights that come as f16.
    F16,
    /// 2 bytes a weight: exact for weights that come as bf16.
    Bf16,
    /// A little more than 1 byte a weight: whole numbers in -127..=127 with one scale for every
    /// 64 weights of an output. Activations are rounded in the same way, for each row as it comes.
    Int8,
}

/// The weight of a linear layer or an embedding, `outputs` x `inputs`, packed for multiplication.
#[derive(Clone)]
pub struct Matrix {
    outputs: usize,
    inputs: usize,
    precision: Precision,
    panels: Buffer,
}

// === impl Matrix ===

impl Matrix {
    /// Outputs, the rows of the weight.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Inputs, the columns of the weight.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How the weights are kept.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Memory that the weights take.
    pub fn size_bytes(&self) -> usize {
        self.panels.size_bytes()
    }

    /// One row of the weight, as f32: the embedding of a token, where the matrix is one.
    ///
    /// # Errors
    /// If there is no row `index`, or `values` is not `inputs` long.
    pub fn row(&self, index: usize, values: &mut [f32]) -> Result<(), ShapeError> {
        crate::shape::check_at_least("rows of the matrix (the row asked for, and one)", self.outputs, index + 1)?;
        check("values of a row", values.len(), self.inputs)?;
        let (panel, column) = (index / PANEL, index % PANEL);
        match self.precision {
            Precision::F32 => float::row::<f32>(self.panels.numbers(), panel, column, values),
            Precision::F16 => float::row::<f16>(self.panels.numbers(), panel, column, values),
            Precision::Bf16 => float::row::<bf16>(self.panels.numbers(), panel, column, values),
            Precision::Int8 => {
                let panel_bytes = int8::panel_bytes(self.inputs);
                int8::row(&self.panels.bytes()[panel * panel_bytes..][..panel_bytes], column, values);
            }
        }
        Ok(())
    }

    /// `output[r] = weight x input[r] + bias` for every row `r`, on rayon's current pool.
    ///
    /// `input` is rows x inputs, `output` rows x outputs, `bias` has `outputs` values. A row's
    /// result does not depend on the others.
    ///
    /// # Errors
    /// If a slice is not as long as the shape asks for.
    pub fn multiply(
        &self,
        input: &[f32],
        rows: usize,
        bias: Option<&[f32]>,
        output: &mut [f32],
    ) -> Result<(), ShapeError> {
        self.multiply_with(Instructions::best(), input, rows, bias, output)
    }

    /// [`multiply`](Self::multiply) with chosen instructions: for tests and comparisons.
    ///
    /// # Errors
    /// If a slice is not as long as the shape asks for.
    pub fn multiply_with(
        &self,
        instructions: Instructions,
        input: &[f32],
        rows: usize,
        bias: Option<&[f32]>,
        output: &mut [f32],
    ) -> Result<(), ShapeError> {
        check("values of the input (rows x inputs)", input.len(), rows * self.inputs)?;
        check("values of the output (rows x outputs)", output.len(), rows * self.outputs)?;
        if let Some(bias) = bias {
            check("values of the bias (outputs)", bias.len(), self.outputs)?;
        }
        multiply::multiply(self, instructions, input, rows, bias, output);
        Ok(())
    }

    fn panel_count(&self) -> usize {
        self.outputs.div_ceil(PANEL)
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Matrix({} x {}, {:?})", self.outputs, self.inputs, self.precision)
    }
}
