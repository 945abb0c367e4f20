//! Which files the cache has, who uses them, and which go first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::storage::remote::cache::Id;

/// What is known of all files. It decides and touches none of them.
#[derive(Default)]
pub(super) struct Index {
    files: HashMap<Id, Known>,
    /// Files that nobody uses, the longest unused first.
    unused: BTreeMap<u64, Id>,
    used: u64,
    /// Counts uses, which is all the time that an order needs.
    uses: u64,
}

#[derive(Default)]
struct Known {
    bytes: u64,
    is_whole: bool,
    holders: usize,
    last_use: u64,
    turn: Arc<Mutex<()>>,
}

/// What there is of a file.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Whole(u64),
    Part(u64),
}

// === impl Index ===

impl Index {
    /// Bytes of all files, and those that downloads will need.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// A file that is there from before, used after those that were added earlier.
    pub(super) fn add(&mut self, id: Id, bytes: u64, is_whole: bool) {
        self.uses += 1;
        self.used += bytes;
        self.unused.insert(self.uses, id.clone());
        self.files.insert(id, Known { bytes, is_whole, last_use: self.uses, ..Known::default() });
    }

    /// Somebody uses it, or is about to.
    pub(super) fn hold(&mut self, id: &Id) {
        self.uses += 1;
        let known = self.files.entry(id.clone()).or_default();
        self.unused.remove(&known.last_use);
        known.holders += 1;
        known.last_use = self.uses;
    }

    pub(super) fn release(&mut self, id: &Id) {
        let Some(known) = self.files.get_mut(id) else { return };
        known.holders = known.holders.saturating_sub(1);
        if known.holders > 0 {
            return;
        }
        if known.bytes == 0 && !known.is_whole && known.is_idle() {
            self.files.remove(id);
        } else {
            self.unused.insert(known.last_use, id.clone());
        }
    }

    /// One at a time may write it.
    pub(super) fn turn(&mut self, id: &Id) -> Arc<Mutex<()>> {
        self.files.entry(id.clone()).or_default().turn.clone()
    }

    /// Counts the file with these bytes; the files to delete for that, or the bytes that are in use when that is not
    /// enough.
    pub(super) fn reserve(&mut self, id: &Id, bytes: u64, budget: u64) -> Result<Vec<Id>, u64> {
        let had = self.files.get(id).map_or(0, |known| known.bytes);
        let others = self.used.saturating_sub(had);
        let needed = others.saturating_add(bytes).saturating_sub(budget);
        let mut evicted = Vec::new();
        if needed > 0 {
            let unused = self.unused.values().filter_map(|id| self.files.get(id)).filter(|known| known.is_idle());
            let unused = unused.map(|known| known.bytes).sum::<u64>();
            if needed > unused {
                return Err(others.saturating_sub(unused));
            }
            evicted = self.evict(needed);
        }
        self.set_bytes(id, bytes);
        Ok(evicted)
    }

    /// Forgets files that nobody uses, until so many bytes are free or there are none.
    pub(super) fn evict(&mut self, bytes: u64) -> Vec<Id> {
        let (mut chosen, mut freed) = (Vec::new(), 0);
        for (last_use, id) in &self.unused {
            if freed >= bytes {
                break;
            }
            let Some(known) = self.files.get(id).filter(|known| known.is_idle()) else { continue };
            freed += known.bytes;
            chosen.push((*last_use, id.clone()));
        }
        for (last_use, id) in &chosen {
            self.unused.remove(last_use);
            self.files.remove(id);
        }
        self.used = self.used.saturating_sub(freed);
        chosen.into_iter().map(|(_, id)| id).collect()
    }

    /// What became of it.
    pub(super) fn settle(&mut self, id: &Id, outcome: Outcome) {
        let (bytes, is_whole) = match outcome {
            Outcome::Whole(bytes) => (bytes, true),
            Outcome::Part(bytes) => (bytes, false),
        };
        self.set_bytes(id, bytes);
        if let Some(known) = self.files.get_mut(id) {
            known.is_whole = is_whole;
        }
    }

    fn set_bytes(&mut self, id: &Id, bytes: u64) {
        if let Some(known) = self.files.get_mut(id) {
            self.used = self.used.saturating_sub(known.bytes).saturating_add(bytes);
            known.bytes = bytes;
        }
    }
}

// === impl Known ===

impl Known {
    /// Whether no thread writes the file: one whose download was given up may still be about to.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.turn) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        Id(name.to_owned())
    }

    #[test]
    fn the_longest_unused_goes_first_and_what_is_held_stays() {
        let mut index = Index::default();
        for name in ["a", "b", "c"] {
            index.add(id(name), 10, true);
        }
        index.hold(&id("a"));
        index.hold(&id("b"));
        index.release(&id("b"));
        index.hold(&id("new"));
        // a is held, b was used after c.
        assert_eq!(index.reserve(&id("new"), 10, 30).unwrap(), [id("c")]);
        assert_eq!(index.used(), 30);
        assert_eq!(index.reserve(&id("new"), 25, 30), Err(10));
        assert_eq!(index.reserve(&id("new"), 20, 30).unwrap(), [id("b")]);
        assert_eq!(index.used(), 30);
        index.settle(&id("new"), Outcome::Part(5));
        index.release(&id("new"));
        index.release(&id("a"));
        assert_eq!(index.used(), 15);
        assert_eq!(index.evict(u64::MAX), [id("a"), id("new")]);
        assert_eq!(index.used(), 0);
    }

    #[test]
    fn a_file_of_which_nothing_came_is_forgotten() {
        let mut index = Index::default();
        index.hold(&id("a"));
        index.reserve(&id("a"), 10, 10).unwrap();
        index.settle(&id("a"), Outcome::Part(0));
        index.release(&id("a"));
        assert!(index.files.is_empty() && index.unused.is_empty());
    }
}
