//! An output of which several threads write different columns.

use std::marker::PhantomData;

/// Rows of `width` values, written by pieces of rows. Which pieces is the callers' agreement.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    values: *mut f32,
    length: usize,
    width: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is to values that are borrowed mutably for 'a, and `piece` asks its callers
// not to take one piece twice at a time, so no two threads ever hold the same value.
unsafe impl Send for Columns<'_> {}
// SAFETY: as above.
unsafe impl Sync for Columns<'_> {}

// === impl Columns ===

impl<'a> Columns<'a> {
    pub(crate) fn new(values: &'a mut [f32], width: usize) -> Self {
        Self { values: values.as_mut_ptr(), length: values.len(), width, borrowed: PhantomData }
    }

    /// `count` values of `row`, from `column` on.
    ///
    /// # Safety
    /// No other piece that is alive may overlap with this one.
    ///
    /// # Panics
    /// If the piece is not inside of the output.
    #[allow(clippy::mut_from_ref, reason = "pieces are disjoint, which the caller promises")]
    pub(crate) unsafe fn piece(&self, row: usize, column: usize, count: usize) -> &mut [f32] {
        let start = row * self.width + column;
        assert!(column + count <= self.width && start + count <= self.length, "a piece outside of the output");
        // SAFETY: inside of the borrowed slice by the assertion, disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.values.add(start), count) }
    }
}
