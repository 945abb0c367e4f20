//! From the configuration to the router, and the faults that only the whole can show.

mod conditions;
mod experiments;
mod models;
mod rules;
mod scopes;
mod settings;

use std::collections::HashMap;

use super::headers::OutgoingHeaders;
use super::{BrakePlace, Router, Settings};
use crate::config::{ConfigError, Fault, Freeze, Routing};
use crate::header::PREFIX;
use crate::message::MOST_NAMES;

/// Below this a gRPC message's name would often not fit.
const LEAST_PEEK_LIMIT: usize = 512;

/// Collects faults and numbers the parameters.
#[derive(Default)]
struct Compiler<'c> {
    faults: Vec<Fault>,
    parameter_names: Vec<Vec<u8>>,
    /// Every name, alias and pattern of each scope, with the path where it stands.
    seen: HashMap<(Option<String>, String), String>,
    freezes: &'c [Freeze],
    brakes: Vec<BrakePlace>,
}

impl Router {
    /// Compiles a configuration; the error tells every fault with its path.
    pub fn new(routing: &Routing) -> Result<Self, ConfigError> {
        let mut compiler = Compiler { freezes: &routing.freezes, ..Compiler::default() };
        compiler.freezes(&routing.freezes, "freezes");
        let mut entries = Vec::with_capacity(routing.models.len());
        let mut names = compiler.scopes(&routing.scopes);
        for (index, model) in routing.models.iter().enumerate() {
            let scope = compiler.scope_of(model, &routing.scopes, &format!("models[{index}].scope"));
            let entry = compiler.entry(model, index);
            let names = names.of_mut(scope);
            let aliases = model.aliases.iter().map(|name| (name.as_bytes().to_vec(), index));
            names.exact.extend(aliases);
            if entry.is_pattern {
                names.prefixes.push((entry.name.clone(), index));
                names.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
            } else {
                names.exact.insert(entry.name.clone(), index);
            }
            compiler.shadow(&entry, routing.rewrite, &format!("models[{index}].shadow"));
            entries.push(entry);
        }
        compiler.rules_over_all(&routing.rules, &mut entries);
        compiler.experiments(routing, &mut entries);
        for entry in &mut entries {
            entry.reads_bodies = entry.may_read_bodies();
        }
        let variants = entries.iter_mut().flat_map(|entry| &mut entry.variants);
        variants.zip(0..).for_each(|(variant, number)| variant.number = number);
        let reads_bodies = entries.iter().any(|entry| entry.reads_bodies);
        let keeps_inputs = entries.iter().any(super::Entry::may_look_at_inputs);
        compiler.settings(routing);
        if compiler.parameter_names.len() > MOST_NAMES {
            let names = compiler.parameter_names.len();
            compiler.fault("models", format!("expected at most {MOST_NAMES} different parameter names, got {names}"));
        }
        let mut path_prefixes = compiler.path_prefixes(&routing.path_prefixes);
        path_prefixes.extend(names.scopes.iter().filter_map(|scope| scope.path_prefix.clone()));
        ConfigError::unless_empty(compiler.faults)?;
        Ok(Self {
            entries,
            names,
            parameter_names: compiler.parameter_names,
            unknown_models: routing.unknown_models,
            rewrite: routing.rewrite,
            admin: routing.admin,
            reads_bodies,
            keeps_inputs,
            peek_limit: routing.peek_limit.0,
            on_peek_limit: routing.on_peek_limit,
            mode: routing.mode,
            path_prefixes,
            brakes: compiler.brakes,
            headers: OutgoingHeaders::new(&routing.header_names),
            secret: routing.testers.as_ref().map(|testers| testers.secret.as_bytes().to_vec()),
            exposure_sample: routing.exposures.map(|exposures| exposures.sample),
            settings: Settings {
                claims: routing.claims.clone(),
                restore_model_name: routing.restore_model_name,
                dry_run: routing.dry_run,
                stats: routing.stats,
                filter_state: routing.filter_state,
            },
        })
    }
}

// === impl Compiler ===

impl Compiler<'_> {
    fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault::new(path, message));
    }

    /// A text that is sent as a header's value.
    fn header_value(&mut self, value: &str, path: &str) {
        if value.is_empty() {
            self.fault(path, "expected a name, got an empty text");
        } else if value.chars().any(char::is_control) || value.trim_ascii() != value {
            self.fault(
                path,
                "expected a name without control characters and spaces at its ends, which no header can carry",
            );
        }
    }

    fn header_name(&mut self, name: &str, path: &str) {
        let token = name.strip_prefix(':').unwrap_or(name);
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if token.is_empty() || !token.bytes().all(is_token) {
            self.fault(path, format!("expected a header's name, got '{name}'"));
        } else if name.to_ascii_lowercase().as_bytes().starts_with(PREFIX) {
            self.fault(path, format!("'{name}' is removed from every request, so nothing can depend on it"));
        }
    }

    fn parameter_number(&mut self, name: &str) -> usize {
        let known = self.parameter_names.iter().position(|known| known == name.as_bytes());
        known.unwrap_or_else(|| {
            self.parameter_names.push(name.as_bytes().to_vec());
            self.parameter_names.len() - 1
        })
    }

    /// A part of a whole, in the unit of `whole`.
    fn part(&mut self, value: f64, whole: f64, path: &str) -> f64 {
        if !(0.0..=whole).contains(&value) {
            self.fault(path, format!("expected a number from 0 to {whole}, got {value}"));
        }
        value / whole
    }

    fn freezes(&mut self, freezes: &[Freeze], path: &str) {
        for (index, freeze) in freezes.iter().enumerate() {
            if freeze.until <= freeze.from {
                self.fault(format!("{path}[{index}].until"), "expected a time after `from`");
            }
        }
    }
}
