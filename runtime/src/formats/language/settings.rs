//! How a language model is asked, and how much it may take: settings of a model, and of the server for all.
//!
//! A model's own stand in `model-settings.json`, in `parameters.extra`; those of the server are the environment's, by
//! the names of ModelMesh's example.

use modelway_kernels::Precision;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::weights::Kept;

/// The environment's names.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("PRETRAINED_MODEL_PATH", "pretrained_model_path"),
    ("PEFT_MODEL_ID", "peft_model_id"),
    ("DATASET_TEXT_COLUMN_NAME", "dataset_text_column_name"),
];

/// What can be set. Each is absent where nobody said it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct Settings {
    /// The base: a folder, a model beside this one, or a name on the hub.
    #[serde(alias = "pretrained_model")]
    pub(super) pretrained_model_path: Option<String>,
    /// The adapter, by the same.
    pub(super) peft_model_id: Option<String>,
    /// Fills `{column}` of the template; without a template that of the example is meant.
    pub(super) dataset_text_column_name: Option<String>,
    /// What is made of each text, with `{text}` and `{column}` in it.
    pub(super) template: Option<String>,
    /// The name of the input tensor.
    pub(super) input: Option<String>,
    /// The name of the output tensor.
    pub(super) output: Option<String>,
    /// New tokens of a text that is asked for as a tensor.
    pub(super) max_new_tokens: Option<usize>,
    /// Tokens that end a text.
    pub(super) eos_token_id: Option<Tokens>,
    /// Whether an answer has the prompt before the new text.
    pub(super) return_full_text: Option<bool>,
    /// Positions of a text, its prompt and an adapter's virtual tokens among them.
    pub(super) context_length: Option<usize>,
    /// How weights are kept.
    pub(super) weights: Option<Weights>,
    /// Bytes of the keys and values of all texts together.
    pub(super) cache_bytes: Option<usize>,
    /// Texts that are computed together.
    pub(super) max_batch: Option<usize>,
    /// New positions in one step.
    pub(super) max_step_tokens: Option<usize>,
    /// Texts that may wait.
    pub(super) max_queue: Option<usize>,
    /// Whether a text that is too long for a vector is cut, where a request does not say.
    pub(super) truncate: Option<bool>,
    /// How many values vectors may be cut to.
    pub(super) matryoshka_dimensions: Option<Vec<usize>>,
}

/// One token or several.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Tokens {
    One(u32),
    Several(Vec<u32>),
}

/// How weights are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Weights {
    /// As the file has them.
    #[default]
    Auto,
    F32,
    F16,
    Bf16,
    Int8,
}

// === impl Settings ===

impl Settings {
    /// What the environment says.
    pub(super) fn of_environment() -> Self {
        let said = |(variable, member): (&str, &str)| {
            let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
            Some((member.to_owned(), Value::String(value)))
        };
        Self::of(&ENVIRONMENT.into_iter().filter_map(said).collect()).unwrap_or_default()
    }

    /// What a model's own settings say.
    pub(super) fn of(members: &Map<String, Value>) -> Result<Self, String> {
        serde_json::from_value(Value::Object(members.clone())).map_err(|error| format!("parameters.extra: {error}"))
    }

    /// These, and what they leave open by the others.
    pub(super) fn or(self, others: &Self) -> Self {
        let others = others.clone();
        Self {
            pretrained_model_path: self.pretrained_model_path.or(others.pretrained_model_path),
            peft_model_id: self.peft_model_id.or(others.peft_model_id),
            dataset_text_column_name: self.dataset_text_column_name.or(others.dataset_text_column_name),
            template: self.template.or(others.template),
            input: self.input.or(others.input),
            output: self.output.or(others.output),
            max_new_tokens: self.max_new_tokens.or(others.max_new_tokens),
            eos_token_id: self.eos_token_id.or(others.eos_token_id),
            return_full_text: self.return_full_text.or(others.return_full_text),
            context_length: self.context_length.or(others.context_length),
            weights: self.weights.or(others.weights),
            cache_bytes: self.cache_bytes.or(others.cache_bytes),
            max_batch: self.max_batch.or(others.max_batch),
            max_step_tokens: self.max_step_tokens.or(others.max_step_tokens),
            max_queue: self.max_queue.or(others.max_queue),
            truncate: self.truncate.or(others.truncate),
            matryoshka_dimensions: self.matryoshka_dimensions.or(others.matryoshka_dimensions),
        }
    }

    pub(super) fn input(&self) -> &str {
        self.input.as_deref().unwrap_or("content")
    }

    pub(super) fn output(&self) -> &str {
        self.output.as_deref().unwrap_or("output-0")
    }

    /// What the model reads of a text.
    pub(super) fn prompt(&self, text: &str) -> String {
        let column = self.dataset_text_column_name.as_deref();
        match (self.template.as_deref(), column) {
            (Some(template), column) => {
                template.replace("{column}", column.unwrap_or_default()).replace("{text}", text)
            }
            (None, Some(column)) => format!("{column} : {text} Label : "),
            (None, None) => text.to_owned(),
        }
    }

    /// Whether the conventions of the example hold: a column of a dataset, whose texts were padded in training.
    pub(super) fn is_of_a_dataset(&self) -> bool {
        self.dataset_text_column_name.is_some()
    }
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn all(&self) -> Vec<u32> {
        match self {
            Self::One(token) => vec![*token],
            Self::Several(tokens) => tokens.clone(),
        }
    }
}

// === impl Weights ===

impl Weights {
    /// Bits a weight in memory, of a file of so many.
    pub(super) fn bits_of(self, stored: f64) -> f64 {
        match self {
            // Blocks of few bits are kept in 8, and all of 8 have scales.
            Self::Auto if stored >= 16.0 => stored,
            Self::Auto | Self::Int8 => 8.5,
            Self::F16 | Self::Bf16 => 16.0,
            Self::F32 => 32.0,
        }
    }

    pub(super) fn kept(self) -> Kept {
        match self {
            Self::Auto => Kept::AsStored,
            Self::F32 => Kept::As(Precision::F32),
            Self::F16 => Kept::As(Precision::F16),
            Self::Bf16 => Kept::As(Precision::Bf16),
            Self::Int8 => Kept::As(Precision::Int8),
        }
    }
}
