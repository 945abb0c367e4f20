//! Values by number, for numbers that spread by themselves: counted up by the gateway, or hashes.

/// A table with open addressing: one allocation, no hashing, and forgotten entries leave no trace.
pub(crate) struct Table<V> {
    /// A power of two of them, or none; at most three quarters are taken.
    slots: Vec<Option<(u64, V)>>,
    count: usize,
}

/// How many slots there are at first.
const SMALLEST: usize = 16;

// === impl Table ===

impl<V> Table<V> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        let at = self.position(key)?;
        self.slots.get_mut(at)?.as_mut().map(|(_, value)| value)
    }

    /// Puts a value under a number, in place of any that is there.
    pub(crate) fn insert(&mut self, key: u64, value: V) {
        if let Some(held) = self.get_mut(key) {
            *held = value;
            return;
        }
        if (self.count + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.put(key, value);
        self.count += 1;
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        let mut gap = self.position(key)?;
        let (_, removed) = self.slots.get_mut(gap)?.take()?;
        self.count -= 1;
        // Those behind that stand further than they need to move up, so that a search may stop at a gap.
        let mut at = self.next(gap);
        while let Some(Some((key, _))) = self.slots.get(at) {
            let home = self.home(*key);
            if self.distance(home, at) >= self.distance(gap, at) {
                self.slots.swap(gap, at);
                gap = at;
            }
            at = self.next(at);
        }
        Some(removed)
    }

    fn grow(&mut self) {
        let larger = (self.slots.len() * 2).max(SMALLEST);
        let mut slots = Vec::new();
        slots.resize_with(larger, || None);
        for (key, value) in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            self.put(key, value);
        }
    }

    /// Puts a value where there is room; there is some.
    fn put(&mut self, key: u64, value: V) {
        let mut at = self.home(key);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.is_none() {
                *slot = Some((key, value));
                return;
            }
            at = self.next(at);
        }
    }

    fn position(&self, key: u64) -> Option<usize> {
        let mut at = self.home(key);
        while let Some(Some((held, _))) = self.slots.get(at) {
            if *held == key {
                return Some(at);
            }
            at = self.next(at);
        }
        None
    }

    fn home(&self, key: u64) -> usize {
        key as usize & self.slots.len().wrapping_sub(1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & self.slots.len().wrapping_sub(1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.slots.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_holds_what_a_map_holds_whatever_comes_and_goes() {
        let mut table = Table::new();
        let mut map = HashMap::new();
        let mut state = 7_u64;
        for step in 0..200_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few numbers, many of which share a slot.
            let key = (state >> 33) % 64 * 16 + (state >> 60) % 3;
            if (state >> 40).is_multiple_of(3) {
                assert_eq!(table.remove(key), map.remove(&key));
            } else {
                table.insert(key, step);
                map.insert(key, step);
            }
            assert_eq!(table.len(), map.len());
            assert_eq!(table.get_mut(key).copied(), map.get(&key).copied());
        }
        for (key, value) in &map {
            assert_eq!(table.get_mut(*key), Some(&mut value.clone()));
        }
    }

    #[test]
    fn a_table_does_not_grow_by_what_has_gone() {
        let mut table = Table::new();
        for key in 0..100_000 {
            table.insert(key, key);
            if key >= 10 {
                table.remove(key - 10);
            }
        }
        assert_eq!(table.slots.len(), SMALLEST);
    }
}
