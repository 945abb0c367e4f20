//! What attention adds for how far a key is from its query.
//!
//! A model has a value for each head and each kind of distance: near ones each by itself, far ones many together. Source:
//! transformers' `MPNetEncoder.relative_position_bucket`, which is T5's.

use modelway_kernels::Distances;

/// Keys from here on are all of one kind.
const FAR: f32 = 128.0;

/// For each head the values of all distances that there are.
pub(super) struct Relative {
    values: Vec<f32>,
    reach: usize,
}

// === impl Relative ===

impl Relative {
    /// `table` is `[kinds, heads]`; no text has more than `reach` positions.
    pub(super) fn new(table: &[f32], kinds: usize, heads: usize, reach: usize) -> Self {
        let distances = || (0..2 * reach - 1).map(|place| place as i64 - (reach as i64 - 1));
        let value =
            |head: usize, distance: i64| table.get(kind(distance, kinds) * heads + head).copied().unwrap_or(0.0);
        let values = (0..heads).flat_map(|head| distances().map(move |distance| value(head, distance))).collect();
        Self { values, reach }
    }

    pub(super) fn all(&self) -> Distances<'_> {
        Distances { values: &self.values, reach: self.reach }
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// The kind of a distance, the key's position less the query's. The second half of all is for keys behind.
fn kind(distance: i64, kinds: usize) -> usize {
    let half = kinds / 2;
    let exact = half / 2;
    let behind = if distance > 0 { half } else { 0 };
    let far = distance.unsigned_abs() as usize;
    if far < exact {
        return behind + far;
    }
    // In f32, as in PyTorch: the kinds begin where the roots are whole.
    let share = (far as f32 / exact as f32).ln() / (FAR / exact as f32).ln();
    behind + (exact + (share * (half - exact) as f32) as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn near_distances_are_each_a_kind_and_far_ones_share_one() {
        let kinds = |distances: &[i64]| distances.iter().map(|distance| kind(*distance, 32)).collect::<Vec<_>>();
        assert_eq!(kinds(&[0, -1, -7, 1, 7]), [0, 1, 7, 17, 23]);
        // As transformers gives them.
        assert_eq!(kinds(&[-8, -11, -12, -16, -31, -32, -64, -127, -128, -500]), [8, 8, 9, 10, 11, 12, 14, 15, 15, 15]);
        assert_eq!(kinds(&[8, 128, 500]), [24, 31, 31]);
    }
}
