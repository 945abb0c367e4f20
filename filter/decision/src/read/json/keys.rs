//! The keys of open objects, for a reader that refuses what comes twice.

use xxhash_rust::xxh3::xxh3_64;

/// Most members of one object.
const MOST_KEYS: usize = 1024;

/// Hashes of the keys seen: of the top level, and of one object inside it.
#[derive(Debug, Default)]
pub(super) struct Keys {
    top: Vec<u64>,
    inner: Vec<u64>,
}

// === impl Keys ===

impl Keys {
    /// An object inside the top level begins.
    pub(super) fn begin_inner(&mut self) {
        self.inner.clear();
    }

    /// Adds a key; the error says why it cannot be.
    pub(super) fn add(&mut self, key: &[u8], is_top: bool) -> Result<(), &'static str> {
        let seen = if is_top { &mut self.top } else { &mut self.inner };
        // Two keys of equal hash would be refused though they differ, which nobody meets by accident.
        let hash = xxh3_64(key);
        if seen.contains(&hash) {
            return Err("a key of the JSON comes twice in one object");
        }
        if seen.len() == MOST_KEYS {
            return Err("an object of the JSON has more than 1024 members");
        }
        seen.push(hash);
        Ok(())
    }
}
