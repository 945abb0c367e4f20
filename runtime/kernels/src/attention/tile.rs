//! A few queries of one head against the blocks of its cache.

use super::cache::{BLOCK, Cache, CachePrecision, padded};
use super::{Attention, Distances};
use crate::cap::capped;
use crate::columns::Columns;
use crate::instructions::Task;
use crate::shape::Heads;
use crate::simd::{Float, Simd, exp};
use half::f16;
use std::array::from_ref;
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
    /// Its own position.
    own: usize,
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
        let count = self.rows.len() * self.group;
        let mut start = 0;
        while start < count {
            if count - start >= QUERIES {
                self.some::<S, T, QUERIES>(simd, start, &mut outputs);
                start += QUERIES;
            } else {
                self.some::<S, T, 1>(simd, start, &mut outputs);
                start += 1;
            }
        }
    }

    /// `COUNT` queries from the one numbered `start` on. `outputs` is scratch.
    #[inline(always)]
    fn some<S: Simd, T: Float, const COUNT: usize>(&self, simd: S, start: usize, outputs: &mut [f32]) {
        let (width, padded) = (self.cache.width(), padded(self.cache.width()));
        let mut queries = [Query::default(); COUNT];
        let mut vectors: [&[f32]; COUNT] = [&[]; COUNT];
        let (mut from, mut to) = (usize::MAX, 0);
        for (index, query) in queries.iter_mut().enumerate() {
            let row = self.rows.start + (start + index) / self.group;
            let head = self.kv_head * self.group + (start + index) % self.group;
            query.row = self.first_row + row;
            query.head = head;
            query.slope = self.attention.slopes.map_or(0.0, |slopes| slopes[head]);
            let own = self.before + row;
            query.own = own;
            let reach = self.attention.window.unwrap_or(usize::MAX).max(1);
            query.from = (own + 1).saturating_sub(reach);
            query.to =
                if self.attention.is_bidirectional { own.saturating_add(reach).min(self.cache.len()) } else { own + 1 };
            query.greatest = f32::NEG_INFINITY;
            from = from.min(query.from);
            to = to.max(query.to);
            vectors[index] = self.queries.get(query.row, head, width);
        }
        let outputs = &mut outputs[..COUNT * padded];
        outputs.fill(0.0);
        for block in from / BLOCK..to.div_ceil(BLOCK) {
            let (keys, values) = self.cache.block::<T>(block, self.kv_head);
            let mut scores = [[0.0; BLOCK]; COUNT];
            multiply_keys::<S, T, COUNT>(simd, keys, &vectors, width, &mut scores);
            let start = block * BLOCK;
            let mut shrinks = [1.0; COUNT];
            for ((query, scores), shrink) in queries.iter_mut().zip(&mut scores).zip(&mut shrinks) {
                *shrink = query.weigh(simd, self.attention, start, scores);
            }
            if queries.iter().all(|query| query.sees(start) == (0..BLOCK)) {
                add_values::<S, T, COUNT>(simd, &shrinks, &scores, 0..BLOCK, values, outputs);
                continue;
            }
            // What a query does not see is not even multiplied with 0: it may be anything.
            for (index, output) in outputs.chunks_exact_mut(padded).enumerate() {
                let (shrink, weights) = (from_ref(&shrinks[index]), from_ref(&scores[index]));
                add_values::<S, T, 1>(simd, shrink, weights, queries[index].sees(start), values, output);
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

/// The products of `COUNT` queries with the keys of a block.
#[inline(always)]
fn multiply_keys<S: Simd, T: Float, const COUNT: usize>(
    simd: S,
    keys: &[T],
    queries: &[&[f32]; COUNT],
    width: usize,
    scores: &mut [[f32; BLOCK]; COUNT],
) {
    assert!(
        keys.len() >= width * BLOCK && queries.iter().all(|query| query.len() >= width),
        "keys for every value of the queries"
    );
    let mut lane = 0;
    while lane < BLOCK {
        // Even and odd values by themselves: a single query would wait for its own sums otherwise.
        let mut sums = [[simd.splat(0.0); 2]; COUNT];
        for pair in 0..width / 2 {
            // SAFETY: positions are less than `width`, for which there are keys and values by the assertion, and
            // lane + LANES <= BLOCK.
            unsafe {
                add_products::<S, T, COUNT, 0>(simd, keys, queries, 2 * pair, lane, &mut sums);
                add_products::<S, T, COUNT, 1>(simd, keys, queries, 2 * pair + 1, lane, &mut sums);
            }
        }
        if width % 2 == 1 {
            // SAFETY: as above.
            unsafe { add_products::<S, T, COUNT, 0>(simd, keys, queries, width - 1, lane, &mut sums) };
        }
        for (scores, sums) in scores.iter_mut().zip(sums) {
            simd.write(&mut scores[lane..], simd.add(sums[0], sums[1]));
        }
        lane += S::LANES;
    }
}

/// Adds one value's products to the sums numbered `SUM`.
///
/// # Safety
/// `keys` must have BLOCK values for the position and `lane + LANES` must not be beyond them; each query must have
/// a value for it.
#[inline(always)]
unsafe fn add_products<S: Simd, T: Float, const COUNT: usize, const SUM: usize>(
    simd: S,
    keys: &[T],
    queries: &[&[f32]; COUNT],
    position: usize,
    lane: usize,
    sums: &mut [[S::Floats; 2]; COUNT],
) {
    // SAFETY: the caller's promise.
    let key = unsafe { T::load(simd, keys.as_ptr().add(position * BLOCK + lane)) };
    for (query, sums) in queries.iter().zip(sums) {
        // SAFETY: the caller's promise.
        let value = simd.splat(unsafe { *query.get_unchecked(position) });
        sums[SUM] = simd.fma(value, key, sums[SUM]);
    }
}

/// `output = output * shrink + weights x values` for `COUNT` queries that see the same positions of a block.
#[inline(always)]
fn add_values<S: Simd, T: Float, const COUNT: usize>(
    simd: S,
    shrinks: &[f32; COUNT],
    weights: &[[f32; BLOCK]; COUNT],
    seen: Range<usize>,
    values: &[T],
    outputs: &mut [f32],
) {
    let padded = outputs.len() / COUNT;
    if seen.is_empty() {
        return;
    }
    let mut at = 0;
    // As many sums as fit into registers.
    while at + 4 * S::LANES <= padded && 4 * COUNT <= 2 * S::FLOAT_ROWS {
        add_vectors::<S, T, COUNT, 4>(simd, shrinks, weights, seen.clone(), values, at, outputs);
        at += 4 * S::LANES;
    }
    while at + 2 * S::LANES <= padded && 2 * COUNT <= 2 * S::FLOAT_ROWS {
        add_vectors::<S, T, COUNT, 2>(simd, shrinks, weights, seen.clone(), values, at, outputs);
        at += 2 * S::LANES;
    }
    while at < padded {
        add_vectors::<S, T, COUNT, 1>(simd, shrinks, weights, seen.clone(), values, at, outputs);
        at += S::LANES;
    }
}

/// The same for `VECTORS` vectors of each output, from value `at` on.
#[inline(always)]
fn add_vectors<S: Simd, T: Float, const COUNT: usize, const VECTORS: usize>(
    simd: S,
    shrinks: &[f32; COUNT],
    weights: &[[f32; BLOCK]; COUNT],
    seen: Range<usize>,
    values: &[T],
    at: usize,
    outputs: &mut [f32],
) {
    let padded = outputs.len() / COUNT;
    assert!(
        seen.end <= BLOCK && at + VECTORS * S::LANES <= padded && values.len() >= BLOCK * padded,
        "values for every position of the block"
    );
    let mut totals = [[simd.splat(0.0); VECTORS]; COUNT];
    for (query, totals) in totals.iter_mut().enumerate() {
        for (index, total) in totals.iter_mut().enumerate() {
            let output = simd.read(&outputs[query * padded + at + index * S::LANES..]);
            *total = simd.mul(output, simd.splat(shrinks[query]));
        }
    }
    for position in seen {
        let mut vectors = [simd.splat(0.0); VECTORS];
        for (index, vector) in vectors.iter_mut().enumerate() {
            // SAFETY: position < BLOCK and at + VECTORS * LANES <= padded, so that it is inside of `values`, by the
            // assertion.
            *vector = unsafe { T::load(simd, values.as_ptr().add(position * padded + at + index * S::LANES)) };
        }
        for (totals, weights) in totals.iter_mut().zip(weights) {
            let weight = simd.splat(weights[position]);
            for (total, vector) in totals.iter_mut().zip(vectors) {
                *total = simd.fma(weight, vector, *total);
            }
        }
    }
    for (query, totals) in totals.into_iter().enumerate() {
        for (index, total) in totals.into_iter().enumerate() {
            simd.write(&mut outputs[query * padded + at + index * S::LANES..], total);
        }
    }
}

// === impl Query ===

impl Query {
    /// Which positions it sees of the block that begins at `start`.
    fn sees(&self, start: usize) -> Range<usize> {
        let from = self.from.max(start) - start;
        let to = self.to.min(start + BLOCK).max(start) - start;
        from..to
    }

    /// Makes weights of the scores of the block that begins at `start`, and counts them in. Gives what the output so
    /// far is to be multiplied with.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S, attention: &Attention<'_>, start: usize, scores: &mut [f32; BLOCK]) -> f32 {
        let seen = self.sees(start);
        if seen.is_empty() {
            return 1.0;
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
        if let Some(distances) = &attention.distances {
            self.add_distances(distances, start + seen.start, &mut scores[seen.clone()]);
        }
        // What the query does not see gets no weight.
        if seen.len() < BLOCK {
            for (position, score) in scores.iter_mut().enumerate() {
                *score = if seen.contains(&position) { *score } else { f32::NEG_INFINITY };
            }
        }
        let mut tops = simd.splat(self.greatest);
        let mut lane = 0;
        while lane < BLOCK {
            // NaN, were there any, stands first and is passed over here; it comes back with the weights.
            tops = simd.max(simd.read(&scores[lane..]), tops);
            lane += S::LANES;
        }
        let greatest = simd.greatest_lane(tops);
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
        self.sum = self.sum * shrink + simd.sum_lanes(weights);
        shrink
    }

    /// Adds what the distance says to the scores of the positions from `start` on, which the query sees.
    #[inline(always)]
    fn add_distances(&self, distances: &Distances<'_>, start: usize, scores: &mut [f32]) {
        let of_head = 2 * distances.reach - 1;
        // Inside of the head's values, as `reach` is at least the length of the cache.
        let first = self.head * of_head + start + distances.reach - 1 - self.own;
        for (score, value) in scores.iter_mut().zip(&distances.values[first..]) {
            *score += value;
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
