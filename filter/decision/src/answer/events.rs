//! The name in each event of a stream of events: `data: {"model":"…"}`.

use super::document::find;
use super::{Found, LONGEST_LOOK, Renaming, Step};
use crate::rewrite::Prefix;

impl Renaming {
    pub(super) fn step_in_events<E>(
        &mut self,
        size: usize,
        is_last: bool,
        read: impl Fn(usize, usize) -> Result<Vec<u8>, E>,
    ) -> Result<Step, E> {
        let bytes = if size == 0 { Vec::new() } else { read(0, size)? };
        let (from, to) = (self.json(&self.from), self.json(&self.to));
        let mut with = Vec::new();
        let mut kept_from = 0;
        let mut is_in_line = self.is_in_line;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let end_of_line = rest.iter().position(|&byte| byte == b'\n');
            let line = rest.get(..end_of_line.unwrap_or(rest.len())).unwrap_or_default();
            if !is_in_line {
                let data = line.strip_prefix(b"data:");
                let found = data.map(|data| find(data, self.keys()));
                let may_be_data = data.is_some() || b"data:".starts_with(line);
                let is_cut = end_of_line.is_none() && !is_last && line.len() < LONGEST_LOOK;
                match found {
                    Some(Found::At(name)) => {
                        let name = at + 5 + name.start..at + 5 + name.end;
                        if bytes.get(name.clone()) == Some(from.as_slice()) {
                            with.extend_from_slice(bytes.get(kept_from..name.start).unwrap_or_default());
                            with.extend_from_slice(&to);
                            kept_from = name.end;
                        }
                    }
                    Some(Found::Unclear) | None if may_be_data && is_cut => return Ok(Step::Wait),
                    _ => {}
                }
            }
            is_in_line = end_of_line.is_none();
            at += line.len() + 1;
        }
        self.is_in_line = is_in_line;
        if kept_from == 0 {
            return Ok(Step::Keep);
        }
        Ok(Step::Change(Prefix { replaces: kept_from, with }))
    }
}
