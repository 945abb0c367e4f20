//! Settings of the gateway as a whole.

use super::{Compiler, LEAST_PEEK_LIMIT};
use crate::config::Routing;

/// A shorter secret could be guessed.
const SHORTEST_SECRET: usize = 16;

impl Compiler<'_> {
    pub(super) fn settings(&mut self, routing: &Routing) {
        let peek_limit = routing.peek_limit.0;
        if peek_limit < LEAST_PEEK_LIMIT {
            self.fault("peekLimit", format!("expected at least {LEAST_PEEK_LIMIT} bytes, got {peek_limit}"));
        }
        if let Some(testers) = &routing.testers
            && testers.secret.len() < SHORTEST_SECRET
        {
            self.fault("testers.secret", format!("expected at least {SHORTEST_SECRET} characters"));
        }
        if let Some(exposures) = &routing.exposures {
            self.part(exposures.sample, 1.0, "exposures.sample");
        }
        let names = &routing.header_names;
        let names = [
            ("model", &names.model),
            ("variant", &names.variant),
            ("target", &names.target),
            ("version", &names.version),
            ("affinity", &names.affinity),
            ("pool", &names.pool),
            ("cluster", &names.cluster),
        ];
        for (field, name) in names {
            let Some(name) = name else { continue };
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) {
                self.fault(format!("headerNames.{field}"), format!("expected a header's name, got '{name}'"));
            }
        }
    }

    pub(super) fn path_prefixes(&mut self, prefixes: &[String]) -> Vec<Vec<u8>> {
        for (index, prefix) in prefixes.iter().enumerate() {
            self.path_prefix(prefix, &format!("pathPrefixes[{index}]"));
        }
        prefixes.iter().map(|prefix| prefix.as_bytes().to_vec()).collect()
    }

    /// A prefix as it stands in front of a path that has one reading only.
    pub(super) fn path_prefix(&mut self, prefix: &str, path: &str) {
        let is_plain = |segment: &str| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_name)
        };
        let is_path = prefix.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
        if !is_path || prefix.matches('/').count() > 8 {
            self.fault(
                path,
                format!("expected a path such as /serving/team-a, without a slash at its end and without `%`, got '{prefix}'"),
            );
        }
    }
}
