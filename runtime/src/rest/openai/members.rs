//! The members that both kinds of completion have.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::unsupported::Unsupported;
use crate::error::Error;
use crate::text::{Prompt, Sampling, TextRequest};

/// Choices of a prompt: OpenAI's limit.
const MOST_CHOICES: usize = 128;

/// Choices of a request with many prompts.
const MOST_TEXTS: usize = 4096;

/// Stop texts: each is looked for behind every token.
const MOST_STOPS: usize = 64;

/// Likeliest tokens that may be asked for: OpenAI's limit for chats, vLLM's for both.
pub(super) const MOST_LOGPROBS: usize = 20;

/// What both have. `top_k`, `repetition_penalty` and `ignore_eos` are vLLM's.
#[derive(Debug, Deserialize)]
pub(super) struct Common {
    pub(super) model: Option<String>,
    n: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    seed: Option<i64>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    ignore_eos: Option<bool>,
    stop: Option<Stop>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// Texts, of completions and of embeddings.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a list of texts, a list of tokens or a list of lists of tokens")]
pub(super) enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ListsOfTokens(Vec<Vec<u32>>),
}

/// Of an answer in parts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    /// A last part has the usage of the whole.
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) include_usage: bool,
    /// Every part has the usage of its choice so far: vLLM's.
    #[serde(default, deserialize_with = "null_is_false")]
    pub(super) continuous_usage_stats: bool,
}

fn null_is_false<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(false))
}

/// The members of a body that this type knows.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let members = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() && path != "." {
            return Problem::invalid(path, &error.to_string());
        }
        Error::invalid(format!("malformed JSON: {error}")).into()
    })?;
    json.end().map_err(|error| Error::invalid(format!("malformed JSON: {error}")))?;
    Ok(members)
}

/// The common members of a body, when it asks for nothing that is not served.
pub(super) fn read_common(body: &[u8]) -> Result<Common, Problem> {
    let common: Common = read(body)?;
    read::<Unsupported>(body)?.check()?;
    Ok(common)
}

// === impl Common ===

impl Common {
    /// Choices of each prompt.
    pub(super) fn choices(&self) -> Result<usize, Problem> {
        match self.n.unwrap_or(1) {
            0 => Err(Problem::invalid("n", "is 0, expected at least 1")),
            n if n > MOST_CHOICES => Err(Problem::invalid("n", &format!("is {n}, expected at most {MOST_CHOICES}"))),
            n => Ok(n),
        }
    }

    /// The options, if the answer is to come in parts.
    pub(super) fn stream(&self) -> Result<Option<StreamOptions>, Problem> {
        match (self.stream == Some(true), self.stream_options) {
            (true, options) => Ok(Some(options.unwrap_or_default())),
            (false, None) => Ok(None),
            (false, Some(_)) => Err(Problem::invalid("stream_options", "is for \"stream\": true only")),
        }
    }

    /// A request for each choice of each prompt.
    pub(super) fn requests(
        self,
        prompts: Vec<Prompt>,
        max_new_tokens: Option<usize>,
        logprobs: Option<usize>,
    ) -> Result<Vec<TextRequest>, Problem> {
        let choices = self.choices()?;
        let count = prompts.len().saturating_mul(choices);
        if count > MOST_TEXTS {
            let text = format!("asks for {count} texts, expected at most {MOST_TEXTS} a request");
            return Err(Problem::invalid("prompt", &text));
        }
        let sampling = self.sampling()?;
        let ignore_end = self.ignore_eos == Some(true);
        let stop = self.stop.map_or(Ok(Vec::new()), Stop::texts)?;
        let mut requests = Vec::with_capacity(count);
        for prompt in prompts {
            for choice in 0..choices {
                // With the same seed all choices would be the same.
                let seed = sampling.seed.map(|seed| seed.wrapping_add(choice as u64));
                requests.push(TextRequest {
                    prompt: prompt.clone(),
                    sampling: Sampling { seed, ..sampling.clone() },
                    max_new_tokens,
                    stop: stop.clone(),
                    ignore_end,
                    logprobs,
                });
            }
        }
        Ok(requests)
    }

    fn sampling(&self) -> Result<Sampling, Problem> {
        let usual = Sampling::default();
        let is_greedy = self.top_p == Some(0.0);
        let sampling = Sampling {
            temperature: if is_greedy { 0.0 } else { self.temperature.unwrap_or(1.0) },
            top_p: if is_greedy { 1.0 } else { self.top_p.unwrap_or(usual.top_p) },
            top_k: match self.top_k {
                // vLLM's word for all is -1.
                None | Some(-1) => usual.top_k,
                Some(count) => usize::try_from(count).map_err(|_| {
                    Problem::invalid("top_k", &format!("is {count}, expected 1 or more, or -1 for all"))
                })?,
            },
            seed: self.seed.map(i64::cast_unsigned),
            repetition_penalty: self.repetition_penalty.unwrap_or(usual.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(usual.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(usual.frequency_penalty),
        };
        sampling
            .check()
            .map_err(|(name, expected)| Problem::invalid(name, &format!("is out of range, expected {expected}")))?;
        Ok(sampling)
    }
}

// === impl Prompts ===

impl Prompts {
    /// Each by itself; `member` is what the request calls them.
    pub(super) fn prompts(self, member: &'static str) -> Result<Vec<Prompt>, Problem> {
        let prompts: Vec<Prompt> = match self {
            Self::Text(text) => vec![Prompt::Text(text)],
            Self::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
            Self::Tokens(tokens) => vec![Prompt::Tokens(tokens)],
            Self::ListsOfTokens(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
        };
        // An empty list is read as one of texts.
        if prompts.is_empty()
            || prompts.iter().any(|prompt| matches!(prompt, Prompt::Tokens(tokens) if tokens.is_empty()))
        {
            return Err(Problem::invalid(member, "is an empty list, expected a text or tokens"));
        }
        Ok(prompts)
    }
}

// === impl Stop ===

impl Stop {
    fn texts(self) -> Result<Vec<String>, Problem> {
        let texts = match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        };
        if texts.iter().any(String::is_empty) {
            return Err(Problem::invalid("stop", "has an empty text, behind which nothing could come"));
        }
        if texts.len() > MOST_STOPS {
            return Err(Problem::invalid("stop", &format!("has {} texts, expected at most {MOST_STOPS}", texts.len())));
        }
        Ok(texts)
    }
}
