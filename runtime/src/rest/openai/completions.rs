//! `POST completions`: texts that go on from prompts.

use serde::{Deserialize, Serialize};

use super::logprobs::OfCompletion;
use super::members::{self, MOST_LOGPROBS, Prompts};
use super::problem::Problem;
use super::{Asked, Dialect};
use crate::text::{Finish, Piece, Prompt};

/// OpenAI's, where the request says none.
const USUAL_TOKENS: usize = 16;

/// How the answer is written.
pub(super) struct Completions {
    /// The prompts, where the texts begin with them.
    echo: Vec<String>,
    of_a_prompt: usize,
    logprobs: Option<usize>,
    /// Characters of each choice so far.
    offsets: Vec<usize>,
}

#[derive(Debug, Deserialize)]
struct Members {
    prompt: Option<Prompts>,
    max_tokens: Option<usize>,
    best_of: Option<usize>,
    echo: Option<bool>,
    logprobs: Option<usize>,
}

/// A choice, or a part of it.
#[derive(Serialize)]
pub(super) struct Choice {
    index: usize,
    text: String,
    logprobs: Option<OfCompletion>,
    finish_reason: Option<&'static str>,
}

// === impl Completions ===

impl Completions {
    fn prompt(&self, index: usize) -> Option<&String> {
        self.echo.get(index / self.of_a_prompt)
    }
}

impl Dialect for Completions {
    const ID: &'static str = "cmpl";
    const WHOLE: &'static str = "text_completion";
    const PART: &'static str = "text_completion";

    type Choice = Choice;
    type Part = Choice;

    fn read(body: &[u8]) -> Result<Asked<Self>, Problem> {
        let common = members::read_common(body)?;
        let members: Members = members::read(body)?;
        let prompts = members.prompts()?;
        let logprobs = members.logprobs()?;
        let max_tokens = match members.max_tokens.unwrap_or(USUAL_TOKENS) {
            0 => return Err(Problem::invalid("max_tokens", "is 0, expected at least 1")),
            most => most,
        };
        let of_a_prompt = common.choices()?;
        if members.best_of.is_some_and(|best_of| best_of != of_a_prompt) {
            return Err(Problem::invalid("best_of", "is not supported by this server but as the value of 'n'"));
        }
        let echo = if members.echo == Some(true) { echo(&prompts, logprobs)? } else { Vec::new() };
        let (model, stream) = (common.model.clone(), common.stream()?);
        let requests = common.requests(prompts, Some(max_tokens), logprobs)?;
        let dialect = Self { echo, of_a_prompt, logprobs, offsets: vec![0; requests.len()] };
        Ok(Asked { model, requests, of_a_prompt, stream, dialect })
    }

    fn choice(&self, index: usize, text: String, pieces: &[Piece], reason: Finish) -> Choice {
        let text = match self.prompt(index) {
            Some(prompt) => format!("{prompt}{text}"),
            None => text,
        };
        let logprobs = self.logprobs.map(|asked| OfCompletion::new(pieces, asked, &mut 0));
        Choice { index, text, logprobs, finish_reason: Some(reason.as_str()) }
    }

    fn keeps_pieces(&self) -> bool {
        self.logprobs.is_some()
    }

    fn begun(&mut self, index: usize) -> Option<Choice> {
        let text = self.prompt(index)?.clone();
        Some(Choice { index, text, logprobs: None, finish_reason: None })
    }

    fn token(&mut self, index: usize, piece: Piece) -> Option<Choice> {
        let logprobs = match (self.logprobs, self.offsets.get_mut(index)) {
            (Some(asked), Some(offset)) => Some(OfCompletion::new(std::slice::from_ref(&piece), asked, offset)),
            _ => None,
        };
        if piece.text.is_empty() && logprobs.is_none() {
            return None;
        }
        Some(Choice { index, text: piece.text, logprobs, finish_reason: None })
    }

    fn ended(&mut self, index: usize, text: String, reason: Finish) -> Choice {
        Choice { index, text, logprobs: None, finish_reason: Some(reason.as_str()) }
    }
}

/// The prompts as the texts begin with them.
fn echo(prompts: &[Prompt], logprobs: Option<usize>) -> Result<Vec<String>, Problem> {
    if logprobs.is_some() {
        let text = "is not supported with 'logprobs' by this server: the tokens of a prompt have none here";
        return Err(Problem::invalid("echo", text));
    }
    let texts = prompts.iter().map(|prompt| match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        _ => Err(Problem::invalid("echo", "is not supported for a prompt of tokens by this server")),
    });
    texts.collect()
}

// === impl Members ===

impl Members {
    fn prompts(&self) -> Result<Vec<Prompt>, Problem> {
        match &self.prompt {
            None => Err(Problem::invalid("prompt", "is missing")),
            Some(prompts) => prompts.clone().prompts("prompt"),
        }
    }

    fn logprobs(&self) -> Result<Option<usize>, Problem> {
        match self.logprobs {
            Some(count) if count > MOST_LOGPROBS => {
                Err(Problem::invalid("logprobs", &format!("is {count}, expected at most {MOST_LOGPROBS}")))
            }
            logprobs => Ok(logprobs),
        }
    }
}
