//! What one cache of all the memory would do with a trace: the measure of what several runtimes do with theirs.
//!
//! It knows every request the moment it comes, moves nothing and loads at once: no real cache that evicts the longest
//! unused can be better than that.

use std::collections::{BTreeMap, HashMap};

#[cfg(test)]
mod tests;

/// A cache of so many bytes that evicts the longest unused.
#[derive(Clone, Debug, Default)]
pub struct IdealLru {
    capacity: u64,
    used: u64,
    /// Requests so far, which number the uses, and how many of them came before the counting.
    requests: u64,
    uncounted: u64,
    hits: u64,
    /// The number of its last request, and its bytes.
    resident: HashMap<usize, (u64, u64)>,
    by_last_use: BTreeMap<u64, usize>,
}

// === impl IdealLru ===

impl IdealLru {
    /// Empty, with room for so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// A request for a model of so many bytes; whether it was there. It is there from then on, if it fits at all.
    pub fn ask(&mut self, model: usize, bytes: u64) -> bool {
        self.requests += 1;
        let before = self.resident.remove(&model);
        if let Some((last_use, bytes)) = before {
            self.by_last_use.remove(&last_use);
            self.used -= bytes;
            self.hits += 1;
        }
        if bytes > self.capacity {
            return before.is_some();
        }
        while self.used + bytes > self.capacity {
            let Some((_, oldest)) = self.by_last_use.pop_first() else { break };
            self.used -= self.resident.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
        self.used += bytes;
        self.resident.insert(model, (self.requests, bytes));
        self.by_last_use.insert(self.requests, model);
        before.is_some()
    }

    /// Forgets the counts, not what is there: after a warm-up.
    pub fn count_from_here(&mut self) {
        self.hits = 0;
        self.uncounted = self.requests;
    }

    /// The part of the requests whose model was there; 0 before the first.
    pub fn hit_ratio(&self) -> f64 {
        let counted = self.requests - self.uncounted;
        if counted == 0 { 0.0 } else { self.hits as f64 / counted as f64 }
    }

    /// Bytes of what is there.
    pub fn used(&self) -> u64 {
        self.used
    }
}
