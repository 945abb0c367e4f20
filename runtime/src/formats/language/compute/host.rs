//! On the host: rows in plain memory, and kernels of our own.

use std::sync::OnceLock;

use modelway_kernels::{Activation, Matrix, PackError, Precision, ShapeError, layer_norm, rms_norm};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{ComputeError, ReadRow};
use crate::formats::language::config::Norm;

/// Vectors one after the other.
#[derive(Debug)]
pub(in crate::formats::language) struct Rows {
    pub(in crate::formats::language) values: Vec<f32>,
    pub(in crate::formats::language) width: usize,
}

/// The threads that compute, for all models together: as many as there are processors.
fn threads() -> Option<&'static ThreadPool> {
    static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || ThreadPoolBuilder::new().thread_name(|number| format!("compute-{number}")).build().ok();
    THREADS.get_or_init(build).as_ref()
}

/// Runs what computes on the threads for it.
pub(super) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match threads() {
        Some(threads) => threads.install(work),
        None => work(),
    }
}

pub(super) fn pack(
    outputs: usize,
    inputs: usize,
    precision: Precision,
    row: impl ReadRow,
) -> Result<Matrix, PackError> {
    Matrix::pack(outputs, inputs, precision, row)
}

/// The vectors of rows that there are.
pub(super) fn rows_of(matrix: &Matrix, rows: &[u32]) -> Result<Rows, ShapeError> {
    let width = matrix.inputs();
    let mut values = vec![0.0; rows.len() * width];
    for (row, vector) in rows.iter().zip(values.chunks_mut(width.max(1))) {
        matrix.row(*row as usize, vector)?;
    }
    Ok(Rows { values, width })
}

// === impl Rows ===

impl Rows {
    pub(super) fn count(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        let (width, end) = (self.width, first + count);
        Self { values: self.values.get(first * width..end * width).unwrap_or_default().to_vec(), width }
    }

    pub(super) fn chosen(&self, chosen: &[usize]) -> Self {
        let width = self.width;
        let vectors = chosen.iter().flat_map(|row| self.values.get(row * width..(row + 1) * width).unwrap_or_default());
        Self { values: vectors.copied().collect(), width }
    }

    pub(super) fn add_part(&mut self, part: &Self, first: usize, at: usize) -> Result<(), ComputeError> {
        let rows = self.values.chunks_mut(self.width.max(1)).skip(first);
        for (row, part) in rows.zip(part.values.chunks(part.width.max(1))) {
            modelway_kernels::add(row.get_mut(at..at + part.len()).unwrap_or_default(), part)?;
        }
        Ok(())
    }

    pub(in crate::formats::language) fn normed(
        &self,
        kind: Norm,
        scale: &[f32],
        shift: Option<&[f32]>,
    ) -> Result<Self, ShapeError> {
        let mut values = vec![0.0; self.values.len()];
        match kind {
            Norm::Layer(epsilon) => layer_norm(&self.values, scale, shift, epsilon, &mut values)?,
            Norm::Rms(epsilon) | Norm::RmsFromOne(epsilon) => rms_norm(&self.values, scale, epsilon, &mut values)?,
        }
        Ok(Self { values, width: self.width })
    }

    pub(super) fn gated(&self, activation: Activation) -> Result<Self, ShapeError> {
        let width = self.width / 2;
        let mut values = vec![0.0; self.count() * width];
        let rows = values.par_chunks_mut(width.max(1)).zip(self.values.par_chunks(self.width.max(1)));
        // As many rows a thread as are worth starting one.
        rows.with_min_len((1 << 14) / width.max(1) + 1).try_for_each(|(gates, row)| {
            let (gate, up) = row.split_at_checked(width).unwrap_or_default();
            gates.copy_from_slice(gate);
            activation.gate(gates, up)
        })?;
        Ok(Self { values, width })
    }

    pub(super) fn multiplied(&self, matrix: &Matrix, bias: Option<&[f32]>) -> Result<Self, ShapeError> {
        let width = matrix.outputs();
        let mut values = vec![0.0; self.count() * width];
        matrix.multiply(&self.values, self.count(), bias, &mut values)?;
        Ok(Self { values, width })
    }
}
