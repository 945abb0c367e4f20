//! A listed model: its variants, rules and keys.

use crate::assign::{Salt, Share, Unit, assign};
use crate::header::Headers;
use crate::matcher::Matcher;
use crate::parameter::{ParameterSet, Parameters};

#[derive(Debug)]
pub(super) struct Entry {
    /// Without the `*` of a pattern.
    pub(super) name: Vec<u8>,
    pub(super) is_pattern: bool,
    /// At least one.
    pub(super) variants: Vec<Variant>,
    pub(super) salt: Salt,
    pub(super) keys: Vec<Key>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: Vec<u8>,
    pub(super) model: Option<Vec<u8>>,
    pub(super) version: Option<Vec<u8>>,
    pub(super) share: Share,
    pub(super) pool: Option<Vec<u8>>,
    pub(super) affinity: Option<Vec<u8>>,
}

#[derive(Debug)]
pub(super) enum Key {
    Header(Vec<u8>),
    Cookie(Vec<u8>),
    /// By its number.
    Parameter(usize),
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) matcher: Matcher,
    /// The variant's position.
    pub(super) variant: usize,
}

/// Which variants a call may go to, given the version that it names.
#[derive(Clone, Copy)]
enum Candidates<'v> {
    All,
    /// Those of this version.
    Version(&'v [u8]),
    /// Those that leave the version to the upstream.
    Unversioned,
}

// === impl Entry ===

impl Entry {
    /// The variant; `None` if a version is asked for that none has.
    pub(super) fn choose(
        &self,
        head: &impl Headers,
        version: Option<&[u8]>,
        parameters: &Parameters,
        random: u64,
    ) -> Option<&Variant> {
        let candidates = self.candidates(version)?;
        for rule in self.rules_for(candidates) {
            if rule.matcher.matches_headers(head) && rule.matcher.matches_parameters(parameters) {
                return self.variants.get(rule.variant);
            }
        }
        let among = || self.variants.iter().enumerate().filter(|(_, variant)| candidates.have(variant));
        let shares = || among().map(|(position, variant)| (position, &variant.share));
        let unit = || self.unit(head, parameters).unwrap_or(Unit::random(random));
        let winner = if among().nth(1).is_none() { None } else { assign(unit(), shares()) };
        // One candidate, or only candidates without a weight: named by version, so the first.
        let position = winner.or_else(|| among().next().map(|(position, _)| position))?;
        self.variants.get(position)
    }

    /// The parameters that can change what [`Self::choose`] gives.
    pub(super) fn needed(&self, head: &impl Headers, version: Option<&[u8]>) -> ParameterSet {
        let mut needed = ParameterSet::default();
        let Some(candidates) = self.candidates(version) else { return needed };
        for rule in self.rules_for(candidates) {
            if !rule.matcher.matches_headers(head) {
                continue;
            }
            if rule.matcher.wanted().is_empty() {
                return needed;
            }
            needed.insert_all(rule.matcher.wanted());
        }
        let in_split = self.variants.iter().filter(|variant| candidates.have(variant) && variant.share.weight() > 0.0);
        if in_split.count() < 2 {
            return needed;
        }
        for key in &self.keys {
            match key {
                Key::Parameter(number) => needed.insert(*number),
                other if other.value(head, &Parameters::default()).is_some() => break,
                _ => {}
            }
        }
        needed
    }

    /// The versions that variants name.
    pub(super) fn versions(&self) -> impl Iterator<Item = &[u8]> {
        self.variants.iter().filter_map(|variant| variant.version.as_deref())
    }

    fn candidates<'v>(&self, version: Option<&'v [u8]>) -> Option<Candidates<'v>> {
        let Some(version) = version else { return Some(Candidates::All) };
        let possible = [Candidates::Version(version), Candidates::Unversioned];
        possible.into_iter().find(|candidates| self.variants.iter().any(|variant| candidates.have(variant)))
    }

    fn rules_for(&self, candidates: Candidates<'_>) -> impl Iterator<Item = &Rule> {
        let is_candidate = move |rule: &&Rule| self.variants.get(rule.variant).is_some_and(|it| candidates.have(it));
        self.rules.iter().filter(is_candidate)
    }

    fn unit(&self, head: &impl Headers, parameters: &Parameters) -> Option<Unit> {
        self.keys.iter().find_map(|key| key.value(head, parameters)).map(|key| self.salt.unit(key))
    }
}

// === impl Key ===

impl Key {
    /// The key's value; an empty one is none.
    fn value<'a>(&self, head: &'a impl Headers, parameters: &'a Parameters) -> Option<&'a [u8]> {
        let value = match self {
            Self::Header(name) => head.first(name),
            Self::Cookie(name) => head.cookie(name),
            Self::Parameter(number) => parameters.get(*number),
        };
        value.filter(|value| !value.is_empty())
    }
}

// === impl Candidates ===

impl Candidates<'_> {
    fn have(self, variant: &Variant) -> bool {
        match self {
            Self::All => true,
            Self::Version(version) => variant.version.as_deref() == Some(version),
            Self::Unversioned => variant.version.is_none(),
        }
    }
}
