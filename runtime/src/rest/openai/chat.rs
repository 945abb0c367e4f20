//! `POST chat/completions`: the next message of a conversation.
//!
//! `tools` go to the model's chat template, and the message comes back as the model wrote it: calls of tools are not
//! taken out of it.

mod messages;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::logprobs::OfChat;
use super::members::{self, MOST_LOGPROBS};
use super::problem::Problem;
use super::{Asked, Dialect};
use crate::text::{Finish, Piece, Prompt};

/// How the answer is written.
pub(super) struct Chat {
    logprobs: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct Members {
    messages: Option<Vec<Map<String, Value>>>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    modalities: Option<Vec<String>>,
    /// vLLM's three: variables of the template.
    chat_template_kwargs: Option<Map<String, Value>>,
    documents: Option<Vec<Value>>,
    add_generation_prompt: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Choice {
    index: usize,
    message: Message,
    logprobs: Option<OfChat>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message {
    role: &'static str,
    content: String,
    refusal: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Part {
    index: usize,
    delta: Delta,
    logprobs: Option<OfChat>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

const ROLE: &str = "assistant";

// === impl Chat ===

impl Dialect for Chat {
    const ID: &'static str = "chatcmpl";
    const WHOLE: &'static str = "chat.completion";
    const PART: &'static str = "chat.completion.chunk";

    type Choice = Choice;
    type Part = Part;

    fn read(body: &[u8]) -> Result<Asked<Self>, Problem> {
        let common = members::read_common(body)?;
        let members: Members = members::read(body)?;
        let logprobs = members.logprobs()?;
        let max_tokens = members.max_tokens()?;
        let prompt = members.prompt()?;
        let (model, stream, of_a_prompt) = (common.model.clone(), common.stream()?, common.choices()?);
        let requests = common.requests(vec![prompt], max_tokens, logprobs)?;
        Ok(Asked { model, requests, of_a_prompt, stream, dialect: Self { logprobs } })
    }

    fn choice(&self, index: usize, text: String, pieces: &[Piece], reason: Finish) -> Choice {
        Choice {
            index,
            message: Message { role: ROLE, content: text, refusal: None },
            logprobs: self.logprobs.map(|asked| OfChat::new(pieces, asked)),
            finish_reason: reason.as_str(),
        }
    }

    fn keeps_pieces(&self) -> bool {
        self.logprobs.is_some()
    }

    fn begun(&mut self, index: usize) -> Option<Part> {
        let delta = Delta { role: Some(ROLE), content: Some(String::new()) };
        Some(Part { index, delta, logprobs: None, finish_reason: None })
    }

    fn token(&mut self, index: usize, piece: Piece) -> Option<Part> {
        let logprobs = self.logprobs.map(|asked| OfChat::new(std::slice::from_ref(&piece), asked));
        if piece.text.is_empty() && logprobs.is_none() {
            return None;
        }
        let delta = Delta { role: None, content: Some(piece.text) };
        Some(Part { index, delta, logprobs, finish_reason: None })
    }

    fn ended(&mut self, index: usize, text: String, reason: Finish) -> Part {
        let delta = Delta { role: None, content: Some(text).filter(|text| !text.is_empty()) };
        Part { index, delta, logprobs: None, finish_reason: Some(reason.as_str()) }
    }
}

// === impl Members ===

impl Members {
    fn logprobs(&self) -> Result<Option<usize>, Problem> {
        match (self.logprobs == Some(true), self.top_logprobs.unwrap_or(0)) {
            (_, count) if count > MOST_LOGPROBS => {
                Err(Problem::invalid("top_logprobs", &format!("is {count}, expected at most {MOST_LOGPROBS}")))
            }
            (true, count) => Ok(Some(count)),
            (false, 0) => Ok(None),
            (false, _) => Err(Problem::invalid("top_logprobs", "is for \"logprobs\": true only")),
        }
    }

    fn max_tokens(&self) -> Result<Option<usize>, Problem> {
        let (name, most) = match self.max_completion_tokens {
            None => ("max_tokens", self.max_tokens),
            most => ("max_completion_tokens", most),
        };
        if most == Some(0) {
            return Err(Problem::invalid(name, "is 0, expected at least 1"));
        }
        Ok(most)
    }

    fn prompt(self) -> Result<Prompt, Problem> {
        let is_text = |modalities: &Vec<String>| modalities.iter().all(|modality| modality == "text");
        if !self.modalities.as_ref().is_none_or(is_text) {
            return Err(Problem::invalid("modalities", "has more than \"text\", which this server does not make"));
        }
        let has_tools = match &self.tool_choice {
            None | Some(Value::Null) => true,
            Some(Value::String(choice)) if choice == "auto" => true,
            Some(Value::String(choice)) if choice == "none" => false,
            Some(_) => {
                let text = "is not supported by this server but as \"auto\" or \"none\": a call cannot be promised";
                return Err(Problem::invalid("tool_choice", text));
            }
        };
        let messages = messages::read(self.messages.unwrap_or_default())?;
        let mut variables = self.chat_template_kwargs.unwrap_or_default();
        if let Some(tools) = self.tools.filter(|tools| has_tools && !tools.is_empty()) {
            variables.insert("tools".to_owned(), Value::Array(tools));
        }
        if let Some(documents) = self.documents {
            variables.insert("documents".to_owned(), Value::Array(documents));
        }
        if let Some(is_wanted) = self.add_generation_prompt {
            variables.insert("add_generation_prompt".to_owned(), Value::Bool(is_wanted));
        }
        Ok(Prompt::Chat { messages, variables })
    }
}
