//! All models by name, as a snapshot that requests read without a lock.
//!
//! A change makes a new snapshot. Who places thousands of models does it one by one, so a new snapshot shares with the
//! old one all that has not changed: the names stand, in order, in chunks of which a change copies one.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Names in a chunk before it is cut in two.
const LARGEST: usize = 256;

/// Values by name.
#[derive(Debug)]
pub(super) struct Stock<V> {
    /// None of them empty; the names of each come before those of the next.
    chunks: Vec<Arc<BTreeMap<String, V>>>,
}

// === impl Stock ===

impl<V: Clone> Stock<V> {
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.chunks.get(self.place_of(name))?.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Names and values, in order of the names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(name, _)| name)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The names before this one, the nearest first, and this one and those after it.
    pub(super) fn around<'a>(
        &'a self,
        name: &'a str,
    ) -> (impl Iterator<Item = &'a String>, impl Iterator<Item = &'a String>) {
        let place = self.place_of(name);
        let (before, after) = self.chunks.split_at_checked(place).unwrap_or((&self.chunks, &[]));
        let here = after.first();
        let below = (Bound::Unbounded, Bound::Excluded(name));
        let above = (Bound::Included(name), Bound::Unbounded);
        let below = here.into_iter().flat_map(move |chunk| chunk.range::<str, _>(below).rev());
        let above = here.into_iter().flat_map(move |chunk| chunk.range::<str, _>(above));
        let further = before.iter().rev().flat_map(|chunk| chunk.iter().rev());
        let later = after.iter().skip(1).flat_map(|chunk| chunk.iter());
        (below.chain(further).map(|(name, _)| name), above.chain(later).map(|(name, _)| name))
    }

    /// The same with this value, instead of an earlier one if there is one.
    pub(super) fn with(&self, name: &str, value: V) -> Self {
        let place = self.place_of(name);
        let mut chunk = self.chunks.get(place).map(|chunk| BTreeMap::clone(chunk)).unwrap_or_default();
        chunk.insert(name.to_owned(), value);
        let mut pieces = vec![chunk];
        if let Some(chunk) = pieces.first_mut().filter(|chunk| chunk.len() > LARGEST) {
            let middle = chunk.keys().nth(LARGEST / 2).cloned().unwrap_or_default();
            let second = chunk.split_off(&middle);
            pieces.push(second);
        }
        self.replaced(place, pieces)
    }

    /// The same without this name, and its value; nothing where there is no such name.
    pub(super) fn without(&self, name: &str) -> Option<(Self, V)> {
        let place = self.place_of(name);
        let mut chunk = BTreeMap::clone(self.chunks.get(place)?);
        let value = chunk.remove(name)?;
        let pieces = if chunk.is_empty() { Vec::new() } else { vec![chunk] };
        Some((self.replaced(place, pieces), value))
    }

    fn replaced(&self, place: usize, pieces: Vec<BTreeMap<String, V>>) -> Self {
        let mut chunks = self.chunks.clone();
        let end = (place + 1).min(chunks.len());
        chunks.splice(place.min(end)..end, pieces.into_iter().map(Arc::new));
        Self { chunks }
    }

    /// The chunk that has the name if any has.
    fn place_of(&self, name: &str) -> usize {
        let is_not_after =
            |chunk: &Arc<BTreeMap<String, V>>| chunk.first_key_value().is_some_and(|(first, _)| &**first <= name);
        self.chunks.partition_point(is_not_after).saturating_sub(1)
    }
}

impl<V> Default for Stock<V> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<V> From<BTreeMap<String, V>> for Stock<V> {
    fn from(mut values: BTreeMap<String, V>) -> Self {
        let mut chunks = Vec::new();
        // Half full, so that not every change cuts one.
        while let Some(next) = values.keys().nth(LARGEST / 2).cloned() {
            let rest = values.split_off(&next);
            chunks.push(Arc::new(std::mem::replace(&mut values, rest)));
        }
        if !values.is_empty() {
            chunks.push(Arc::new(values));
        }
        Self { chunks }
    }
}
