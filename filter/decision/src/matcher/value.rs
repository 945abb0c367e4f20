//! How one value is compared.

use crate::config::{Match, MatchKind, ScalarText};
use crate::pattern::Pattern;

#[derive(Debug)]
pub(crate) enum ValueMatch {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Pattern(Pattern),
    In(Vec<Vec<u8>>),
    Present,
}

// === impl ValueMatch ===

impl ValueMatch {
    /// The error says what is wrong with a regular expression.
    pub(crate) fn new(config: &Match) -> Result<Self, String> {
        let bytes = |text: &ScalarText| text.0.as_bytes().to_vec();
        let value = config.value.as_ref();
        Ok(match config.kind {
            MatchKind::Exact => Self::Exact(value.map(bytes).unwrap_or_default()),
            MatchKind::Prefix => Self::Prefix(value.map(bytes).unwrap_or_default()),
            MatchKind::RegularExpression => {
                let pattern = value.map(|text| text.0.as_str()).unwrap_or_default();
                Self::Pattern(Pattern::new(pattern)?)
            }
            MatchKind::In => Self::In(config.values.iter().map(bytes).collect()),
            MatchKind::Present => Self::Present,
        })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => value == expected,
            Self::Prefix(expected) => value.starts_with(expected),
            Self::Pattern(pattern) => pattern.matches(value),
            Self::In(expected) => expected.iter().any(|expected| value == expected),
            Self::Present => true,
        }
    }
}
