//! Shapes of what callers pass, checked before anything is computed.

use std::fmt;

/// A slice that is not as long as the shape asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeError {
    what: &'static str,
    expected: usize,
    found: usize,
}

/// Vectors of several heads inside of wider rows, so that a fused projection is read where it is.
///
/// Head `h` of row `r` are the `width` values at `r * row_stride + h * head_stride` of `values`
/// (begin `values` at the first head of the first row).
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// All rows, from the first value of the first head on.
    pub values: &'a [f32],
    /// Values from one row to the next.
    pub row_stride: usize,
    /// Values from one head to the next.
    pub head_stride: usize,
}

/// `found == expected`, or an error that names `what`.
pub(crate) fn check(what: &'static str, found: usize, expected: usize) -> Result<(), ShapeError> {
    if found == expected { Ok(()) } else { Err(ShapeError { what, expected, found }) }
}

/// `found >= expected`, or an error that names `what`.
pub(crate) fn check_at_least(what: &'static str, found: usize, expected: usize) -> Result<(), ShapeError> {
    if found >= expected { Ok(()) } else { Err(ShapeError { what, expected, found }) }
}

// === impl ShapeError ===

impl fmt::Display for ShapeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: expected {}, found {}", self.what, self.expected, self.found)
    }
}

impl std::error::Error for ShapeError {}

// === impl Heads ===

impl<'a> Heads<'a> {
    /// Rows that hold nothing but `heads` vectors of `width` values, one after the other.
    pub fn contiguous(values: &'a [f32], heads: usize, width: usize) -> Self {
        Self { values, row_stride: heads * width, head_stride: width }
    }

    /// The values of one head of one row. The shape must have been checked.
    pub(crate) fn get(&self, row: usize, head: usize, width: usize) -> &'a [f32] {
        let start = row * self.row_stride + head * self.head_stride;
        &self.values[start..start + width]
    }

    pub(crate) fn check(&self, what: &'static str, rows: usize, heads: usize, width: usize) -> Result<(), ShapeError> {
        if rows == 0 || heads == 0 || width == 0 {
            return Ok(());
        }
        let end = (rows - 1) * self.row_stride + (heads - 1) * self.head_stride + width;
        check_at_least(what, self.values.len(), end)
    }
}
