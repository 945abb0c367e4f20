//! What other readers may take a path for.

use super::openai::is_operation;
use super::prefix::beyond_prefix;
use super::{is_admin, percent_decoded};

/// What some server may read in a path.
#[derive(Debug, Default)]
pub(super) struct Readings {
    pub(super) is_admin: bool,
    pub(super) is_model: bool,
}

/// What servers split a path at.
const SEPARATORS: [&[u8]; 2] = [b"/\\", b"/"];

/// What an empty segment is to a `..` behind it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Empty {
    /// Nothing: the slashes were merged before.
    Merged,
    /// A segment that it takes away, as RFC 3986 has it.
    Kept,
}

/// What `;a=b` in a segment is.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Parameters {
    /// Not part of the name.
    Dropped,
    /// As good as any other letters.
    Kept,
}

// === impl Readings ===

impl Readings {
    /// Every way in which some server may read a path: percent-escapes decoded once or twice, before
    /// the path is split or behind it; a backslash taken for a slash or not; path parameters (`;a=b`)
    /// dropped; slashes merged or not; dot segments resolved, or left where a router looks at the
    /// first segments only.
    pub(super) fn of(path: &[u8], prefixes: &[Vec<u8>]) -> Self {
        let decoded = |text: &[u8]| percent_decoded(text).into_owned();
        let once = decoded(path);
        let twice = decoded(&once);
        let ways = SEPARATORS.iter().flat_map(|separators| {
            let split_behind = |path: &[u8]| split(path, separators).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let split_before: Vec<Vec<u8>> = split(path, separators).map(decoded).collect();
            let split_before_twice = split_before.iter().map(|segment| decoded(segment)).collect();
            [split_behind(&once), split_behind(&twice), split_before, split_before_twice]
        });
        let mut all = Self::default();
        for way in ways {
            let unresolved = way.iter().skip(1).map(Vec::as_slice).collect();
            let resolved = [Empty::Merged, Empty::Kept].into_iter().flat_map(|empty| {
                [Parameters::Dropped, Parameters::Kept].map(|parameters| resolved(&way, empty, parameters))
            });
            for segments in resolved.chain([unresolved]) {
                all.add(&segments);
                let beyond = prefixes.iter().filter_map(|prefix| beyond_prefix(&segments, prefix));
                beyond.for_each(|segments| all.add(segments));
            }
        }
        all
    }

    fn add(&mut self, segments: &[&[u8]]) {
        self.is_admin |= is_admin(segments);
        self.is_model |= is_model(segments);
    }
}

fn is_model(segments: &[&[u8]]) -> bool {
    let segments = match segments {
        [openai, rest @ ..] if openai.eq_ignore_ascii_case(b"openai") => rest,
        segments => segments,
    };
    let has_model = match segments {
        [area, models, _, ..] => {
            (area.eq_ignore_ascii_case(b"v2") || area.eq_ignore_ascii_case(b"v1"))
                && models.eq_ignore_ascii_case(b"models")
        }
        _ => false,
    };
    has_model || is_operation(segments)
}

fn split<'p>(path: &'p [u8], separators: &[u8]) -> impl Iterator<Item = &'p [u8]> {
    path.split(|byte| separators.contains(byte))
}

/// The segments that are left, without empty ones, once `.` and `..` are resolved.
fn resolved(segments: &[Vec<u8>], empty: Empty, parameters: Parameters) -> Vec<&[u8]> {
    let mut found: Vec<&[u8]> = Vec::new();
    for segment in segments {
        let without_parameters = segment.split(|&byte| byte == b';').next().unwrap_or(segment);
        match if parameters == Parameters::Dropped { without_parameters } else { segment } {
            b"." => {}
            b"" if empty == Empty::Merged => {}
            b".." => {
                found.pop();
            }
            name => found.push(name),
        }
    }
    found.retain(|segment| !segment.is_empty());
    found
}
