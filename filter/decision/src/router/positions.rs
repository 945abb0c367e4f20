//! Sets of variants.

/// Variants of one model by their positions, as bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Positions(u64);

/// Most variants of one model.
pub(super) const MOST_VARIANTS: usize = 64;

// === impl Positions ===

impl Positions {
    /// Those of which it is true.
    pub(super) fn of<T>(variants: &[T], is_in: impl Fn(&T) -> bool) -> Self {
        let mut bits = 0;
        for (position, variant) in variants.iter().enumerate().take(MOST_VARIANTS) {
            bits |= u64::from(is_in(variant)) << position;
        }
        Self(bits)
    }

    pub(super) fn has(self, position: usize) -> bool {
        position < MOST_VARIANTS && self.0 >> position & 1 == 1
    }

    pub(super) fn without(self, position: usize) -> Self {
        if position < MOST_VARIANTS { Self(self.0 & !(1 << position)) } else { self }
    }

    pub(super) fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}
