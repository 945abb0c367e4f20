//! What a generate request asks for.
//!
//! Triton leaves its members to the backends. These are those of its vLLM and TensorRT-LLM backends, in `parameters` or
//! beside it.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::text::{Prompt, Sampling, TextRequest};

/// A request, read.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) request: TextRequest,
    /// What the answer begins with: the prompt, if that is wanted.
    pub(super) prefix: String,
    /// Each token by itself, where the answer is of events.
    pub(super) is_in_parts: bool,
    pub(super) extras: Extras,
}

/// What the answer has besides the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Extras {
    pub(super) finish_reason: bool,
    pub(super) input_tokens: bool,
    pub(super) output_tokens: bool,
}

#[derive(Debug, Deserialize)]
struct Members {
    #[serde(alias = "max_new_tokens")]
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    #[serde(alias = "random_seed")]
    seed: Option<i64>,
    stop: Option<Stop>,
    stop_words: Option<Stop>,
    repetition_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    ignore_eos: Option<bool>,
    stream: Option<bool>,
    exclude_input_in_output: Option<bool>,
    return_finish_reason: Option<bool>,
    return_num_input_tokens: Option<bool>,
    return_num_output_tokens: Option<bool>,
}

/// TensorRT-LLM has a `stop` that is true or false.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Stop {
    Flag(bool),
    One(String),
    Many(Vec<String>),
}

/// Stop texts: each is looked for behind every token.
const MOST_STOPS: usize = 64;

/// What its backends have and this server has not: refused where it says something.
const UNSUPPORTED: [&str; 12] = [
    "bad_words",
    "beam_width",
    "best_of",
    "embedding_bias_words",
    "logit_bias",
    "min_length",
    "min_p",
    "min_tokens",
    "n",
    "return_log_probs",
    "stop_token_ids",
    "use_beam_search",
];

// === impl Asked ===

impl Asked {
    pub(super) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut top: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| Error::invalid(format!("malformed JSON: {error}")))?;
        let prompt = prompt(&mut top)?;
        let id = match top.remove("id") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id),
            Some(other) => Some(other.to_string()),
        };
        let mut members = match top.remove("parameters") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(parameters)) => parameters,
            Some(_) => return Err(Error::invalid("'parameters' is not an object, expected {\"max_tokens\": 16, …}")),
        };
        // The vLLM backend's older way: JSON in a text.
        if let Some(Value::String(text)) = top.remove("sampling_parameters") {
            let more: Map<String, Value> = serde_json::from_str(&text)
                .map_err(|error| Error::invalid(format!("'sampling_parameters' is not an object of JSON: {error}")))?;
            top.extend(more);
        }
        for (name, value) in top {
            members.entry(name).or_insert(value);
        }
        if let Some(name) =
            UNSUPPORTED.into_iter().find(|name| members.get(*name).is_some_and(|value| says_more(name, value)))
        {
            return Err(Error::invalid(format!("'{name}' is not supported by this server, leave it out")));
        }
        let members: Members = serde_path_to_error::deserialize(Value::Object(members))
            .map_err(|error| Error::invalid(format!("'{}': {}", error.path(), error.inner())))?;
        members.asked(id, prompt)
    }
}

/// A text, or a list of one: Triton's clients write tensors so.
fn prompt(top: &mut Map<String, Value>) -> Result<String, Error> {
    match top.remove("text_input") {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(mut texts)) if texts.len() == 1 => match texts.pop() {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Error::invalid("'text_input' is a list of something else than a text, expected a text")),
        },
        Some(Value::Array(texts)) => {
            Err(Error::invalid(format!("'text_input' is a list of {}, expected one text a request", texts.len())))
        }
        Some(_) => Err(Error::invalid("'text_input' is not a text")),
        None if top.contains_key("inputs") => {
            Err(Error::invalid("the request has tensors ('inputs'), which go to …/infer; generate takes 'text_input'"))
        }
        None => Err(Error::invalid("the request has no 'text_input'")),
    }
}

/// Whether the member asks for anything but what is done without it.
fn says_more(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => {
            let usual = if matches!(name, "n" | "best_of" | "beam_width") { 1.0 } else { 0.0 };
            // One token at least is made in any case.
            let harmless = if matches!(name, "min_length" | "min_tokens") { 1.0 } else { usual };
            number.as_f64().is_none_or(|number| number > harmless)
        }
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => values.iter().any(|value| says_more(name, value)),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) => true,
    }
}

fn stop(stop: Option<Stop>, words: Option<Stop>) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for more in [stop, words].into_iter().flatten() {
        texts.extend(more.texts()?);
    }
    if texts.len() > MOST_STOPS {
        return Err(Error::invalid(format!("'stop' has {} texts, expected at most {MOST_STOPS}", texts.len())));
    }
    Ok(texts)
}

// === impl Members ===

impl Members {
    fn asked(self, id: Option<String>, prompt: String) -> Result<Asked, Error> {
        let prefix = if self.exclude_input_in_output == Some(false) { prompt.clone() } else { String::new() };
        let extras = Extras {
            finish_reason: self.return_finish_reason == Some(true),
            input_tokens: self.return_num_input_tokens == Some(true),
            output_tokens: self.return_num_output_tokens == Some(true),
        };
        let request = TextRequest {
            sampling: self.sampling()?,
            max_new_tokens: match self.max_tokens {
                Some(0) => return Err(Error::invalid("'max_tokens' is 0, expected at least 1")),
                most => most,
            },
            stop: stop(self.stop, self.stop_words)?,
            ignore_end: self.ignore_eos == Some(true),
            ..TextRequest::new(Prompt::Text(prompt))
        };
        Ok(Asked { id, request, prefix, is_in_parts: self.stream != Some(false), extras })
    }

    fn sampling(&self) -> Result<Sampling, Error> {
        let usual = Sampling::default();
        // Who limits the choice wants one.
        let is_drawn = self.top_p.is_some_and(|share| share > 0.0) || self.top_k.is_some_and(|count| count > 1);
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(if is_drawn { 1.0 } else { usual.temperature }),
            // TensorRT-LLM's 0 is none.
            top_p: self.top_p.filter(|share| *share > 0.0).unwrap_or(usual.top_p),
            top_k: self.top_k.and_then(|count| usize::try_from(count).ok()).unwrap_or(usual.top_k),
            seed: self.seed.map(i64::cast_unsigned),
            repetition_penalty: self.repetition_penalty.unwrap_or(usual.repetition_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(usual.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(usual.frequency_penalty),
        };
        sampling
            .check()
            .map_err(|(name, expected)| Error::invalid(format!("'{name}' is out of range, expected {expected}")))?;
        Ok(sampling)
    }
}

// === impl Stop ===

impl Stop {
    /// Empty ones are how Triton's clients leave it out.
    fn texts(self) -> Result<Vec<String>, Error> {
        let mut texts = match self {
            Self::Flag(false) => Vec::new(),
            Self::Flag(true) => {
                return Err(Error::invalid("'stop' is true, a request is stopped by closing its connection"));
            }
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        };
        texts.retain(|text| !text.is_empty());
        Ok(texts)
    }
}

// === impl Extras ===

impl Extras {
    pub(super) fn any(self) -> bool {
        self.finish_reason || self.input_tokens || self.output_tokens
    }
}
