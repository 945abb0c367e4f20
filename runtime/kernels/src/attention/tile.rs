//! A few queries of one head against the blocks of its cache.

use super::Attention;
use super::cache::{BLOCK, Cache, CachePrecision, padded};
use crate::cap::capped;
use crate::columns::Columns;
use crate::instructions::Task;
use crate::shape::Heads;
use crate::simd::{Float, Simd, exp, greatest_lane, sum};
use half::f16;
use std::ops::Range;

/// Queries that are held at a time, so that keys are read once for all of them.
const QUERIES: usize = 4;

/// The queries of some rows that share a cached head.
pub(super) struct Rows<'a> {
    pub(super) attention: &'a Attention<'a>,
    pub(super) queries: Heads<'a>,
    pub(super) cache: &'a Cache,
    pub(super) kv_head: usize,
    /// Heads of the queries that share the cached head.
    pub(super) group: usize,
    /// Rows of queries and output before the text's.
    pub(super) first_row: usize,
    /// Position of the text's first row.
    pub(super) before: usize,
    /// Which of the text's rows.
    pub(super) rows: Range<usize>,
    pub(super) output: &'a Columns<'a>,
}

/// A query on its way through the blocks.
#[derive(Clone, Copy, Default)]
struct Query {
    row: usize,
    head: usize,
    slope: f32,
    /// Positions that it sees: from, and up to and without.
    from: usize,
    to: usize,
    /// The greatest score so far, and the sum of all weights relative to it.
    greatest: f32,
    sum: f32,
}

/// The positions of a block's lanes.
const STEPS: [f32; BLOCK] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

// === impl Rows ===

impl Task for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.cache.precision() {
            CachePrecision::F32 => self.all::<S, f32>(simd),
            CachePrecision::F16 => self.all::<S, f16>(simd),
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    fn all<S: Simd, T: Float>(&self, simd: S) {
        let width = self.cache.width();
        let mut outputs = vec![0.0; QUERIES * padded(width)];
        let mut columns = vec![0.0; QUERIES * width];
        let count = self.rows.len() * self.group;
        let mut start = 0;
        while start < count {
            if count - start >= QUERIES {
                self.some::<S, T, QUERIES>(simd, start, &mut columns, &mut outputs);
                start += QUERIES;
            } else {
                self.some::<S, T, 1>(simd, start, &mut columns, &mut outputs);
                start += 1;
            }
        }
    }

    /// `COUNT` queries from the one numbered `start` on. `columns` and `outputs` are scratch.
    #[inline(always)]
    fn some<S: Simd, T: Float, const COUNT: usize>(
        &self,
        simd: S,
        start: usize,
        columns: &mut [f32],
        outputs: &mut [f32],
    ) {
        let (width, padded) = (self.cache.width(), padded(self.cache.width()));
        let mut queries = [Query::default(); COUNT];
        let (mut from, mut to) = (usize::MAX, 0);
        for (index, query) in queries.iter_mut().enumerate() {
            let row = self.rows.start + (start + index) / self.group;
            let head = self.kv_head * self.group + (start + index) % self.group;
            query.row = self.first_row + row;
            query.head = head;
            query.slope = self.attention.slopes.map_or(0.0, |slopes| slopes[head]);
            query.to = self.before + row + 1;
            query.from = query.to - self.attention.window.unwrap_or(query.to).clamp(1, query.to);
            query.greatest = f32::NEG_INFINITY;
            from = from.min(query.from);
            to = to.max(query.to);
            for (position, value) in self.queries.get(query.row, head, width).iter().enumerate() {
                columns[position * COUNT + index] = *value;
            }
        }
        let outputs = &mut outputs[..COUNT * padded];
        outputs.fill(0.0);
        for block in from / BLOCK..to.div_ceil(BLOCK) {
            let (keys, values) = self.cache.block::<T>(block, self.kv_head);
            let mut scores = [[0.0; BLOCK]; COUNT];
            multiply_keys::<S, T, COUNT>(simd, keys, &columns[..width * COUNT], &mut scores);
            for ((query, scores), output) in queries.iter_mut().zip(&mut scores).zip(outputs.chunks_exact_mut(padded)) {
                query.fold(simd, self.attention, block * BLOCK, scores, values, output);
            }
        }
        for (query, values) in queries.iter().zip(outputs.chunks_exact(padded)) {
            // SAFETY: each head of each row is computed once, by one thread, and its columns are no other's.
            let to = unsafe { self.output.piece(query.row, query.head * width, width) };
            let scale = 1.0 / query.sum;
            for (to, value) in to.iter_mut().zip(values) {
                *to = value * scale;
            }
        }
    }
}

/// The products of `COUNT` queries (interleaved) with the keys of a block.
#[inline(always)]
fn multiply_keys<S: Simd, T: Float, const COUNT: usize>(
    simd: S,
    keys: &[T],
    columns: &[f32],
    scores: &mut [[f32; BLOCK]; COUNT],
) {
    let width = columns.len() / COUNT;
    assert!(keys.len() >= width * BLOCK, "keys for every value of the queries");
    let mut lane = 0;
    while lane < BLOCK {
        // Even and odd values by themselves: a single query would wait for its own sums otherwise.
        let mut sums = [[simd.splat(0.0); 2]; COUNT];
        for position in 0..width {
            // SAFETY: `keys` has width x BLOCK values by the assertion, and lane + LANES <= BLOCK.
            let key = unsafe { T::load(simd, keys.as_ptr().add(position * BLOCK + lane)) };
            for (index, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `columns` has width x COUNT values.
                let value = simd.splat(unsafe { *columns.get_unchecked(position * COUNT + index) });
                if position % 2 == 0 {
                    sums[0] = simd.fma(value, key, sums[0]);
                } else {
                    sums[1] = simd.fma(value, key, sums[1]);
                }
            }
        }
        for (scores, sums) in scores.iter_mut().zip(sums) {
            simd.write(&mut scores[lane..], simd.add(sums[0], sums[1]));
        }
        lane += S::LANES;
    }
}

/// `output = output * shrink + weights x values`, for `VECTORS` vectors of the output. `values` are
/// one row for each weight, `stride` apart.
#[inline(always)]
fn add_values<S: Simd, T: Float, const VECTORS: usize>(
    simd: S,
    shrink: f32,
    weights: &[f32],
    values: &[T],
    stride: usize,
    output: &mut [f32],
) {
    let end = weights.len().saturating_sub(1) * stride + VECTORS * S::LANES;
    assert!(values.len() >= end, "values for every weight");
    let mut totals = [simd.splat(0.0); VECTORS];
    for (index, total) in totals.iter_mut().enumerate() {
        *total = simd.mul(simd.read(&output[index * S::LANES..]), simd.splat(shrink));
    }
    for (position, weight) in weights.iter().enumerate() {
        for (index, total) in totals.iter_mut().enumerate() {
            // SAFETY: the last value that is read is before `end`, by the assertion inside of `values`.
            let value = unsafe { T::load(simd, values.as_ptr().add(position * stride + index * S::LANES)) };
            *total = simd.fma(simd.splat(*weight), value, *total);
        }
    }
    for (index, total) in totals.into_iter().enumerate() {
        simd.write(&mut output[index * S::LANES..], total);
    }
}

// === impl Query ===

impl Query {
    /// Folds a block that begins at position `start` into the sum and the output.
    #[inline(always)]
    fn fold<S: Simd, T: Float>(
        &mut self,
        simd: S,
        attention: &Attention<'_>,
        start: usize,
        scores: &mut [f32; BLOCK],
        values: &[T],
        output: &mut [f32],
    ) {
        let from = self.from.max(start) - start;
        let to = self.to.min(start + BLOCK).max(start) - start;
        if from >= to {
            return;
        }
        let mut scale = attention.scale;
        if let Some(cap) = attention.cap {
            let mut lane = 0;
            while lane < BLOCK {
                let score = simd.mul(simd.read(&scores[lane..]), simd.splat(scale));
                simd.write(&mut scores[lane..], capped(simd, cap, score));
                lane += S::LANES;
            }
            scale = 1.0;
        }
        let mut lane = 0;
        while lane < BLOCK {
            let position = simd.add(simd.splat(start as f32), simd.read(&STEPS[lane..]));
            let bias = simd.mul(simd.splat(self.slope), position);
            let score = simd.fma(simd.read(&scores[lane..]), simd.splat(scale), bias);
            simd.write(&mut scores[lane..], score);
            lane += S::LANES;
        }
        // What the query does not see gets no weight.
        if to - from < BLOCK {
            for (position, score) in scores.iter_mut().enumerate() {
                *score = if (from..to).contains(&position) { *score } else { f32::NEG_INFINITY };
            }
        }
        let mut tops = simd.splat(self.greatest);
        let mut lane = 0;
        while lane < BLOCK {
            // NaN, were there any, stands first and is passed over here; it comes back with the weights.
            tops = simd.max(simd.read(&scores[lane..]), tops);
            lane += S::LANES;
        }
        let greatest = greatest_lane(simd, tops);
        // If every score so far is -inf, a difference from it would be NaN.
        let pivot = if greatest == f32::NEG_INFINITY { 0.0 } else { greatest };
        let shrink = if self.greatest == greatest { 1.0 } else { self.rescale(simd, pivot) };
        self.greatest = greatest;
        let mut weights = simd.splat(0.0);
        let mut lane = 0;
        while lane < BLOCK {
            let weight = exp(simd, simd.sub(simd.read(&scores[lane..]), simd.splat(pivot)));
            simd.write(&mut scores[lane..], weight);
            weights = simd.add(weights, weight);
            lane += S::LANES;
        }
        self.sum = self.sum * shrink + sum(simd, weights);
        let padded = output.len();
        assert!(values.len() >= BLOCK * padded, "values for every position of the block");
        let mut at = 0;
        while at + 4 * S::LANES <= padded {
            add_values::<S, T, 4>(
                simd,
                shrink,
                &scores[from..to],
                &values[from * padded + at..],
                padded,
                &mut output[at..],
            );
            at += 4 * S::LANES;
        }
        while at < padded {
            add_values::<S, T, 1>(
                simd,
                shrink,
                &scores[from..to],
                &values[from * padded + at..],
                padded,
                &mut output[at..],
            );
            at += S::LANES;
        }
    }

    /// What the sum and the output so far are multiplied with when the greatest score becomes `greatest`.
    #[inline(always)]
    fn rescale<S: Simd>(&self, simd: S, greatest: f32) -> f32 {
        let mut lanes = [0.0; crate::simd::MAX_LANES];
        simd.write(&mut lanes, exp(simd, simd.splat(self.greatest - greatest)));
        lanes[0]
    }
}
