//! The name in a JSON document.

use super::{Found, LONGEST_LOOK, Renaming, Step};
use crate::rewrite::Prefix;

impl Renaming {
    pub(super) fn step_in_document<E>(
        &mut self,
        size: usize,
        is_last: bool,
        read: impl Fn(usize, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Step, E> {
        let looked_at = size.min(LONGEST_LOOK);
        let bytes = if looked_at == 0 { Vec::new() } else { read(0, looked_at)? };
        let found = find(&bytes, self.keys());
        if found == Found::Unclear && !is_last && size < LONGEST_LOOK {
            return Ok(Step::Wait);
        }
        self.is_done = true;
        let Found::At(name) = found else { return Ok(Step::Keep) };
        if bytes.get(name.clone()) != Some(self.json(&self.from).as_slice()) {
            return Ok(Step::Keep);
        }
        let mut with = bytes.get(..name.start).unwrap_or_default().to_vec();
        with.extend(self.json(&self.to));
        Ok(Step::Change(Prefix { replaces: name.end, with }))
    }
}

/// The text under one of these keys of the document's own object. Escaped keys are others.
pub(super) fn find(bytes: &[u8], keys: &[&[u8]]) -> Found {
    let mut depth = 0_usize;
    let mut at = 0;
    // The key before the colon that came last, while nothing but a value can follow.
    let mut key = None;
    let mut text = None;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let Some(end) = end_of_text(bytes, at + 1) else { return Found::Unclear };
                let span = at + 1..end;
                if key.take().is_some() {
                    return Found::At(span);
                }
                text = Some(span);
                at = end;
            }
            b':' if depth == 1 => {
                let name = text.take().and_then(|span| bytes.get(span));
                key = name.filter(|name| keys.contains(name));
            }
            b'{' | b'[' => {
                // A name that is no text is nothing to be replaced.
                if depth == 0 && byte == b'[' || key.is_some() {
                    return Found::Nowhere;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Found::Nowhere;
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            _ if depth == 0 || key.is_some() => return Found::Nowhere,
            _ => {}
        }
        at += 1;
    }
    Found::Unclear
}

/// Where the quote stands that ends a text.
fn end_of_text(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
