//! Kernel functions, computed for eight support vectors at a time.
//!
//! The support vectors stand in blocks of [`LANES`], feature by feature: the block's values of feature 0,
//! of feature 1, and so on. One value of the row then meets eight values that lie side by side, which the
//! compiler turns into vector instructions, and every lane adds its features in order, as libsvm does.

/// Support vectors that are computed together.
pub(super) const LANES: usize = 8;

/// Blocks that a batch of rows visits together, so that they stay in the first-level cache: 32 KiB at 64 features.
const TILE_VALUES: usize = 4096;

/// A kernel function with its parameters, as libsvm defines them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kernel {
    /// ⟨x, y⟩
    Linear,
    /// (γ⟨x, y⟩ + c)^degree
    Poly { gamma: f64, coef0: f64, degree: u32 },
    /// exp(−γ‖x − y‖²)
    Rbf { gamma: f64 },
    /// tanh(γ⟨x, y⟩ + c)
    Sigmoid { gamma: f64, coef0: f64 },
}

/// Support vectors in blocks of [`LANES`]; the last block is filled up with zeros.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SupportVectors {
    count: usize,
    features: usize,
    blocks: Vec<[f64; LANES]>,
}

// === impl Kernel ===

impl Kernel {
    /// scikit-learn's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Poly { .. } => "poly",
            Self::Rbf { .. } => "rbf",
            Self::Sigmoid { .. } => "sigmoid",
        }
    }

    /// The kernel's values of one row and one block of support vectors.
    fn block(self, row: &[f64], block: &[[f64; LANES]]) -> [f64; LANES] {
        match self {
            Self::Linear => products(row, block),
            Self::Poly { gamma, coef0, degree } => {
                products(row, block).map(|product| integer_power(gamma * product + coef0, degree))
            }
            // The difference is squared as it is: expanding it is faster and loses digits.
            Self::Rbf { gamma } => square_distances(row, block).map(|distance| (-gamma * distance).exp()),
            Self::Sigmoid { gamma, coef0 } => products(row, block).map(|product| (gamma * product + coef0).tanh()),
        }
    }
}

// === impl SupportVectors ===

impl SupportVectors {
    /// Arranges row-major vectors of `features` values each.
    pub(super) fn new(vectors: &[f64], features: usize) -> Self {
        let features = features.max(1);
        let count = vectors.len() / features;
        let mut blocks = Vec::with_capacity(count.div_ceil(LANES) * features);
        for group in vectors.chunks(LANES * features) {
            let start = blocks.len();
            blocks.resize(start + features, [0.0; LANES]);
            for (lane, vector) in group.chunks_exact(features).enumerate() {
                for (values, &value) in blocks.iter_mut().skip(start).zip(vector) {
                    if let Some(place) = values.get_mut(lane) {
                        *place = value;
                    }
                }
            }
        }
        Self { count, features, blocks }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Values of one row of input.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Kernel values that [`Self::kernel_values`] gives for one row; more than [`Self::count`] by less than a block.
    pub(super) fn padded_count(&self) -> usize {
        self.count.div_ceil(LANES) * LANES
    }

    /// Bytes of memory that they keep.
    pub(super) fn size_bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<[f64; LANES]>()
    }

    /// The kernel's values of every row with every support vector: `out` has [`Self::padded_count`] for each row.
    pub(super) fn kernel_values(&self, kernel: Kernel, rows: &[f64], out: &mut [f64]) {
        let blocks_in_tile = (TILE_VALUES / (LANES * self.features)).max(1);
        let padded = self.padded_count();
        if padded == 0 {
            return;
        }
        for (index, tile) in self.blocks.chunks(blocks_in_tile * self.features).enumerate() {
            let first = index * blocks_in_tile * LANES;
            for (row, values) in rows.chunks_exact(self.features).zip(out.chunks_exact_mut(padded)) {
                let values = values.get_mut(first..).unwrap_or_default();
                let (places, _) = values.as_chunks_mut::<LANES>();
                for (block, place) in tile.chunks_exact(self.features).zip(places) {
                    *place = kernel.block(row, block);
                }
            }
        }
    }
}

fn products(row: &[f64], block: &[[f64; LANES]]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (&value, lanes) in row.iter().zip(block) {
        for (sum, &lane) in sums.iter_mut().zip(lanes) {
            *sum += value * lane;
        }
    }
    sums
}

fn square_distances(row: &[f64], block: &[[f64; LANES]]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (&value, lanes) in row.iter().zip(block) {
        for (sum, &lane) in sums.iter_mut().zip(lanes) {
            let difference = value - lane;
            *sum += difference * difference;
        }
    }
    sums
}

/// Repeated squaring in libsvm's order, so that the last digit agrees, too.
fn integer_power(base: f64, exponent: u32) -> f64 {
    let mut square = base;
    let mut power = 1.0;
    let mut left = exponent;
    while left > 0 {
        if left % 2 == 1 {
            power *= square;
        }
        square *= square;
        left /= 2;
    }
    power
}
