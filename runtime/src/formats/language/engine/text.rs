//! A text under way.

use crate::error::Error;
use crate::formats::language::cache::Cache;
use crate::formats::language::engine::choice::{Choice, logprobs};
use crate::formats::language::engine::stops::{Heard, Stops};
use crate::formats::language::engine::{Job, Place};
use crate::formats::language::tokens::{Spelling, Tokens};
use crate::metrics::Timed;
use crate::text::{Finish, Likely, Piece, TextEvent};

/// A text, in the queue or in the batch.
pub(super) struct Text {
    pub(super) job: Job,
    /// The prompt, and what came behind it.
    pub(super) tokens: Vec<u32>,
    /// How many of the tokens are in the cache.
    pub(super) read: usize,
    /// Absent while the text has no place in the batch.
    pub(super) cache: Option<Cache>,
    /// The smaller, the older.
    pub(super) number: u64,
    choice: Choice,
    spelling: Spelling,
    stops: Stops,
    has_begun: bool,
    queued: Option<(Timed, Place)>,
    computing: Option<Timed>,
}

// === impl Text ===

impl Text {
    pub(super) fn new(job: Job, place: Place, number: u64) -> Self {
        Self {
            tokens: job.prompt.clone(),
            read: 0,
            cache: None,
            number,
            choice: Choice::new(job.sampling.clone(), &job.prompt),
            spelling: Spelling::behind(&job.prompt),
            stops: Stops::new(job.stop.clone()),
            has_begun: false,
            queued: Some((job.context.queued(), place)),
            computing: None,
            job,
        }
    }

    pub(super) fn is_unwanted(&self) -> bool {
        self.job.context.cancelled.is_cancelled() || self.job.events.is_closed()
    }

    /// Positions that the adapter puts before the text.
    pub(super) fn before(&self) -> usize {
        self.job.adapter.as_ref().map_or(0, |adapter| adapter.positions())
    }

    /// Tokens that are not in the cache yet.
    pub(super) fn unread(&self) -> &[u32] {
        self.tokens.get(self.read..).unwrap_or_default()
    }

    pub(super) fn cache_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, Cache::size_bytes)
    }

    /// It has a place in the batch, and so many tokens were computed for another text.
    pub(super) fn begin(&mut self, cache: Cache, read: usize) {
        (self.cache, self.read) = (Some(cache), read);
        self.queued = None;
        self.computing = Some(self.job.context.computing());
        if !std::mem::replace(&mut self.has_begun, true) {
            self.tell(TextEvent::Begun { prompt_tokens: self.job.prompt.len(), cached_tokens: read });
        }
    }

    /// It loses its place, to be read again.
    pub(super) fn give_way(&mut self) {
        (self.cache, self.read) = (None, 0);
        self.computing = None;
    }

    /// One token more, by these scores. Returns whether that was the last one.
    pub(super) fn go_on(&mut self, scores: &[f32], tokens: &Tokens) -> bool {
        match self.try_go_on(scores, tokens) {
            Ok(is_end) => is_end,
            Err(reason) => {
                self.fail(Error::internal(format!("cannot write the text: {reason}")));
                true
            }
        }
    }

    fn try_go_on(&mut self, scores: &[f32], tokens: &Tokens) -> Result<bool, String> {
        let token = self.choice.choose(scores);
        self.tokens.push(token);
        let is_end = self.job.ends.contains(&token);
        let added = if is_end { String::new() } else { self.spelling.add(tokens, token)? };
        let (text, is_stop) = match self.stops.hear(&added) {
            Heard::Text(text) => (text, false),
            Heard::Stop(text) => (text, true),
        };
        let (logprob, likeliest) = match self.job.logprobs {
            None => (None, Vec::new()),
            Some(count) => {
                let (own, mut likeliest) = logprobs(scores, token, count);
                if !likeliest.iter().any(|(likely, _)| *likely == token) {
                    likeliest.push((token, own));
                }
                let likeliest = likeliest
                    .into_iter()
                    .map(|(token, logprob)| tokens.decode_one(token).map(|text| Likely { token, text, logprob }));
                (Some(own), likeliest.collect::<Result<_, _>>()?)
            }
        };
        self.tell(TextEvent::Token(Piece { token, text, logprob, likeliest }));
        let is_long = self.new_tokens() >= self.job.new_tokens;
        if is_end || is_stop {
            self.end(Finish::Stop, is_stop, tokens)?;
        } else if is_long {
            self.end(Finish::Length, false, tokens)?;
        }
        Ok(is_end || is_stop || is_long)
    }

    /// It ends here, for want of room.
    pub(super) fn cut(&mut self, tokens: &Tokens) {
        if let Err(reason) = self.end(Finish::Length, false, tokens) {
            self.fail(Error::internal(format!("cannot write the text: {reason}")));
        }
    }

    pub(super) fn fail(&self, error: Error) {
        // Who does not listen any more does not want to know.
        let _ = self.job.events.send(Err(error));
    }

    fn new_tokens(&self) -> usize {
        self.tokens.len() - self.job.prompt.len()
    }

    fn end(&mut self, reason: Finish, is_stop: bool, tokens: &Tokens) -> Result<(), String> {
        let mut text = String::new();
        if !is_stop {
            let rest = self.spelling.rest(tokens)?;
            text = match self.stops.hear(&rest) {
                Heard::Text(text) => text + &self.stops.rest(),
                Heard::Stop(text) => text,
            };
        }
        self.tell(TextEvent::Ended { reason, text, new_tokens: self.new_tokens() });
        Ok(())
    }

    fn tell(&self, event: TextEvent) {
        let _ = self.job.events.send(Ok(event));
    }
}
