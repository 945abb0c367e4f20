//! A model's version: any text, ordered as people read it.

use std::cmp::Ordering;
use std::fmt;

/// A version. Whole numbers stand above all other texts, by value; other texts are ordered piece by
/// piece, runs of digits by value: `v0.9` < `v0.10` < `7` < `12`.
#[derive(Clone, Debug)]
pub(super) struct Version(String);

/// A run of digits or of anything else.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Piece<'a> {
    Text(&'a str),
    /// Without leading zeros, a number's length orders before its digits.
    Number(usize, &'a str),
}

// === impl Version ===

impl Version {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_number(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let is_same_kind = |left: &u8, right: &u8| left.is_ascii_digit() == right.is_ascii_digit();
        // Cut only beside ASCII digits, so every run is whole UTF-8.
        let runs = self.0.as_bytes().chunk_by(is_same_kind).filter_map(|run| std::str::from_utf8(run).ok());
        runs.map(|run| match run.bytes().next() {
            Some(first) if first.is_ascii_digit() => {
                let digits = run.trim_start_matches('0');
                Piece::Number(digits.len(), digits)
            }
            _ => Piece::Text(run),
        })
    }
}

impl From<String> for Version {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_kind = self.is_number().cmp(&other.is_number());
        // The text itself last: `01` and `1` are two versions.
        by_kind.then_with(|| self.pieces().cmp(other.pieces())).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Version {}
