//! Attention of new positions to all that stand before them, or to their whole text, for many texts in one call.
//!
//! Scores are made a block of cached positions at a time and folded into a running maximum, sum
//! and output (the "online softmax" of FlashAttention), so that no matrix of new x all positions
//! ever exists. Blocks begin at fixed positions of the cache and each query is folded by itself,
//! so a query's result does not depend on what else is computed: not on other texts, and not on
//! whether its text came whole or position by position.

mod cache;
#[cfg(test)]
mod tests;
mod tile;

pub use cache::{Cache, CachePrecision};

use crate::columns::Columns;
use crate::instructions::Instructions;
use crate::shape::{Heads, ShapeError, check, check_at_least};
use rayon::prelude::*;
use tile::Rows;

/// Queries of one head that one thread takes at most.
const ROWS: usize = 32;

/// How a layer attends, the same for all texts.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Heads of the queries; a multiple of the cache's heads (`heads / kv_heads` neighbours share one).
    pub heads: usize,
    /// What the product of a query and a key is multiplied with, usually `1 / sqrt(width)`.
    pub scale: f32,
    /// What bounds that product softly: `cap x tanh(score / cap)`.
    pub cap: Option<f32>,
    /// ALiBi: for each head what is added to a score for every position of the key in the cache.
    pub slopes: Option<&'a [f32]>,
    /// Sliding window: how many positions a query sees, its own and those right before it.
    pub window: Option<usize>,
    /// What is added to a score for how far the key is from the query.
    pub distances: Option<Distances<'a>>,
    /// Whether a query also sees the positions behind its own, as an encoder's do. All of them must be in the cache. A
    /// window then has as many behind it as before it.
    pub is_bidirectional: bool,
}

/// For each head and each distance of a key from a query what is added to their score (T5's and MPNet's relative bias).
#[derive(Clone, Copy, Debug)]
pub struct Distances<'a> {
    /// For each head `2 x reach - 1` values: of keys `reach - 1` before the query, up to as many behind it.
    pub values: &'a [f32],
    /// The first distance that there is no value for. No text is longer.
    pub reach: usize,
}

/// The new positions of one text: the last `rows` of its cache, whose keys and values have been
/// appended already. What else the cache holds stands before them: earlier steps, or a prefix.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// Keys and values of all positions, the new ones last.
    pub cache: &'a Cache,
    /// New positions.
    pub rows: usize,
}

/// A part of the work: queries of one cached head of one text.
struct Part<'a> {
    cache: &'a Cache,
    kv_head: usize,
    /// Rows of the queries and the output where the text begins.
    first_row: usize,
    /// Position in the cache of the text's first new row.
    before: usize,
    /// Which of the text's rows.
    rows: std::ops::Range<usize>,
}

/// Attends from all new positions of all texts, on rayon's current pool.
///
/// `queries` and `output` have the rows of all spans one after the other; `output` is rows x heads x
/// width. A new position sees itself and what stands before it in its own cache, or all of that.
///
/// # Errors
/// If a slice is not as long as the shape asks for, caches differ in their shape or do not divide
/// `heads`, or a cache holds fewer positions than its span has rows.
pub fn attend(
    attention: &Attention<'_>,
    queries: Heads<'_>,
    spans: &[Span<'_>],
    output: &mut [f32],
) -> Result<(), ShapeError> {
    attend_with(Instructions::best(), attention, queries, spans, output)
}

pub(crate) fn attend_with(
    instructions: Instructions,
    attention: &Attention<'_>,
    queries: Heads<'_>,
    spans: &[Span<'_>],
    output: &mut [f32],
) -> Result<(), ShapeError> {
    let heads = attention.heads;
    let rows: usize = spans.iter().map(|span| span.rows).sum();
    let Some(first) = spans.first() else {
        return check("values of the output (no spans)", output.len(), 0);
    };
    let (kv_heads, width) = (first.cache.heads(), first.cache.width());
    check("heads that are left over by the cache's heads", heads % kv_heads.max(1), 0)?;
    check_at_least("heads of the cache", kv_heads, usize::from(heads > 0))?;
    check("values of the output (rows x heads x width)", output.len(), rows * heads * width)?;
    queries.check("values of the queries (to the end of the last head)", rows, heads, width)?;
    if let Some(slopes) = attention.slopes {
        check("ALiBi slopes (heads)", slopes.len(), heads)?;
    }
    if let Some(Distances { values, reach }) = attention.distances {
        check("values of distances (heads x (2 x reach - 1))", values.len(), heads * (2 * reach).saturating_sub(1))?;
        let longest = spans.iter().map(|span| span.cache.len()).max().unwrap_or(0);
        check_at_least("reach of the distances (positions of the longest cache)", reach, longest)?;
    }
    let group = heads / kv_heads.max(1);
    let rows_of_part = (ROWS / group.max(1)).max(1);
    let mut parts = Vec::new();
    let mut first_row = 0;
    let mut work = 0;
    for span in spans {
        let Span { cache, rows } = *span;
        check("heads of a span's cache (as in the first)", cache.heads(), kv_heads)?;
        check("values of a head of a span's cache (as in the first)", cache.width(), width)?;
        check_at_least("positions in a span's cache (the new rows among them)", cache.len(), rows)?;
        let before = cache.len() - rows;
        work += rows * cache.len() * heads * width;
        for kv_head in 0..kv_heads {
            for start in (0..rows).step_by(rows_of_part) {
                let rows = start..(start + rows_of_part).min(rows);
                parts.push(Part { cache, kv_head, first_row, before, rows });
            }
        }
        first_row += rows;
    }
    let columns = Columns::new(output, heads * width);
    let each = |part: &Part<'_>| {
        let Part { cache, kv_head, first_row, before, ref rows } = *part;
        let output = &columns;
        instructions.run(Rows {
            attention,
            queries,
            cache,
            kv_head,
            group,
            first_row,
            before,
            rows: rows.clone(),
            output,
        });
    };
    // Starting a second thread costs as much as some tens of thousands of multiplications.
    let least = ((1 << 17) * parts.len() / work.max(1)).max(1);
    if parts.len() <= least {
        parts.iter().for_each(each);
    } else {
        parts.par_iter().with_min_len(least).for_each(each);
    }
    Ok(())
}
