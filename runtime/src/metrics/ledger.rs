//! Who has series, and for how long.
//!
//! A model's series live as long as it is in memory: with thousands of models that come and go, Prometheus would
//! otherwise keep asking for what nobody uses. When the model comes back its counters begin at zero, which `rate` and
//! `increase` understand as they understand a restart. The totals over all models never go back.
//!
//! So many models have series of their own, the first that are asked; the rest share those of `other`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counters::{ModelCounters, Outcome};

/// All accounts.
pub(crate) struct Ledger {
    most: usize,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    open: BTreeMap<Arc<Label>, Entry>,
    /// Of accounts that were closed.
    closed: Totals,
}

struct Entry {
    counters: Arc<ModelCounters>,
    /// Accounts that are kept; more than one while a model's changed files take the place of the old ones.
    keepers: usize,
}

/// What a series is called.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Label {
    model: String,
    version: String,
}

/// A model's numbers; when the last account of a model is dropped its series go.
pub(crate) struct Account {
    counters: Arc<ModelCounters>,
    label: Arc<Label>,
    ledger: Arc<Ledger>,
}

/// Numbers over all models since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    outcomes: [u64; Outcome::ALL.len()],
    pub(super) inferences: u64,
    pub(super) executions: u64,
    pub(super) prompt_tokens: u64,
    pub(super) new_tokens: u64,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, book: Mutex::default() })
    }

    /// The account of a model, which has one already if its files are being replaced.
    pub(super) fn open(self: &Arc<Self>, model: &str, version: &str) -> Account {
        let mut book = self.lock();
        let mut label = Label { model: model.to_owned(), version: version.to_owned() };
        if !book.open.contains_key(&label) {
            let other = Label::other();
            let with_own = book.open.len() - usize::from(book.open.contains_key(&other));
            if with_own >= self.most {
                label = other;
            }
        }
        let label = book.open.get_key_value(&label).map_or_else(|| Arc::new(label), |(same, _)| same.clone());
        let entry = book
            .open
            .entry(label.clone())
            .or_insert_with(|| Entry { counters: Arc::new(ModelCounters::new()), keepers: 0 });
        entry.keepers += 1;
        Account { counters: entry.counters.clone(), label, ledger: self.clone() }
    }

    /// The open accounts in the order of their names.
    pub(super) fn accounts(&self) -> Vec<(Arc<Label>, Arc<ModelCounters>)> {
        self.lock().open.iter().map(|(label, entry)| (label.clone(), entry.counters.clone())).collect()
    }

    /// Requests of all models that wait for their turn.
    pub(super) fn pending(&self) -> i64 {
        self.lock().open.values().map(|entry| entry.counters.pending()).sum()
    }

    pub(super) fn totals(&self) -> Totals {
        // Under one lock: what is closed meanwhile would be missing from both.
        let book = self.lock();
        let mut totals = book.closed;
        for entry in book.open.values() {
            totals.add(&entry.counters);
        }
        totals
    }

    fn close(&self, label: &Label) {
        let mut book = self.lock();
        let Some(entry) = book.open.get_mut(label) else { return };
        entry.keepers -= 1;
        if entry.keepers == 0
            && let Some(entry) = book.open.remove(label)
        {
            book.closed.add(&entry.counters);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Label ===

impl Label {
    /// What is shared by the models that have no series of their own, and by one of that name.
    fn other() -> Self {
        Self { model: "other".to_owned(), version: String::new() }
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

// === impl Account ===

impl Account {
    pub(super) fn label(&self) -> &Arc<Label> {
        &self.label
    }

    /// The numbers, for what outlives the model.
    pub(crate) fn counters(&self) -> &Arc<ModelCounters> {
        &self.counters
    }
}

impl Deref for Account {
    type Target = ModelCounters;

    fn deref(&self) -> &ModelCounters {
        &self.counters
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.ledger.close(&self.label);
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Account").field(&self.label).finish()
    }
}

// === impl Totals ===

impl Totals {
    /// Requests that ended, however they did.
    pub(crate) fn requests(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// How many ended like this.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.outcomes)
    }

    fn add(&mut self, counters: &ModelCounters) {
        for (total, outcome) in self.outcomes.iter_mut().zip(Outcome::ALL) {
            *total += counters.count(outcome);
        }
        self.inferences += counters.inferences();
        self.executions += counters.executions();
        if let Some(texts) = counters.told_texts() {
            self.prompt_tokens += texts.prompt_tokens();
            self.new_tokens += texts.new_tokens();
        }
    }
}
