//! Matchers of a rule: compiled once, compared as bytes.

use crate::config::{Conditions, Match, MatchKind};
use crate::header::Headers;
use crate::parameter::{ParameterSet, Parameters};

/// How one value is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ValueMatch {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
    Present,
}

/// The conditions of a rule; all must hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    headers: Vec<(Vec<u8>, ValueMatch)>,
    parameters: Vec<(usize, ValueMatch)>,
    wanted: ParameterSet,
}

// === impl ValueMatch ===

impl ValueMatch {
    pub(crate) fn new(config: &Match) -> Self {
        let value = config.value.as_ref().map(|text| text.0.clone().into_bytes()).unwrap_or_default();
        match config.kind {
            MatchKind::Exact => Self::Exact(value),
            MatchKind::Prefix => Self::Prefix(value),
            MatchKind::Present => Self::Present,
        }
    }

    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => value == expected,
            Self::Prefix(expected) => value.starts_with(expected),
            Self::Present => true,
        }
    }
}

// === impl Matcher ===

impl Matcher {
    /// `number_of` gives a parameter's number.
    pub(crate) fn new(conditions: &Conditions, mut number_of: impl FnMut(&str) -> usize) -> Self {
        let headers = conditions.headers.iter();
        let headers = headers.map(|header| (header.name.to_ascii_lowercase().into_bytes(), ValueMatch::new(header)));
        let parameters = conditions.parameters.iter();
        let parameters: Vec<_> =
            parameters.map(|parameter| (number_of(&parameter.name), ValueMatch::new(parameter))).collect();
        let mut wanted = ParameterSet::default();
        for (number, _) in &parameters {
            wanted.insert(*number);
        }
        Self { headers: headers.collect(), parameters, wanted }
    }

    /// The parameters that it looks at.
    pub(crate) fn wanted(&self) -> ParameterSet {
        self.wanted
    }

    /// Whether the headers allow a match.
    pub(crate) fn matches_headers(&self, head: &impl Headers) -> bool {
        self.headers
            .iter()
            .all(|(name, expected)| head.iter().any(|(key, value)| key == name && expected.matches(value)))
    }

    /// Whether the parameters found match.
    pub(crate) fn matches_parameters(&self, parameters: &Parameters) -> bool {
        let mut conditions = self.parameters.iter();
        conditions.all(|(number, expected)| parameters.get(*number).is_some_and(|value| expected.matches(value)))
    }
}
