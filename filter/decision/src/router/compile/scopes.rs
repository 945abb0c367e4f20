//! Scopes: parts of the gateway with models of their own.

use super::Compiler;
use crate::config::{self, ModelEntry};
use crate::nearest::nearest;
use crate::router::names::{Names, Scope, ScopeNames};

impl Compiler<'_> {
    /// The scopes, without names yet.
    pub(super) fn scopes(&mut self, scopes: &[config::Scope]) -> Names {
        let mut compiled = Vec::with_capacity(scopes.len());
        for (index, scope) in scopes.iter().enumerate() {
            let path = format!("scopes[{index}]");
            self.header_value(&scope.name, &format!("{path}.name"));
            if scopes.iter().take(index).any(|other| other.name == scope.name) {
                self.fault(format!("{path}.name"), format!("the scope '{}' already exists", scope.name));
            }
            if scope.path_prefix.is_none() && scope.hosts.is_empty() {
                self.fault(&path, "expected a `pathPrefix` or `hosts`: it would take every request");
            }
            let prefix = scope.path_prefix.as_ref().map(|prefix| {
                self.path_prefix(prefix, &format!("{path}.pathPrefix"));
                prefix.as_bytes().to_vec()
            });
            let hosts = self.hosts(&scope.hosts, &format!("{path}.hosts"));
            compiled.push(Scope { path_prefix: prefix, hosts, names: ScopeNames::default() });
        }
        Names { everywhere: ScopeNames::default(), scopes: compiled }
    }

    /// The position of the scope that a model names.
    pub(super) fn scope_of(&mut self, model: &ModelEntry, scopes: &[config::Scope], path: &str) -> Option<usize> {
        let name = model.scope.as_ref()?;
        let position = scopes.iter().position(|scope| scope.name == *name);
        if position.is_none() {
            let meant = nearest(name, scopes.iter().map(|scope| scope.name.as_str()));
            let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
            self.fault(path, format!("there is no scope '{name}'{meant}"));
        }
        position
    }
}
