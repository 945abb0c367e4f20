//! The conditions of a rule.

use super::Compiler;
use crate::config::{Conditions, Match, MatchKind};
use crate::matcher::{Condition, HostMatch, Matcher, ValueMatch};

impl Compiler {
    pub(super) fn matcher(&mut self, conditions: &Conditions, path: &str) -> Matcher {
        let mut compiled = Vec::new();
        if !conditions.protocols.is_empty() {
            compiled.push(Condition::Protocols(conditions.protocols.clone()));
        }
        if !conditions.methods.is_empty() {
            let methods = conditions.methods.iter();
            compiled.push(Condition::Methods(methods.map(|method| method.as_bytes().to_vec()).collect()));
        }
        if !conditions.hosts.is_empty() {
            compiled.push(Condition::Hosts(self.hosts(&conditions.hosts, &format!("{path}.hosts"))));
        }
        if !conditions.versions.is_empty() {
            let versions = conditions.versions.iter();
            compiled.push(Condition::Versions(versions.map(|version| version.0.as_bytes().to_vec()).collect()));
        }
        for (index, label) in conditions.labels.iter().enumerate() {
            let (name, value) = self.named(label, &format!("{path}.labels[{index}]"));
            compiled.push(Condition::Label(name, value));
        }
        for (index, header) in conditions.headers.iter().enumerate() {
            let path = format!("{path}.headers[{index}]");
            self.header_name(&header.name, &format!("{path}.name"));
            let name = header.name.to_ascii_lowercase().into_bytes();
            compiled.push(Condition::Header(name, self.value(header, &path)));
        }
        for (index, cookie) in conditions.cookies.iter().enumerate() {
            let (name, value) = self.named(cookie, &format!("{path}.cookies[{index}]"));
            compiled.push(Condition::Cookie(name, value));
        }
        for (index, query) in conditions.query.iter().enumerate() {
            let (name, value) = self.named(query, &format!("{path}.query[{index}]"));
            compiled.push(Condition::Query(name, value));
        }
        if let Some(not) = &conditions.not {
            compiled.push(Condition::Not(self.matcher(not, &format!("{path}.not"))));
        }
        for (index, parameter) in conditions.parameters.iter().enumerate() {
            let (_, value) = self.named(parameter, &format!("{path}.parameters[{index}]"));
            compiled.push(Condition::Parameter(self.parameter_number(&parameter.name), value));
        }
        if compiled.is_empty() {
            self.fault(
                path,
                "expected conditions, such as headers or parameters: an empty match would take every request",
            );
        }
        Matcher { conditions: compiled }
    }

    fn hosts(&mut self, hosts: &[String], path: &str) -> Vec<HostMatch> {
        for (index, host) in hosts.iter().enumerate() {
            let name = host.strip_prefix("*.").unwrap_or(host);
            if name.is_empty() || name.contains('*') {
                self.fault(format!("{path}[{index}]"), format!("expected a host or `*.` and a domain, got '{host}'"));
            }
        }
        hosts.iter().map(|host| HostMatch::new(host)).collect()
    }

    fn named(&mut self, condition: &Match, path: &str) -> (Vec<u8>, ValueMatch) {
        self.header_value(&condition.name, &format!("{path}.name"));
        (condition.name.as_bytes().to_vec(), self.value(condition, path))
    }

    fn value(&mut self, condition: &Match, path: &str) -> ValueMatch {
        let has_values = !condition.values.is_empty();
        match (condition.kind, &condition.value) {
            (MatchKind::Present, Some(_)) => {
                self.fault(
                    format!("{path}.value"),
                    "expected no value with type Present, or type Exact with the value",
                );
            }
            (MatchKind::In, Some(_)) => self.fault(format!("{path}.value"), "expected `values`, a list, with type In"),
            (MatchKind::In, None) if !has_values => {
                self.fault(format!("{path}.values"), "expected at least one value with type In");
            }
            (MatchKind::Exact | MatchKind::Prefix | MatchKind::RegularExpression, None) => {
                self.fault(format!("{path}.value"), "expected a value, or type Present to match any");
            }
            (kind, _) if has_values && kind != MatchKind::In => {
                self.fault(format!("{path}.values"), "expected `values` only with type In");
            }
            _ => {}
        }
        ValueMatch::new(condition).unwrap_or_else(|error| {
            self.fault(format!("{path}.value"), format!("the regular expression is refused: {error}"));
            ValueMatch::Present
        })
    }
}
