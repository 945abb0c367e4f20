//! The segments of a path.

use std::borrow::Cow;
use std::ops::Range;

use super::{can_be_header_value, percent_decoded};

/// More segments than any call of ours has; a path with more is not ours.
pub(super) const MOST_SEGMENTS: usize = 16;

/// Segments of a path that every server reads alike: nothing is encoded, nothing is empty but what
/// stands behind a last slash, nothing is a dot segment, a backslash or a parameter. Such is the path
/// of almost every request, so one look at each byte is all that it costs.
pub(super) struct Plain<'p> {
    /// Without the query.
    pub(super) path: &'p [u8],
    names: [&'p [u8]; MOST_SEGMENTS],
    count: usize,
}

/// What a byte is to a path.
#[derive(Clone, Copy)]
enum Mark {
    None,
    Slash,
    /// Behind it stands the query.
    End,
    /// Some server reads it as something else.
    Odd,
}

// The compiler checks the positions.
#[allow(clippy::indexing_slicing)]
static MARKS: [Mark; 256] = {
    let mut marks = [Mark::None; 256];
    let mut control = 0;
    while control <= b' ' as usize {
        marks[control] = Mark::Odd;
        control += 1;
    }
    marks[0x7f] = Mark::Odd;
    marks[b'%' as usize] = Mark::Odd;
    marks[b';' as usize] = Mark::Odd;
    marks[b'\\' as usize] = Mark::Odd;
    marks[b'/' as usize] = Mark::Slash;
    marks[b'?' as usize] = Mark::End;
    marks[b'#' as usize] = Mark::End;
    marks
};

/// Segments of any other path, decoded.
pub(super) struct Decoded<'p>(Vec<Cow<'p, [u8]>>);

// === impl Plain ===

impl<'p> Plain<'p> {
    /// Of a path with its query; `None` where some server may read it otherwise.
    pub(super) fn of(path: &'p [u8]) -> Option<Self> {
        let (b'/', behind_slash) = path.split_first()? else { return None };
        let mut segments = Self { path, names: [&[]; MOST_SEGMENTS], count: 0 };
        let mut start = 1;
        for (at, &byte) in (1..).zip(behind_slash) {
            match MARKS.get(usize::from(byte))? {
                Mark::None => {}
                Mark::Slash => {
                    segments.add(path.get(start..at)?)?;
                    start = at + 1;
                }
                Mark::End => {
                    segments.path = path.get(..at)?;
                    break;
                }
                Mark::Odd => return None,
            }
        }
        match segments.path.get(start..)? {
            // One slash at the end is nobody's trick.
            [] if (1..MOST_SEGMENTS).contains(&segments.count) => Some(segments),
            last => segments.add(last).map(|()| segments),
        }
    }

    pub(super) fn names(&self) -> &[&'p [u8]] {
        self.names.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, name: &'p [u8]) -> Option<()> {
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        *self.names.get_mut(self.count)? = name;
        self.count += 1;
        Some(())
    }
}

// === impl Decoded ===

impl<'p> Decoded<'p> {
    /// Of a path without its query; `None` if it does not begin with a slash or has too many segments.
    pub(super) fn of(path: &'p [u8]) -> Option<Self> {
        let rest = path.strip_prefix(b"/")?;
        let mut names: Vec<Cow<'p, [u8]>> = Vec::new();
        for raw in rest.split(|&byte| byte == b'/') {
            if names.len() == MOST_SEGMENTS {
                return None;
            }
            names.push(percent_decoded(raw));
        }
        // One slash at the end is nobody's trick.
        if names.len() > 1 && names.last().is_some_and(|name| name.is_empty()) {
            names.pop();
        }
        Some(Self(names))
    }

    pub(super) fn names(&self) -> Vec<&[u8]> {
        self.0.iter().map(|name| &**name).collect()
    }
}

/// Whether a decoded segment is one that no server resolves or splits.
pub(super) fn is_canonical(name: &[u8]) -> bool {
    let has_dots_below = |name: &[u8]| name.contains(&b'%') && is_resolved(&percent_decoded(name));
    !name.is_empty()
        && name != b"."
        && !name.contains(&b'\\')
        && can_be_header_value(name)
        && !is_resolved(name)
        && !has_dots_below(name)
}

/// Whether some server takes the segment, or a part of it, for a step up or for nothing: servlet
/// containers look at it without its parameters (`..;a=b`).
fn is_resolved(name: &[u8]) -> bool {
    let mut parts = name.split(|byte| matches!(byte, b'/' | b'\\'));
    parts.any(|part| match part.split(|&byte| byte == b';').next() {
        Some(b"..") => true,
        Some(b"" | b".") => part.contains(&b';'),
        _ => false,
    })
}

/// Where the segment of this number stands in a path.
pub(super) fn place(path: &[u8], number: usize) -> Range<usize> {
    let mut start = 1;
    for (position, raw) in path.get(1..).unwrap_or_default().split(|&byte| byte == b'/').enumerate() {
        if position == number {
            return start..start + raw.len();
        }
        start += raw.len() + 1;
    }
    start..start
}
