//! The rules file: labels, and the words that speak for each.
//!
//! ```text
//! # A label, a colon, its words.
//! billing: invoice refund=3 pay*
//! other:
//! ```
//!
//! `refund=3` counts three times, `pay*` is every word that begins so; case does not matter. The one label without
//! words is for texts in which nothing was found.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use modelway::runtime::Bytes;

/// Rules that were read and checked.
#[derive(Debug, PartialEq)]
pub(crate) struct Rules {
    /// In the file's order.
    labels: Vec<Bytes>,
    /// The label of a text in which nothing is found.
    fallback: usize,
    /// Whole words, sorted.
    words: Vec<Word>,
    /// Beginnings of words, sorted.
    prefixes: Vec<Word>,
    /// Bytes of the longest of them.
    longest_prefix: usize,
}

/// A word, and what it says.
#[derive(Debug, PartialEq)]
struct Word {
    text: Box<str>,
    label: usize,
    weight: f32,
}

/// What a text is, and the part of the weight found in it that says so: from 0, nothing was found, to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) label: Bytes,
    pub(crate) score: f32,
}

/// What is wrong with a rules file.
#[derive(Debug, PartialEq)]
pub(crate) struct RulesError {
    /// From 1; none: of the file as a whole.
    line: Option<usize>,
    reason: String,
}

// === impl Rules ===

impl Rules {
    pub(crate) fn parse(text: &str) -> Result<Self, RulesError> {
        let mut rules =
            Self { labels: Vec::new(), fallback: 0, words: Vec::new(), prefixes: Vec::new(), longest_prefix: 0 };
        let mut lines_of_labels: HashMap<&str, usize> = HashMap::new();
        let mut fallback = None;
        for (number, line) in (1..).zip(text.lines()) {
            let fault = |reason: String| RulesError { line: Some(number), reason };
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (label, words) =
                line.split_once(':').ok_or_else(|| fault(format!("expected `label: words`, got '{line}'")))?;
            let label = label.trim();
            if label.is_empty() {
                return Err(fault("expected a label before the colon".to_owned()));
            }
            if let Some(earlier) = lines_of_labels.insert(label, number) {
                return Err(fault(format!("the label '{label}' stands in line {earlier} already")));
            }
            let index = rules.labels.len();
            rules.labels.push(Bytes::copy_from_slice(label.as_bytes()));
            if words.trim().is_empty() {
                if let Some((earlier, _)) = fallback.replace((label, index)) {
                    return Err(fault(format!("one label may have no words, '{earlier}' has none already")));
                }
                rules.fallback = index;
            }
            for word in words.split_whitespace() {
                rules.add(word, index).map_err(fault)?;
            }
        }
        if fallback.is_none() {
            let reason = "expected a label without words, such as `other:`, for texts in which nothing is found";
            return Err(RulesError { line: None, reason: reason.to_owned() });
        }
        rules.finish();
        Ok(rules)
    }

    /// Adds what the file has for a word: `word`, `word=2`, `beginning*`, `beginning*=2`.
    fn add(&mut self, written: &str, label: usize) -> Result<(), String> {
        let (word, weight) = written.split_once('=').unwrap_or((written, "1"));
        let weight: f32 = weight.parse().unwrap_or(f32::NAN);
        if !(weight.is_finite() && weight > 0.0) {
            return Err(format!("expected a weight above 0 behind the `=`, got '{written}'"));
        }
        let (word, is_prefix) = word.strip_suffix('*').map_or((word, false), |word| (word, true));
        if word.is_empty() || !word.chars().all(char::is_alphanumeric) {
            return Err(format!("expected a word of letters and digits, got '{written}'"));
        }
        let word = Word { text: word.to_lowercase().into_boxed_str(), label, weight };
        if is_prefix {
            self.longest_prefix = self.longest_prefix.max(word.text.len());
            self.prefixes.push(word);
        } else {
            self.words.push(word);
        }
        Ok(())
    }

    /// Sorts what is searched, and gives back memory that was for growing.
    fn finish(&mut self) {
        for words in [&mut self.words, &mut self.prefixes] {
            words.sort_by(|a, b| a.text.cmp(&b.text));
            words.shrink_to_fit();
        }
        self.labels.shrink_to_fit();
    }

    /// What this text is. Of labels that are equal, the first of the file.
    pub(crate) fn label(&self, text: &str) -> Verdict {
        let mut weights = vec![0.0; self.labels.len()];
        let mut count = |words: &[Word], text: &str| {
            for word in with_text(words, text) {
                if let Some(weight) = weights.get_mut(word.label) {
                    *weight += word.weight;
                }
            }
        };
        for word in text.to_lowercase().split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty()) {
            count(&self.words, word);
            let ends = word.char_indices().map(|(start, sign)| start + sign.len_utf8());
            for end in ends.take_while(|end| *end <= self.longest_prefix) {
                count(&self.prefixes, word.get(..end).unwrap_or_default());
            }
        }
        let (mut best, mut most) = (self.fallback, 0.0);
        for (label, &weight) in weights.iter().enumerate() {
            if weight > most {
                (best, most) = (label, weight);
            }
        }
        let total: f32 = weights.iter().sum();
        let score = if total > 0.0 { most / total } else { 0.0 };
        Verdict { label: self.labels.get(best).cloned().unwrap_or_default(), score }
    }

    /// Bytes of memory beside the fields.
    pub(crate) fn heap_bytes(&self) -> usize {
        let words = || self.words.iter().chain(&self.prefixes);
        let places = (self.words.capacity() + self.prefixes.capacity()) * size_of::<Word>();
        let labels = self.labels.capacity() * size_of::<Bytes>() + self.labels.iter().map(Bytes::len).sum::<usize>();
        places + labels + words().map(|word| word.text.len()).sum::<usize>()
    }

    pub(crate) fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| str::from_utf8(label).unwrap_or_default())
    }

    /// How many words and beginnings it knows.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len() + self.prefixes.len()
    }
}

/// The entries of sorted words that have this text.
fn with_text<'a>(words: &'a [Word], text: &'a str) -> impl Iterator<Item = &'a Word> {
    let start = words.partition_point(|word| &*word.text < text);
    words.iter().skip(start).take_while(move |word| &*word.text == text)
}

// === impl RulesError ===

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.reason)
    }
}
