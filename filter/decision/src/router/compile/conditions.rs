//! The conditions of a rule.

use super::Compiler;
use crate::config::{self, Conditions, Match, MatchKind};
use crate::matcher::{Bounds, Condition, HostMatch, InputMatch, Matcher, Network, ValueMatch};

impl Compiler<'_> {
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
        for (index, claim) in conditions.claims.iter().enumerate() {
            let (name, value) = self.named(claim, &format!("{path}.claims[{index}]"));
            compiled.push(Condition::Claim(name, value));
        }
        if !conditions.source_addresses.is_empty() {
            let path = format!("{path}.sourceAddresses");
            compiled.push(Condition::SourceAddresses(self.networks(&conditions.source_addresses, &path)));
        }
        if let Some(range) = &conditions.content_length {
            compiled.push(Condition::ContentLength(self.bounds(*range, &format!("{path}.contentLength"))));
        }
        if let Some(not) = &conditions.not {
            compiled.push(Condition::Not(self.matcher(not, &format!("{path}.not"))));
        }
        for (index, parameter) in conditions.parameters.iter().enumerate() {
            let (_, value) = self.named(parameter, &format!("{path}.parameters[{index}]"));
            compiled.push(Condition::Parameter(self.parameter_number(&parameter.name), value));
        }
        if !conditions.encodings.is_empty() {
            compiled.push(Condition::Encodings(conditions.encodings.clone()));
        }
        for (index, input) in conditions.inputs.iter().enumerate() {
            compiled.push(Condition::Input(self.input(input, &format!("{path}.inputs[{index}]"))));
        }
        if let Some(range) = &conditions.batch_size {
            compiled.push(Condition::BatchSize(self.bounds(*range, &format!("{path}.batchSize"))));
        }
        if compiled.is_empty() {
            self.fault(
                path,
                "expected conditions, such as headers or parameters: an empty match would take every request",
            );
        }
        Matcher { conditions: compiled }
    }

    fn networks(&mut self, networks: &[String], path: &str) -> Vec<Network> {
        let mut parsed = Vec::with_capacity(networks.len());
        for (index, text) in networks.iter().enumerate() {
            match Network::parse(text) {
                Some(network) => parsed.push(network),
                None => self.fault(
                    format!("{path}[{index}]"),
                    format!("expected an address or a network such as 10.0.0.0/8, got '{text}'"),
                ),
            }
        }
        parsed
    }

    fn bounds(&mut self, range: config::Range, path: &str) -> Bounds {
        let max = range.max.unwrap_or(f64::INFINITY);
        if range.min > max || range.min.is_nan() {
            self.fault(path, format!("expected `min` not above `max`, got {} and {max}", range.min));
        }
        Bounds { min: range.min, max }
    }

    fn input(&mut self, input: &config::InputMatch, path: &str) -> InputMatch {
        if input.name.is_none() && input.datatype.is_none() && input.shape.is_none() {
            self.fault(path, "expected a `name`, a `datatype` or a `shape`");
        }
        if let Some(shape) = &input.shape
            && shape.iter().any(|dimension| dimension.fract() != 0.0)
        {
            self.fault(format!("{path}.shape"), "expected whole numbers, -1 for any");
        }
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.as_bytes().to_vec());
        let shape = input.shape.as_ref();
        InputMatch {
            name: bytes(&input.name),
            datatype: bytes(&input.datatype),
            shape: shape.map(|shape| shape.iter().map(|dimension| *dimension as i64).collect()),
        }
    }

    pub(super) fn hosts(&mut self, hosts: &[String], path: &str) -> Vec<HostMatch> {
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
