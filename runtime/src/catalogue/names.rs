//! The names nearest to one that is not there.

use crate::catalogue::stock::Stock;

/// Names to show in an error text.
const SHOWN: usize = 3;

/// Names to compare on either side of where the unknown one would stand; with thousands of models,
/// comparing all would make a wrong name dear.
const COMPARED: usize = 128;

/// The known names most like the unknown one, the most alike first; all of them when they are few.
pub(super) fn nearest<'a, V: Clone>(unknown: &'a str, known: &'a Stock<V>) -> Vec<&'a str> {
    let (below, above) = known.around(unknown);
    let mut names: Vec<&str> = below.take(COMPARED).chain(above.take(COMPARED)).map(String::as_str).collect();
    names.sort_by_cached_key(|name| (strsim::damerau_levenshtein(unknown, name), name.len()));
    names.truncate(SHOWN);
    names
}
