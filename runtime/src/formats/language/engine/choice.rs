//! Which token comes next.
//!
//! In this order: penalties, temperature, the likeliest `top_k`, the likeliest that together have `top_p`, one of these
//! by chance. At temperature 0 the best token is taken.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use modelway_kernels::argmax;

use crate::text::Sampling;

/// Tokens that are sorted at first, when it is not known how many `top_p` needs.
const FIRST_SORTED: usize = 1024;

/// Chooses the tokens of one text.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    sampling: Sampling,
    random: Random,
    /// Of tokens that stand in prompt or text, how often they stand in the text. Empty without penalties.
    seen: HashMap<u32, u32>,
}

/// SplitMix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
#[derive(Clone, Debug)]
struct Random(u64);

// === impl Choice ===

impl Choice {
    pub(super) fn new(sampling: Sampling, prompt: &[u32]) -> Self {
        let seed = sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let mut choice = Self { sampling, random: Random(seed), seen: HashMap::new() };
        if choice.has_penalties() {
            choice.seen = prompt.iter().map(|token| (*token, 0)).collect();
        }
        choice
    }

    /// The next token, by the scores of all.
    pub(super) fn choose(&mut self, scores: &[f32]) -> u32 {
        let token = if self.has_penalties() {
            let penalised = self.penalised(scores);
            self.of(&penalised)
        } else {
            self.of(scores)
        };
        if self.has_penalties() {
            *self.seen.entry(token).or_default() += 1;
        }
        token
    }

    fn has_penalties(&self) -> bool {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.sampling;
        repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0
    }

    fn penalised(&self, scores: &[f32]) -> Vec<f32> {
        let mut scores = scores.to_vec();
        for (token, count) in &self.seen {
            let Some(score) = scores.get_mut(*token as usize) else { continue };
            let factor = self.sampling.repetition_penalty;
            *score = if *score > 0.0 { *score / factor } else { *score * factor };
            if *count > 0 {
                *score -= self.sampling.presence_penalty + self.sampling.frequency_penalty * *count as f32;
            }
        }
        scores
    }

    fn of(&mut self, scores: &[f32]) -> u32 {
        if self.sampling.temperature <= 0.0 {
            return best(scores);
        }
        let (top_k, top_p) = (self.sampling.top_k, self.sampling.top_p);
        let mut likely: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
        if top_k > 0 && top_k < likely.len() {
            keep_likeliest(&mut likely, top_k);
        }
        let highest = likely.iter().map(|(_, score)| *score).fold(f32::NEG_INFINITY, f32::max);
        let temperature = self.sampling.temperature;
        for (_, score) in &mut likely {
            *score = ((*score - highest) / temperature).exp();
        }
        if top_p < 1.0 {
            keep_share(&mut likely, top_p);
        }
        let all: f64 = likely.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mut left = self.random.share() * all;
        for (token, weight) in &likely {
            left -= f64::from(*weight);
            if left < 0.0 {
                return *token;
            }
        }
        likely.last().map_or(0, |(token, _)| *token)
    }
}

/// The token of the highest score, the first of several.
fn best(scores: &[f32]) -> u32 {
    argmax(scores).and_then(|token| u32::try_from(token).ok()).unwrap_or(0)
}

/// Higher weights first, tokens of the same weight in order, so that a seed always gives the same text.
fn likelier((token, weight): &(u32, f32), (other, other_weight): &(u32, f32)) -> Ordering {
    other_weight.total_cmp(weight).then(token.cmp(other))
}

/// Keeps so many, sorted.
fn keep_likeliest(likely: &mut Vec<(u32, f32)>, count: usize) {
    if count < likely.len() {
        likely.select_nth_unstable_by(count, likelier);
        likely.truncate(count);
    }
    likely.sort_unstable_by(likelier);
}

/// Keeps as few as have this share of all weights together, one at least.
fn keep_share(likely: &mut Vec<(u32, f32)>, share: f32) {
    let all: f64 = likely.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let wanted = all * f64::from(share);
    let needed = |sorted: &[(u32, f32)]| {
        let mut sum = 0.0;
        sorted.iter().position(|(_, weight)| {
            sum += f64::from(*weight);
            sum >= wanted
        })
    };
    let mut first = likely.clone();
    keep_likeliest(&mut first, FIRST_SORTED);
    if let Some(last) = needed(&first) {
        first.truncate(last + 1);
        *likely = first;
        return;
    }
    likely.sort_unstable_by(likelier);
    if let Some(last) = needed(likely) {
        likely.truncate(last + 1);
    }
}

/// The natural logarithms of the probabilities of one token, and of the likeliest ones.
pub(super) fn logprobs(scores: &[f32], token: u32, likeliest: usize) -> (f32, Vec<(u32, f32)>) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = scores.iter().map(|score| f64::from((score - highest).exp())).sum();
    let all = highest + sum.ln() as f32;
    let mut likely: Vec<(u32, f32)> = Vec::new();
    if likeliest > 0 {
        likely = (0..).zip(scores.iter().map(|score| score - all)).collect();
        keep_likeliest(&mut likely, likeliest);
    }
    (scores.get(token as usize).map_or(f32::NEG_INFINITY, |score| score - all), likely)
}

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, less than 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [f32; 6] = [0.0, 2.0, 1.0, 2.0, -1.0, 0.5];

    #[allow(clippy::needless_pass_by_value)]
    fn shares(sampling: Sampling) -> [f64; 6] {
        let mut counts = [0.0; 6];
        let draws = 20_000;
        let mut choice = Choice::new(Sampling { seed: Some(7), ..sampling }, &[]);
        for _ in 0..draws {
            counts[choice.choose(&SCORES) as usize] += 1.0 / f64::from(draws);
        }
        counts
    }

    fn softmax(scores: [f64; 6]) -> [f64; 6] {
        let sum: f64 = scores.iter().map(|score| score.exp()).sum();
        scores.map(|score| score.exp() / sum)
    }

    fn assert_near(found: [f64; 6], expected: [f64; 6]) {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.015, "{found} {expected}");
        }
    }

    #[test]
    fn without_temperature_the_first_of_the_best_is_taken() {
        assert_eq!(Choice::new(Sampling::default(), &[]).choose(&SCORES), 1);
        assert_eq!(best(&[f32::NAN, 1.0]), 1);
    }

    #[test]
    fn tokens_are_drawn_by_their_probability() {
        let warm = Sampling { temperature: 0.5, ..Sampling::default() };
        assert_near(shares(warm), softmax(SCORES.map(|score| f64::from(score) / 0.5)));
    }

    #[test]
    fn only_the_likeliest_are_drawn_where_so_asked() {
        let even = Sampling { temperature: 1.0, ..Sampling::default() };
        let two = [0.0, 0.5, 0.0, 0.5, 0.0, 0.0];
        assert_near(shares(Sampling { top_k: 2, ..even.clone() }), two);
        assert_near(shares(Sampling { top_p: 0.6, ..even.clone() }), two);
        assert_near(shares(Sampling { top_p: 1e-9, ..even.clone() }), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(shares(Sampling { top_k: 3, ..even })[0], 0.0);
    }

    #[test]
    fn a_seed_gives_the_same_tokens_again() {
        let draw = |seed| {
            let sampling = Sampling { temperature: 1.0, seed: Some(seed), ..Sampling::default() };
            let mut choice = Choice::new(sampling, &[]);
            (0..40).map(|_| choice.choose(&SCORES)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }

    #[test]
    fn penalties_move_what_was_said() {
        let mut presence = Choice::new(Sampling { presence_penalty: 1.5, ..Sampling::default() }, &[1]);
        let said: Vec<u32> = (0..4).map(|_| presence.choose(&SCORES)).collect();
        assert_eq!(said, [1, 3, 2, 1]);
        let mut repetition = Choice::new(Sampling { repetition_penalty: 3.0, ..Sampling::default() }, &[1]);
        assert_eq!(repetition.choose(&SCORES), 3);
        let mut frequency = Choice::new(Sampling { frequency_penalty: 0.4, ..Sampling::default() }, &[]);
        let said: Vec<u32> = (0..6).map(|_| frequency.choose(&SCORES)).collect();
        assert_eq!(said, [1, 3, 1, 3, 1, 3]);
    }

    #[test]
    fn logprobs_are_the_logarithms_of_the_softmax() {
        let (own, likeliest) = logprobs(&SCORES, 2, 3);
        let expected = softmax(SCORES.map(f64::from));
        assert!((f64::from(own).exp() - expected[2]).abs() < 1e-6);
        assert_eq!(likeliest.iter().map(|(token, _)| *token).collect::<Vec<_>>(), [1, 3, 2]);
        assert!((f64::from(likeliest[0].1).exp() - expected[1]).abs() < 1e-6);
    }

    #[test]
    fn as_many_as_needed_are_sorted_for_a_share() {
        let mut likely: Vec<(u32, f32)> = (0..5000).map(|token| (token, 1.0)).collect();
        keep_share(&mut likely, 0.9);
        assert_eq!((likely.len(), likely[0].0, likely[4499].0), (4500, 0, 4499));
    }
}
