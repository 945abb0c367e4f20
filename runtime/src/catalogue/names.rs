//! The names nearest to one that is not there.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Names to show in an error text.
const SHOWN: usize = 3;

/// Names to compare on either side of where the unknown one would stand; with thousands of models,
/// comparing all would make a wrong name dear.
const COMPARED: usize = 128;

/// The known names most like the unknown one, the most alike first; all of them when they are few.
pub(super) fn nearest<'a, V>(unknown: &str, known: &'a BTreeMap<String, V>) -> Vec<&'a str> {
    let below = known.range::<str, _>((Bound::Unbounded, Bound::Excluded(unknown))).rev().take(COMPARED);
    let above = known.range::<str, _>((Bound::Included(unknown), Bound::Unbounded)).take(COMPARED);
    let mut names: Vec<&str> = below.chain(above).map(|(name, _)| name.as_str()).collect();
    names.sort_by_cached_key(|name| (strsim::damerau_levenshtein(unknown, name), name.len()));
    names.truncate(SHOWN);
    names
}
