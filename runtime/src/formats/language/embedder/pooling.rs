//! From a vector a token to one a text.
//!
//! Source: sentence-transformers, `Pooling`. Several kinds give their vectors side by side, in the order of that class.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::formats::LoadError;

/// How a text's vector is made of its tokens'.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pooling(Vec<Kind>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The first token's.
    First,
    /// The greatest of each value.
    Max,
    Mean,
    /// The sum, divided by the root of the number of tokens.
    MeanBySquareRoot,
    /// The mean, each token weighted by its place.
    WeightedMean,
    /// The last token's.
    Last,
}

/// sentence-transformers' names: of today, and the member that says so in older files.
const KINDS: [(&str, &str, Kind); 6] = [
    ("cls", "pooling_mode_cls_token", Kind::First),
    ("max", "pooling_mode_max_tokens", Kind::Max),
    ("mean", "pooling_mode_mean_tokens", Kind::Mean),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Kind::MeanBySquareRoot),
    ("weightedmean", "pooling_mode_weightedmean_tokens", Kind::WeightedMean),
    ("lasttoken", "pooling_mode_lasttoken", Kind::Last),
];

#[derive(Debug, Deserialize)]
struct Members {
    embedding_dimension: Option<usize>,
    /// What the same was called before.
    word_embedding_dimension: Option<usize>,
    pooling_mode: Option<Names>,
    include_prompt: Option<bool>,
    /// The older members among them.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

// === impl Pooling ===

impl Pooling {
    pub(super) fn mean() -> Self {
        Self(vec![Kind::Mean])
    }

    /// What a module's `config.json` says, for tokens of this width.
    pub(super) fn read(config: Value, width: usize) -> Result<Self, LoadError> {
        let unsupported = |text: String| Err(LoadError::Unsupported(text));
        let members: Members = crate::formats::language::config::members(config)?;
        if let Some(stated) =
            members.embedding_dimension.or(members.word_embedding_dimension).filter(|stated| *stated != width)
        {
            let text = format!("embedding_dimension: expected {width}, which is the model's hidden_size, got {stated}");
            return Err(LoadError::Malformed(text));
        }
        if members.include_prompt == Some(false) {
            return unsupported("include_prompt: expected true: prompts are a part of the text here".to_owned());
        }
        let known = |name: &str| KINDS.iter().find(|(own, ..)| *own == name).map(|(.., kind)| *kind);
        let kinds: Vec<Kind> = match members.pooling_mode {
            Some(names) => {
                let names = match names {
                    Names::One(name) => vec![name],
                    Names::Several(names) => names,
                };
                if let Some(name) = names.iter().find(|name| known(name).is_none()) {
                    let all = KINDS.map(|(name, ..)| name).join(", ");
                    return unsupported(format!("pooling_mode: expected one of {all}, got '{name}'"));
                }
                names.iter().filter_map(|name| known(name)).collect()
            }
            None => {
                let is_set = |(name, value): &(&String, &Value)| name.starts_with("pooling_mode_") && **value == true;
                let set: Vec<&str> = members.others.iter().filter(is_set).map(|(name, _)| name.as_str()).collect();
                if let Some(name) = set.iter().find(|name| !KINDS.iter().any(|(_, older, _)| older == *name)) {
                    let all = KINDS.map(|(_, older, _)| older).join(", ");
                    return unsupported(format!("'{name}' is no pooling that is known here, expected {all}"));
                }
                KINDS.iter().filter(|(_, older, _)| set.contains(older)).map(|(.., kind)| *kind).collect()
            }
        };
        Ok(if kinds.is_empty() { Self::mean() } else { Self(kinds) })
    }

    /// Values of a text's vector, for tokens of this width.
    pub(super) fn width(&self, width: usize) -> usize {
        self.0.len() * width
    }

    /// The vector of a text whose tokens' these are, each of this width. There is at least one.
    pub(super) fn apply(&self, tokens: &[f32], width: usize, vector: &mut Vec<f32>) {
        for kind in &self.0 {
            kind.apply(tokens, width, vector);
        }
    }
}

// === impl Kind ===

impl Kind {
    fn apply(self, tokens: &[f32], width: usize, vector: &mut Vec<f32>) {
        let mut rows = tokens.chunks_exact(width);
        let count = rows.len() as f64;
        match self {
            Self::First => vector.extend_from_slice(rows.next().unwrap_or_default()),
            Self::Last => vector.extend_from_slice(rows.next_back().unwrap_or_default()),
            Self::Max => {
                let mut greatest = vec![f32::NEG_INFINITY; width];
                for row in rows {
                    for (greatest, value) in greatest.iter_mut().zip(row) {
                        *greatest = greatest.max(*value);
                    }
                }
                vector.extend(greatest);
            }
            Self::Mean => sum(tokens, width, |_| 1.0, count, vector),
            Self::MeanBySquareRoot => sum(tokens, width, |_| 1.0, count.sqrt(), vector),
            Self::WeightedMean => {
                let weight = |place: usize| (place + 1) as f64;
                sum(tokens, width, weight, count * (count + 1.0) / 2.0, vector);
            }
        }
    }
}

/// The weighted sum of the tokens, divided. Long texts would lose digits in f32.
fn sum(tokens: &[f32], width: usize, weight: impl Fn(usize) -> f64, divisor: f64, vector: &mut Vec<f32>) {
    let mut sums = vec![0.0; width];
    for (place, row) in tokens.chunks_exact(width).enumerate() {
        let weight = weight(place);
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += weight * f64::from(*value);
        }
    }
    vector.extend(sums.into_iter().map(|sum| (sum / divisor) as f32));
}
