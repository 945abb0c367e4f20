//! The thread that computes: who is in the next step, the step, what comes of it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use crate::error::Error;
use crate::formats::language::Core;
use crate::formats::language::cache::Cache;
use crate::formats::language::decoder::{New, Row, Scores, StepError};
use crate::formats::language::engine::kept::{Kept, common};
use crate::formats::language::engine::text::Text;
use crate::formats::language::engine::{EngineOptions, Job, Place};

/// The thread's state.
pub(super) struct Worker {
    core: Arc<Core>,
    options: EngineOptions,
    jobs: Receiver<(Job, Place)>,
    /// In the order in which they get a place.
    waiting: VecDeque<Text>,
    /// In the order in which they came.
    batch: Vec<Text>,
    kept: Kept,
    next_number: u64,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(core: Arc<Core>, options: EngineOptions, jobs: Receiver<(Job, Place)>) -> Self {
        let (waiting, batch, kept) = (VecDeque::new(), Vec::new(), Kept::default());
        Self { core, options, jobs, waiting, batch, kept, next_number: 0 }
    }

    /// Until nobody can hand in texts any more, and those there are have ended.
    pub(super) fn run(mut self) {
        while self.receive() {
            self.waiting.retain(|text| !text.is_unwanted());
            self.batch.retain(|text| !text.is_unwanted());
            self.kept.drop_orphans();
            self.admit();
            self.step();
        }
    }

    /// Takes what was handed in, and waits for it where there is nothing else to do.
    fn receive(&mut self) -> bool {
        if self.waiting.is_empty() && self.batch.is_empty() {
            match self.jobs.recv() {
                Ok((job, place)) => self.take(job, place),
                Err(_) => return false,
            }
        }
        loop {
            match self.jobs.try_recv() {
                Ok((job, place)) => self.take(job, place),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return !(self.waiting.is_empty() && self.batch.is_empty()),
            }
        }
    }

    fn take(&mut self, job: Job, place: Place) {
        self.next_number += 1;
        self.waiting.push_back(Text::new(job, place, self.next_number));
    }

    /// Gives places to those who wait, in their order, as long as there is room.
    fn admit(&mut self) {
        while self.batch.len() < self.options.texts
            && let Some(text) = self.waiting.front()
        {
            let wanted = self.bytes_for(text, text.tokens.len() + 1);
            let taken: usize = self.batch.iter().map(Text::cache_bytes).sum();
            if !self.batch.is_empty() && taken + wanted > self.options.cache_bytes {
                return;
            }
            let Some(mut text) = self.waiting.pop_front() else { return };
            let (cache, read) = self.begin(&text);
            text.begin(cache, read);
            let place = self.batch.partition_point(|other| other.number < text.number);
            self.batch.insert(place, text);
        }
    }

    /// The cache of a text, with what another one had in common with it.
    fn begin(&mut self, text: &Text) -> (Cache, usize) {
        let adapter = text.job.adapter.as_ref();
        // One token at least is to be computed: the scores behind it are not kept.
        let begin = text.tokens.get(..text.tokens.len().saturating_sub(1)).unwrap_or_default();
        let alike = self.batch.iter().filter(|other| match (&other.job.adapter, adapter) {
            (None, None) => true,
            (Some(other), Some(adapter)) => Arc::ptr_eq(other, adapter),
            _ => false,
        });
        let read = |other: &Text| common(other.tokens.get(..other.read).unwrap_or_default(), begin);
        let under_way = alike.map(|other| (other, read(other))).max_by_key(|(_, length)| *length);
        let under_way = under_way.and_then(|(other, length)| Some((other.cache.as_ref()?, length)));
        let kept = self.kept.find(adapter, begin);
        let best = under_way.into_iter().chain(kept).max_by_key(|(_, length)| *length);
        match best.filter(|(_, length)| *length > 0) {
            Some((cache, length)) => (cache.fork(text.before() + length), length),
            None => match adapter {
                Some(adapter) => (adapter.cache(&self.core.decoder), 0),
                None => (self.core.decoder.cache_shape().empty(), 0),
            },
        }
    }

    fn bytes_for(&self, text: &Text, tokens: usize) -> usize {
        self.core.decoder.cache_shape().bytes(text.before() + tokens)
    }

    fn step(&mut self) {
        self.begin_empty();
        let Some(plan) = self.plan() else { return };
        let computed = catch_unwind(AssertUnwindSafe(|| self.compute(&plan)));
        let scores = match computed {
            Ok(Ok(scores)) => scores,
            Ok(Err(error)) => {
                return self.fail_all(&Error::internal(format!("the model's computation failed: {error}")));
            }
            Err(_) => return self.fail_all(&Error::internal("the model panicked, see the server's log")),
        };
        let mut rows = scores.rows();
        let mut ended = Vec::new();
        for (place, text) in self.batch.iter_mut().enumerate() {
            let Some(count) = plan.get(place).copied().filter(|count| *count > 0) else { continue };
            text.read += count;
            if text.unread().is_empty()
                && let Some(row) = rows.next()
                && text.go_on(row, &self.core.tokens)
            {
                ended.push(place);
            }
        }
        self.leave(&ended);
    }

    /// A text without a token goes on from its adapter.
    fn begin_empty(&mut self) {
        let mut ended = Vec::new();
        for (place, text) in self.batch.iter_mut().enumerate().filter(|(_, text)| text.tokens.is_empty()) {
            let scores = text.job.adapter.as_ref().and_then(|adapter| adapter.first_scores()).map(<[f32]>::to_vec);
            let is_end = match scores {
                Some(scores) => text.go_on(&scores, &self.core.tokens),
                None => {
                    text.fail(Error::invalid("the prompt is empty, and the model has nothing that begins it"));
                    true
                }
            };
            if is_end {
                ended.push(place);
            }
        }
        self.leave(&ended);
    }

    /// How many new positions each text of the batch has in the next step; makes room for them.
    fn plan(&mut self) -> Option<Vec<usize>> {
        loop {
            if self.batch.is_empty() {
                return None;
            }
            let mut left = self.options.positions.max(1);
            let mut plan = vec![0; self.batch.len()];
            // Those that go on first: reading a prompt is what holds others up.
            let by_need =
                |goes_on: bool| (0..).zip(&self.batch).filter(move |(_, text)| (text.unread().len() == 1) == goes_on);
            for (place, text) in by_need(true).chain(by_need(false)) {
                let place: usize = place;
                let count = text.unread().len().min(left);
                left -= count;
                if let Some(planned) = plan.get_mut(place) {
                    *planned = count;
                }
            }
            let after = |(text, count): (&Text, &usize)| match count {
                0 => text.cache_bytes(),
                count => self.bytes_for(text, text.read + count),
            };
            let wanted: usize = self.batch.iter().zip(&plan).map(after).sum();
            while wanted + self.kept.bytes() > self.options.cache_bytes && self.kept.drop_one() {}
            if wanted <= self.options.cache_bytes {
                return Some(plan);
            }
            let mut youngest = self.batch.pop()?;
            if self.batch.is_empty() {
                youngest.cut(&self.core.tokens);
            } else {
                youngest.give_way();
                self.waiting.push_front(youngest);
            }
        }
    }

    fn compute(&mut self, plan: &[usize]) -> Result<Scores, StepError> {
        let mut rows = Vec::with_capacity(self.batch.len());
        for (text, count) in self.batch.iter_mut().zip(plan).filter(|(_, count)| **count > 0) {
            let Text { job, tokens, read, cache, .. } = text;
            let new = tokens.get(*read..*read + count).unwrap_or_default();
            let Some(cache) = cache.as_mut() else { continue };
            let wants_scores = *read + count == tokens.len();
            let low_rank = job.adapter.as_ref().and_then(|adapter| adapter.low_rank());
            rows.push(Row { new: New::Tokens(new), cache, low_rank, wants_scores });
        }
        self.core.decoder.step(&mut rows)
    }

    /// Takes texts out, the last first, and keeps what was computed of them.
    fn leave(&mut self, places: &[usize]) {
        for place in places.iter().rev() {
            let mut text = self.batch.remove(*place);
            if let Some(cache) = text.cache.take() {
                let tokens = std::mem::take(&mut text.tokens);
                self.kept.keep(text.job.adapter.as_ref(), tokens, text.read, cache);
            }
        }
    }

    /// Caches that a failed step may have left half written are of no use.
    fn fail_all(&mut self, error: &Error) {
        tracing::error!(reason = error.message(), texts = self.batch.len(), "a step of a language model failed");
        for text in self.batch.drain(..) {
            text.fail(error.clone());
        }
    }
}
