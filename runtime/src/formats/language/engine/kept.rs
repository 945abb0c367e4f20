//! Caches of texts that ended, for texts that begin alike.

use std::sync::{Arc, Weak};

use crate::formats::language::adapter::Adapter;
use crate::formats::language::cache::Cache;

/// A text shorter than this is as quick to compute as to look for.
const SHORTEST: usize = 16;
/// Texts that are kept at most.
const MOST: usize = 64;

/// What was kept, the longest unused first.
#[derive(Default)]
pub(super) struct Kept {
    texts: Vec<KeptText>,
}

struct KeptText {
    adapter: Option<Weak<Adapter>>,
    tokens: Vec<u32>,
    /// Behind the adapter's positions those of the tokens.
    cache: Cache,
}

// === impl Kept ===

impl Kept {
    /// Keeps what was computed of a text.
    pub(super) fn keep(&mut self, adapter: Option<&Arc<Adapter>>, mut tokens: Vec<u32>, read: usize, cache: Cache) {
        tokens.truncate(read);
        if read < SHORTEST {
            return;
        }
        self.texts.retain(|text| !(is_same(text.adapter.as_ref(), adapter) && tokens.starts_with(&text.tokens)));
        if self.texts.len() >= MOST {
            self.texts.remove(0);
        }
        self.texts.push(KeptText { adapter: adapter.map(Arc::downgrade), tokens, cache });
    }

    /// The cache that has the most of this begin, and how many tokens of it that are.
    pub(super) fn find(&mut self, adapter: Option<&Arc<Adapter>>, begin: &[u32]) -> Option<(&Cache, usize)> {
        let with_adapter = (0..).zip(&self.texts).filter(|(_, text)| is_same(text.adapter.as_ref(), adapter));
        let (place, length) =
            with_adapter.map(|(place, text)| (place, common(&text.tokens, begin))).max_by_key(|(_, length)| *length)?;
        if length < SHORTEST {
            return None;
        }
        let text = self.texts.remove(place);
        self.texts.push(text);
        self.texts.last().map(|text| (&text.cache, length))
    }

    /// Gives up the one that was unused the longest; `false` where there is none.
    pub(super) fn drop_one(&mut self) -> bool {
        let is_any = !self.texts.is_empty();
        if is_any {
            self.texts.remove(0);
        }
        is_any
    }

    /// Gives up those whose adapter is not in memory any more.
    pub(super) fn drop_orphans(&mut self) {
        self.texts.retain(|text| text.adapter.as_ref().is_none_or(|adapter| adapter.strong_count() > 0));
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.iter().map(|text| text.cache.size_bytes()).sum()
    }
}

/// How many tokens two texts begin with in common.
pub(super) fn common(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn is_same(kept: Option<&Weak<Adapter>>, adapter: Option<&Arc<Adapter>>) -> bool {
    match (kept, adapter) {
        (None, None) => true,
        (Some(kept), Some(adapter)) => std::ptr::eq(kept.as_ptr(), Arc::as_ptr(adapter)),
        _ => false,
    }
}
