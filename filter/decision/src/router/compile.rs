//! From the configuration to the router, and the faults that only the whole can show.

mod conditions;
mod rules;

use std::collections::HashMap;

use super::Router;
use super::entry::{Entry, Key, Split, Variant};
use crate::assign::{Salt, Share};
use crate::config::{self, ConfigError, Fault, ModelEntry, Routing, ScalarText, StickyKey};
use crate::header::PREFIX;
use crate::message::MOST_NAMES;

/// Below this a gRPC message's name would often not fit.
const LEAST_PEEK_LIMIT: usize = 512;

/// Collects faults and numbers the parameters.
#[derive(Default)]
struct Compiler {
    faults: Vec<Fault>,
    parameter_names: Vec<Vec<u8>>,
    /// Every name, alias and pattern, with the path where it stands.
    seen: HashMap<String, String>,
}

impl Router {
    /// Compiles a configuration; the error tells every fault with its path.
    pub fn new(routing: &Routing) -> Result<Self, ConfigError> {
        let mut compiler = Compiler::default();
        let mut entries = Vec::with_capacity(routing.models.len());
        let mut exact = HashMap::new();
        let mut prefixes = Vec::new();
        for (index, model) in routing.models.iter().enumerate() {
            let entry = compiler.entry(model, &format!("models[{index}]"));
            let names = model.aliases.iter().map(String::as_bytes);
            if entry.is_pattern {
                prefixes.push((entry.name.clone(), index));
                exact.extend(names.map(|name| (name.to_vec(), index)));
            } else {
                exact.extend(names.chain([entry.name.as_slice()]).map(|name| (name.to_vec(), index)));
            }
            entries.push(entry);
        }
        compiler.rules_over_all(&routing.rules, &mut entries);
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let peek_limit = routing.peek_limit.0;
        if peek_limit < LEAST_PEEK_LIMIT {
            compiler.fault("peekLimit", format!("expected at least {LEAST_PEEK_LIMIT} bytes, got {peek_limit}"));
        }
        if compiler.parameter_names.len() > MOST_NAMES {
            let names = compiler.parameter_names.len();
            compiler.fault("models", format!("expected at most {MOST_NAMES} different parameter names, got {names}"));
        }
        let path_prefixes = compiler.path_prefixes(&routing.path_prefixes);
        ConfigError::unless_empty(compiler.faults)?;
        Ok(Self {
            entries,
            exact,
            prefixes,
            parameter_names: compiler.parameter_names,
            unknown_models: routing.unknown_models,
            rewrite: routing.rewrite,
            admin: routing.admin,
            peek_limit,
            on_peek_limit: routing.on_peek_limit,
            mode: routing.mode,
            path_prefixes,
        })
    }
}

// === impl Compiler ===

impl Compiler {
    fn fault(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault::new(path, message));
    }

    /// Prefixes as they stand in front of a path that has one reading only.
    fn path_prefixes(&mut self, prefixes: &[String]) -> Vec<Vec<u8>> {
        let is_plain = |segment: &str| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_name)
        };
        for (index, prefix) in prefixes.iter().enumerate() {
            let is_path = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
            if !is_path || prefix.matches('/').count() > 8 {
                self.fault(
                    format!("pathPrefixes[{index}]"),
                    format!("expected a path such as /serving/team-a, without a slash at its end and without `%`, got '{prefix}'"),
                );
            }
        }
        prefixes.iter().map(|prefix| prefix.as_bytes().to_vec()).collect()
    }

    fn entry(&mut self, model: &ModelEntry, path: &str) -> Entry {
        let (name, is_pattern) = match model.name.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (model.name.as_str(), false),
        };
        if name.contains('*') {
            self.fault(format!("{path}.name"), "expected `*` only at the end of a name");
        }
        self.name(&model.name, &format!("{path}.name"));
        for (index, alias) in model.aliases.iter().enumerate() {
            let path = format!("{path}.aliases[{index}]");
            if alias.contains('*') || is_pattern {
                self.fault(&path, "expected an exact name for an exact name: patterns have no aliases");
            }
            self.name(alias, &path);
        }
        let (variants, split) = self.variants(model, path);
        let names: Vec<&[u8]> = variants.iter().map(|variant| variant.name.as_slice()).collect();
        let rules = model.rules.iter().enumerate();
        let rules = rules.map(|(index, rule)| self.rule(rule, &names, &format!("{path}.rules[{index}]"))).collect();
        let labels = model.labels.iter();
        let salt = model.sticky.as_ref().and_then(|sticky| sticky.salt.as_ref()).unwrap_or(&model.name);
        Entry {
            name: name.as_bytes().to_vec(),
            is_pattern,
            labels: labels.map(|(label, value)| (label.as_bytes().to_vec(), value.0.as_bytes().to_vec())).collect(),
            variants,
            split,
            salt: Salt::new(salt.as_bytes()),
            keys: self.keys(model, path),
            rules,
        }
    }

    /// A name that stands for one model.
    fn name(&mut self, name: &str, path: &str) {
        self.header_value(name, path);
        if let Some(before) = self.seen.insert(name.to_owned(), path.to_owned()) {
            self.fault(path, format!("the name '{name}' already stands at {before}"));
        }
    }

    /// A text that is sent as a header's value.
    fn header_value(&mut self, value: &str, path: &str) {
        if value.is_empty() {
            self.fault(path, "expected a name, got an empty text");
        } else if value.chars().any(char::is_control) {
            self.fault(path, "expected a name without control characters, which no header can carry");
        }
    }

    fn variants(&mut self, model: &ModelEntry, path: &str) -> (Vec<Variant>, Split) {
        if model.variants.is_empty() {
            let name = b"default".to_vec();
            let split = Split(vec![(0, Share::new(&name, 1.0))]);
            return (vec![Variant { name, model: None, version: None, pool: None, affinity: None }], split);
        }
        if model.variants.iter().all(|variant| variant.weight.0 == 0.0) {
            self.fault(format!("{path}.variants"), "expected a weight above 0 on at least one variant");
        }
        let variants = model.variants.iter().enumerate();
        let shares = variants.clone().map(|(index, it)| (index, Share::new(it.name.as_bytes(), it.weight.0)));
        let split = Split(shares.collect());
        let variants = variants
            .map(|(index, variant)| {
                let path = format!("{path}.variants[{index}]");
                let earlier = model.variants.iter().take(index);
                if earlier.into_iter().any(|other| other.name == variant.name) {
                    self.fault(format!("{path}.name"), format!("the variant '{}' already exists", variant.name));
                }
                self.variant(variant, &path)
            })
            .collect();
        (variants, split)
    }

    fn variant(&mut self, variant: &config::Variant, path: &str) -> Variant {
        self.header_value(&variant.name, &format!("{path}.name"));
        let optional = [("model", &variant.model), ("pool", &variant.pool), ("affinity", &variant.affinity)];
        for (field, value) in optional {
            if let Some(value) = value {
                self.header_value(value, &format!("{path}.{field}"));
            }
        }
        if let Some(ScalarText(version)) = &variant.version {
            self.header_value(version, &format!("{path}.version"));
        }
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        Variant {
            name: variant.name.as_bytes().to_vec(),
            model: bytes(&variant.model),
            version: variant.version.as_ref().map(|version| version.0.as_bytes().to_vec()),
            pool: bytes(&variant.pool),
            affinity: bytes(&variant.affinity),
        }
    }

    fn keys(&mut self, model: &ModelEntry, path: &str) -> Vec<Key> {
        let Some(sticky) = &model.sticky else { return Vec::new() };
        if sticky.by.is_empty() {
            self.fault(format!("{path}.sticky.by"), "expected at least one key, such as {header: x-user-id}");
        }
        let mut keys = Vec::with_capacity(sticky.by.len());
        for (index, key) in sticky.by.iter().enumerate() {
            let path = format!("{path}.sticky.by[{index}]");
            keys.push(match key {
                StickyKey::Header(name) => {
                    self.header_name(name, &path);
                    Key::Header(name.to_ascii_lowercase().into_bytes())
                }
                StickyKey::Cookie(name) => {
                    self.header_value(name, &path);
                    Key::Cookie(name.as_bytes().to_vec())
                }
                StickyKey::Parameter(name) => {
                    self.header_value(name, &path);
                    Key::Parameter(self.parameter_number(name))
                }
            });
        }
        keys
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
}
