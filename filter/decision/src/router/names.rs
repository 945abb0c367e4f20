//! Which entry a name belongs to, in which scope.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

use crate::header::Headers;
use crate::matcher::HostMatch;

/// Names of entries, by scope.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Outside of scopes, and where a scope has no such name.
    pub(super) everywhere: ScopeNames,
    pub(super) scopes: Vec<Scope>,
}

#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) path_prefix: Option<Vec<u8>>,
    /// Empty: all hosts.
    pub(super) hosts: Vec<HostMatch>,
    pub(super) names: ScopeNames,
}

#[derive(Debug, Default)]
pub(super) struct ScopeNames {
    pub(super) exact: HashMap<Vec<u8>, usize, BuildHasherDefault<NameHasher>>,
    /// Prefixes of names, the longest first.
    pub(super) prefixes: Vec<(Vec<u8>, usize)>,
}

/// The keys are the operator's own, so nobody can choose ones that collide.
#[derive(Debug, Default)]
pub(super) struct NameHasher(u64);

// === impl Names ===

impl Names {
    /// The entry of this name for a request with this head.
    pub(super) fn find(&self, head: &impl Headers, name: &[u8]) -> Option<usize> {
        let scoped = if self.scopes.is_empty() { None } else { self.scope_of(head).and_then(|it| it.names.find(name)) };
        scoped.or_else(|| self.everywhere.find(name))
    }

    /// Whether an entry of some scope has just this name.
    pub(super) fn lists(&self, name: &[u8]) -> bool {
        self.everywhere.exact.contains_key(name) || self.scopes.iter().any(|it| it.names.exact.contains_key(name))
    }

    /// The names of one scope, or those outside of scopes.
    pub(super) fn of_mut(&mut self, scope: Option<usize>) -> &mut ScopeNames {
        match scope.and_then(|scope| self.scopes.get_mut(scope)) {
            Some(scope) => &mut scope.names,
            None => &mut self.everywhere,
        }
    }

    /// The first scope whose prefix and hosts the request has.
    fn scope_of(&self, head: &impl Headers) -> Option<&Scope> {
        let path = head.first(b":path").unwrap_or_default();
        let host = head.first(b":authority").unwrap_or_default();
        self.scopes.iter().find(|scope| scope.has(path, host))
    }
}

// === impl Scope ===

impl Scope {
    fn has(&self, path: &[u8], host: &[u8]) -> bool {
        let has_prefix =
            |prefix: &Vec<u8>| path.strip_prefix(prefix.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
        self.path_prefix.as_ref().is_none_or(has_prefix)
            && (self.hosts.is_empty() || HostMatch::any_matches(&self.hosts, host))
    }
}

// === impl ScopeNames ===

impl ScopeNames {
    fn find(&self, name: &[u8]) -> Option<usize> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, entry)| entry);
        self.exact.get(name).or_else(by_prefix).copied()
    }
}

// === impl NameHasher ===

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    /// The length in front of the bytes tells nothing that they do not.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
