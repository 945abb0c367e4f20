//! Paths under which the same paths are served.

/// How many segments the longest of these prefixes takes from the path's start.
pub(super) fn segments_of_prefix(path: &[u8], prefixes: &[Vec<u8>]) -> usize {
    let longest = prefixes.iter().filter(|prefix| behind(path, prefix).is_some()).map(|prefix| slashes(prefix)).max();
    longest.unwrap_or_default()
}

/// What stands behind the longest of these prefixes: the whole path if none of them stands there.
pub(crate) fn without_prefix<'p>(path: &'p [u8], prefixes: &[Vec<u8>]) -> &'p [u8] {
    prefixes.iter().filter_map(|prefix| behind(path, prefix)).min_by_key(|rest| rest.len()).unwrap_or(path)
}

/// The segments behind a prefix, in a reading of the path.
pub(super) fn beyond_prefix<'s, 'p>(segments: &'s [&'p [u8]], prefix: &[u8]) -> Option<&'s [&'p [u8]]> {
    let mut rest = segments;
    for part in prefix.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
        let (first, behind) = rest.split_first()?;
        if !first.eq_ignore_ascii_case(part) {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

fn behind<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with(b"/"))
}

fn slashes(prefix: &[u8]) -> usize {
    prefix.iter().filter(|&&byte| byte == b'/').count()
}
