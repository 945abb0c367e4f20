//! Rules: of one model, and over all models.

use std::sync::Arc;

use super::Compiler;
use crate::config;
use crate::nearest::nearest;
use crate::router::entry::{Entry, Rule};
use crate::router::split::{Split, Stake};

impl Compiler<'_> {
    /// A model's own rule; `variants` are the names of the model's variants.
    pub(super) fn rule(&mut self, rule: &config::Rule, variants: &[&[u8]], path: &str) -> Rule {
        let matcher = Arc::new(self.matcher(&rule.conditions, &format!("{path}.match")));
        let mut split = Split::default();
        for (name, weight, path) in self.goals(rule, path) {
            match variants.iter().position(|variant| *variant == name.as_bytes()) {
                Some(position) => split.0.push(Stake::new(position, name.as_bytes(), weight)),
                None => {
                    let known = variants.iter().filter_map(|variant| std::str::from_utf8(variant).ok());
                    let meant = nearest(name, known);
                    let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                    self.fault(path, format!("there is no variant '{name}'{meant}"));
                }
            }
        }
        Rule { name: rule.name.as_bytes().to_vec(), matcher, split }
    }

    /// Adds each rule to the models that have all of its variants, behind their own rules.
    pub(super) fn rules_over_all(&mut self, rules: &[config::Rule], entries: &mut [Entry]) {
        for (index, rule) in rules.iter().enumerate() {
            let path = format!("rules[{index}]");
            let matcher = Arc::new(self.matcher(&rule.conditions, &format!("{path}.match")));
            let goals = self.goals(rule, &path);
            let mut counts_for_one = false;
            for entry in entries.iter_mut() {
                let position_of = |name: &str| entry.variants.iter().position(|it| it.name == name.as_bytes());
                let shares = goals
                    .iter()
                    .map(|(name, weight, _)| Some(Stake::new(position_of(name)?, name.as_bytes(), *weight)));
                if let Some(shares) = shares.collect() {
                    entry.rules.push(Rule {
                        name: rule.name.as_bytes().to_vec(),
                        matcher: matcher.clone(),
                        split: Split(shares),
                    });
                    counts_for_one = true;
                }
            }
            if !counts_for_one && !goals.is_empty() {
                let names: Vec<_> = goals.iter().map(|(name, ..)| format!("'{name}'")).collect();
                self.fault(path, format!("no model has the variants {}", names.join(", ")));
            }
        }
    }

    /// The variants that a rule leads to, with weights and the paths where they are named.
    fn goals<'r>(&mut self, rule: &'r config::Rule, path: &str) -> Vec<(&'r str, f64, String)> {
        match (&rule.variant, rule.split.as_slice()) {
            (Some(variant), []) => vec![(variant.as_str(), 1.0, format!("{path}.variant"))],
            (None, [_, ..]) => {
                if rule.split.iter().all(|share| share.weight.0 == 0.0) {
                    self.fault(format!("{path}.split"), "expected a weight above 0 on at least one variant");
                }
                let shares = rule.split.iter().enumerate();
                shares
                    .map(|(index, share)| {
                        (share.variant.as_str(), share.weight.0, format!("{path}.split[{index}].variant"))
                    })
                    .collect()
            }
            _ => {
                self.fault(path, "expected either `variant` or `split`");
                Vec::new()
            }
        }
    }
}
