//! A listed model: its variants, rules and keys.

use std::sync::Arc;

use crate::assign::{Salt, Share, Unit, assign};
use crate::config::Protocol;
use crate::header::Headers;
use crate::matcher::{Facts, Matcher, Verdict};
use crate::message::{Message, Needs};

#[derive(Debug)]
pub(super) struct Entry {
    /// Without the `*` of a pattern.
    pub(super) name: Vec<u8>,
    pub(super) is_pattern: bool,
    pub(super) labels: Vec<(Vec<u8>, Vec<u8>)>,
    /// At least one.
    pub(super) variants: Vec<Variant>,
    pub(super) split: Split,
    pub(super) salt: Salt,
    pub(super) keys: Vec<Key>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Variant {
    pub(super) name: Vec<u8>,
    pub(super) model: Option<Vec<u8>>,
    pub(super) version: Option<Vec<u8>>,
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
    /// Shared by the models that a rule over all of them counts for.
    pub(super) matcher: Arc<Matcher>,
    pub(super) split: Split,
}

/// Shares by the variants' positions.
#[derive(Debug, Default)]
pub(super) struct Split(pub(super) Vec<(usize, Share)>);

/// A call for a model, as far as its headers tell.
pub(super) struct Asking<'a, H> {
    pub(super) head: &'a H,
    pub(super) protocol: Protocol,
    pub(super) version: Option<&'a [u8]>,
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
    pub(super) fn choose(&self, asking: &Asking<'_, impl Headers>, message: &Message, random: u64) -> Option<&Variant> {
        let candidates = self.candidates(asking.version)?;
        let facts = self.facts(asking);
        let rule = self.rules_for(candidates).find(|rule| rule.matcher.verdict(&facts, Some(message)) == Verdict::Yes);
        let split = rule.map_or(&self.split, |rule| &rule.split);
        let among = || split.0.iter().filter(|(position, _)| self.is_candidate(*position, candidates));
        let unit = || self.unit(asking.head, message).unwrap_or(Unit::random(random));
        let winner = match among().nth(1) {
            None => None,
            Some(_) => assign(unit(), among().map(|(position, share)| (*position, share))),
        };
        // One candidate, or only candidates without a weight: named by version, so the first.
        let position = winner.or_else(|| among().next().map(|(position, _)| *position))?;
        self.variants.get(position)
    }

    /// The parameters that can change what [`Self::choose`] gives.
    pub(super) fn needed(&self, asking: &Asking<'_, impl Headers>) -> Needs {
        let mut needed = Needs::default();
        let Some(candidates) = self.candidates(asking.version) else { return needed };
        let facts = self.facts(asking);
        for rule in self.rules_for(candidates) {
            match rule.matcher.verdict(&facts, None) {
                Verdict::No => continue,
                Verdict::Depends(parameters) => needed.insert_all(parameters),
                Verdict::Yes => {
                    needed.insert_all(self.keys_needed(&rule.split, candidates, asking.head));
                    return needed;
                }
            }
            needed.insert_all(self.keys_needed(&rule.split, candidates, asking.head));
        }
        needed.insert_all(self.keys_needed(&self.split, candidates, asking.head));
        needed
    }

    /// The versions that variants name.
    pub(super) fn versions(&self) -> impl Iterator<Item = &[u8]> {
        self.variants.iter().filter_map(|variant| variant.version.as_deref())
    }

    fn facts<'a, H>(&'a self, asking: &Asking<'a, H>) -> Facts<'a, H> {
        Facts { head: asking.head, protocol: asking.protocol, version: asking.version, labels: &self.labels }
    }

    fn candidates<'v>(&self, version: Option<&'v [u8]>) -> Option<Candidates<'v>> {
        let Some(version) = version else { return Some(Candidates::All) };
        let possible = [Candidates::Version(version), Candidates::Unversioned];
        possible.into_iter().find(|candidates| self.variants.iter().any(|variant| candidates.have(variant)))
    }

    fn is_candidate(&self, position: usize, candidates: Candidates<'_>) -> bool {
        self.variants.get(position).is_some_and(|variant| candidates.have(variant))
    }

    fn rules_for(&self, candidates: Candidates<'_>) -> impl Iterator<Item = &Rule> {
        let leads_to_one = move |rule: &&Rule| rule.split.0.iter().any(|(it, _)| self.is_candidate(*it, candidates));
        self.rules.iter().filter(leads_to_one)
    }

    /// The parameters among the keys that a split may need.
    fn keys_needed(&self, split: &Split, candidates: Candidates<'_>, head: &impl Headers) -> Needs {
        let mut needed = Needs::default();
        let shares = split.0.iter();
        let in_split = shares.filter(|(it, share)| share.weight() > 0.0 && self.is_candidate(*it, candidates));
        if in_split.count() < 2 {
            return needed;
        }
        for key in &self.keys {
            match key {
                Key::Parameter(number) => needed.insert(*number),
                other if other.value(head, &Message::default()).is_some() => break,
                _ => {}
            }
        }
        needed
    }

    fn unit(&self, head: &impl Headers, message: &Message) -> Option<Unit> {
        self.keys.iter().find_map(|key| key.value(head, message)).map(|key| self.salt.unit(key))
    }
}

// === impl Key ===

impl Key {
    /// The key's value; an empty one is none.
    fn value<'a>(&self, head: &'a impl Headers, message: &'a Message) -> Option<&'a [u8]> {
        let value = match self {
            Self::Header(name) => head.first(name),
            Self::Cookie(name) => head.cookie(name),
            Self::Parameter(number) => message.parameter(*number),
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
