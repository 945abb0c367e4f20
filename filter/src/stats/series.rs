//! The series that were defined, and the names that count by themselves.

use super::hash;
use crate::host::{self, MetricId, MetricKind};
use crate::table::Table;

/// Every series of this instance by a number made of its labels.
pub(super) struct AllSeries {
    /// None: the gateway would not define it, which is not asked twice.
    defined: Table<Option<MetricId>>,
    /// Names that no configuration lists and that have series all the same.
    unlisted: Table<()>,
    seed: Option<u64>,
}

// === impl AllSeries ===

impl AllSeries {
    pub(super) const fn new() -> Self {
        Self { defined: Table::new(), unlisted: Table::new(), seed: None }
    }

    /// The name to count a model under; `None` if it is one too many.
    pub(super) fn label_for<'a>(
        &mut self,
        model: &'a [u8],
        most_unlisted: u32,
        is_listed: impl FnOnce() -> bool,
    ) -> Option<&'a [u8]> {
        let key = self.key(&[model]);
        if self.unlisted.get_mut(key).is_some() || is_listed() {
            return Some(model);
        }
        if self.unlisted.len() >= most_unlisted as usize {
            return None;
        }
        self.unlisted.insert(key, ());
        Some(model)
    }

    /// One number for a series' labels.
    pub(super) fn key(&mut self, parts: &[&[u8]]) -> u64 {
        let seed = *self.seed.get_or_insert_with(host::random_seed);
        hash(seed, parts)
    }

    /// The series of this number, defined by `name` if it counts for the first time.
    pub(super) fn find_or_define(
        &mut self,
        key: u64,
        kind: MetricKind,
        name: impl FnOnce() -> Vec<u8>,
    ) -> Option<MetricId> {
        if let Some(id) = self.defined.get_mut(key) {
            return *id;
        }
        let id = host::define_metric(kind, &name());
        if let Err(refused) = id {
            host::warn(&format!("the gateway does not define a metric ({refused})"));
        }
        self.defined.insert(key, id.ok());
        id.ok()
    }
}
