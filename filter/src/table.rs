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
