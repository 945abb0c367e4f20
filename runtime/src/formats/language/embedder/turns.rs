//! Whose texts are in the next step.
//!
//! Requests take turns: after a step the first of those that had no text in it leads the next one, so that nobody waits
//! for more steps than there are requests before him, however long these are.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::queue::Place;
use crate::error::Error;
use crate::metrics::Timed;
use crate::model::Context;

/// The texts of a request, on their way.
pub(super) struct Job {
    /// None of them has no tokens.
    pub(super) texts: Vec<Vec<u32>>,
    /// The vectors of the first of them, one after the other.
    pub(super) vectors: Vec<f32>,
    /// How many these are.
    pub(super) computed: usize,
    pub(super) context: Context,
    pub(super) done: oneshot::Sender<Result<Vec<f32>, Error>>,
    /// Until the first step.
    pub(super) queued: Option<(Timed, Place)>,
    pub(super) computing: Option<Timed>,
}

/// Requests, in the order of their turns.
#[derive(Default)]
pub(super) struct Turns {
    jobs: VecDeque<Job>,
}

/// How many more texts of each request are in a step.
pub(super) struct Plan(Vec<usize>);

// === impl Turns ===

impl Turns {
    pub(super) fn add(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Lets go of those that nobody waits for.
    pub(super) fn drop_unwanted(&mut self) {
        self.jobs.retain(|job| !job.is_unwanted());
    }

    /// A step of so many tokens; a text with more has one for itself.
    pub(super) fn plan(&self, positions: usize) -> Plan {
        let mut left = positions;
        let mut plan = vec![0; self.jobs.len()];
        let mut is_begun = false;
        loop {
            let mut is_full = true;
            for (job, planned) in self.jobs.iter().zip(&mut plan) {
                let next = job.texts.get(job.computed + *planned);
                let Some(next) = next.filter(|text| text.len() <= left || !is_begun) else { continue };
                left = left.saturating_sub(next.len());
                *planned += 1;
                (is_begun, is_full) = (true, false);
            }
            if is_full {
                return Plan(plan);
            }
        }
    }

    /// The texts of a step, which begins.
    pub(super) fn begin(&mut self, plan: &Plan) -> Vec<&[u32]> {
        let mut texts = Vec::new();
        for (job, count) in self.jobs.iter_mut().zip(&plan.0).filter(|(_, count)| **count > 0) {
            job.queued = None;
            job.computing.get_or_insert_with(|| job.context.computing());
            let own = job.texts.get(job.computed..job.computed + count).unwrap_or_default();
            texts.extend(own.iter().map(Vec::as_slice));
        }
        texts
    }

    /// Gives each request its vectors of a step, and answers those that have all.
    pub(super) fn end(&mut self, plan: &Plan, vectors: &[f32], width: usize) {
        let mut rest = vectors;
        for (job, count) in self.jobs.iter_mut().zip(&plan.0) {
            let (own, others) = rest.split_at_checked(count * width).unwrap_or_default();
            job.vectors.extend_from_slice(own);
            job.computed += count;
            rest = others;
        }
        let leader = plan.0.iter().position(|count| *count == 0).unwrap_or(1);
        self.jobs.rotate_left(leader.min(self.jobs.len()));
        for job in std::mem::take(&mut self.jobs) {
            if job.is_whole() { job.answer(Ok(())) } else { self.jobs.push_back(job) }
        }
    }

    /// Fails the requests that had texts in a step. The others go on.
    pub(super) fn fail(&mut self, plan: &Plan, error: &Error) {
        for (job, count) in std::mem::take(&mut self.jobs).into_iter().zip(&plan.0) {
            if *count > 0 { job.answer(Err(error.clone())) } else { self.jobs.push_back(job) }
        }
    }
}

// === impl Plan ===

impl Plan {
    /// Requests that have texts in the step.
    pub(super) fn requests(&self) -> usize {
        self.0.iter().filter(|count| **count > 0).count()
    }
}

// === impl Job ===

impl Job {
    fn is_unwanted(&self) -> bool {
        self.context.cancelled.is_cancelled() || self.done.is_closed()
    }

    fn is_whole(&self) -> bool {
        self.computed == self.texts.len()
    }

    fn answer(mut self, answer: Result<(), Error>) {
        let vectors = answer.map(|()| std::mem::take(&mut self.vectors));
        // What is measured is measured when the answer is there.
        self.computing = None;
        // Who asked may have gone.
        let _ = self.done.send(vectors);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::{self, Receiver};

    use super::{Job, Turns};
    use crate::error::Error;
    use crate::model::Context;

    /// A step's room.
    const POSITIONS: usize = 10;

    type Answer = Receiver<Result<Vec<f32>, Error>>;

    fn add(turns: &mut Turns, texts: usize, tokens: usize) -> Answer {
        let (done, answer) = oneshot::channel();
        let texts = vec![vec![tokens as u32; tokens]; texts];
        let context = Context::default();
        turns.add(Job { texts, vectors: Vec::new(), computed: 0, context, done, queued: None, computing: None });
        answer
    }

    /// Computes a step in which a text's vector is its length.
    fn step(turns: &mut Turns) {
        let plan = turns.plan(POSITIONS);
        let vectors: Vec<f32> = turns.begin(&plan).iter().map(|text| text.len() as f32).collect();
        turns.end(&plan, &vectors, 1);
    }

    #[test]
    fn short_requests_are_answered_in_their_turns_though_each_text_of_those_before_fills_a_step() {
        let mut turns = Turns::default();
        let mut long = [add(&mut turns, 100, 10), add(&mut turns, 100, 9)];
        step(&mut turns);
        let mut short = [add(&mut turns, 1, 5), add(&mut turns, 1, 3)];
        for _ in 0..3 {
            step(&mut turns);
        }
        assert_eq!(short[0].try_recv().unwrap().unwrap(), [5.0]);
        assert_eq!(short[1].try_recv().unwrap().unwrap(), [3.0]);
        assert!(long.iter_mut().all(|long| long.try_recv().is_err()));
        for _ in 0..200 {
            step(&mut turns);
        }
        assert_eq!(long[0].try_recv().unwrap().unwrap(), [10.0; 100]);
        assert_eq!(long[1].try_recv().unwrap().unwrap(), [9.0; 100]);
        assert!(turns.is_empty());
    }

    #[test]
    fn a_step_that_fails_fails_those_that_had_texts_in_it_and_no_others() {
        let mut turns = Turns::default();
        let (mut first, mut second) = (add(&mut turns, 2, 10), add(&mut turns, 2, 10));
        step(&mut turns);
        step(&mut turns);
        let plan = turns.plan(POSITIONS);
        assert_eq!((plan.requests(), turns.begin(&plan).len()), (1, 1));
        turns.fail(&plan, &Error::internal("no luck"));
        assert_eq!(first.try_recv().unwrap().unwrap_err().message(), "no luck");
        assert!(second.try_recv().is_err());
        step(&mut turns);
        assert_eq!(second.try_recv().unwrap().unwrap(), [10.0, 10.0]);
    }
}
