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

    /// Asks for the memory of a piece ahead of its use. Rows are far from each other, and a processor
    /// waits for each when it writes them one after the other.
    pub(crate) fn expect(&self, row: usize, column: usize, count: usize) {
        let start = row * self.width + column;
        for at in (0..count).step_by(crate::buffer::LINE / size_of::<f32>()) {
            prefetch(self.values.wrapping_add(start + at));
        }
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

#[cfg(target_arch = "x86_64")]
fn prefetch(at: *const f32) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint, which may point anywhere; every x86-64 has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_at: *const f32) {}
