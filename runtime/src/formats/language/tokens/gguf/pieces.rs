//! Merges of SentencePiece's BPE: its files have pieces with scores, of which the best one that two neighbours make is
//! made first.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Bytes of a piece. Longer ones, which no vocabulary has, are never made.
const LONGEST: usize = 512;

/// Pairs whose pieces both are there and make another one: those of high scores first; of the same score, those whose
/// first, then second piece is long.
pub(super) fn merges(pieces: &[String], scores: &[f64]) -> Vec<[String; 2]> {
    let ids: HashMap<&str, usize> = pieces.iter().enumerate().map(|(id, piece)| (piece.as_str(), id)).collect();
    let mut merges = Vec::new();
    for (piece, score) in pieces.iter().zip(scores) {
        if piece.len() > LONGEST {
            continue;
        }
        let splits = piece.char_indices().skip(1).filter_map(|(at, _)| piece.split_at_checked(at));
        let mut own: Vec<_> =
            splits.filter_map(|(one, other)| Some(((*ids.get(one)?, *ids.get(other)?), one, other))).collect();
        own.sort_by_key(|(ids, ..)| *ids);
        merges.extend(own.into_iter().map(|(_, one, other)| (*score, one, other)));
    }
    let length = |text: &str| Reverse(text.chars().count());
    merges.sort_by(|(score, one, other), (than, first, second)| {
        let by_length = || (length(one), length(other)).cmp(&(length(first), length(second)));
        than.total_cmp(score).then_with(by_length)
    });
    merges.into_iter().map(|(_, one, other)| [one.to_owned(), other.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::merges;

    #[test]
    fn the_best_piece_is_made_first_by_every_pair_that_makes_it() {
        let pieces = ["a", "b", "ab", "aba", "ba", "c", "abc"].map(str::to_owned);
        let made = merges(&pieces, &[0.0, 0.0, -2.0, -3.0, -1.0, 0.0, -4.0]);
        let made: Vec<_> = made.iter().map(|[one, other]| format!("{one} {other}")).collect();
        assert_eq!(made, ["b a", "a b", "ab a", "a ba", "ab c"]);
    }
}
