//! `POST embeddings`: a vector for each text.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::find;
use super::members::{self, Prompts};
use super::problem::Problem;
use crate::embedding::{EmbeddingInput, EmbeddingRequest, Embeddings, MOST_TEXTS};
use crate::error::Error;
use crate::residency::Loaded;
use crate::rest::{Rest, body, json_response, labelled, offload};
use crate::routing::Routing;
use crate::text::Prompt;
use crate::traces::Trace;

/// What a value takes in JSON, about.
const BYTES_OF_A_VALUE: usize = 12;

/// OpenAI's members; `truncate`, `normalize` and `prompt_name` are those of Hugging Face's text-embeddings-inference.
#[derive(Debug, Deserialize)]
struct Members {
    model: Option<String>,
    input: Option<Prompts>,
    encoding_format: Option<Encoding>,
    dimensions: Option<usize>,
    truncate: Option<bool>,
    normalize: Option<bool>,
    prompt_name: Option<String>,
    /// vLLM's: -1 cuts at what the model takes.
    truncate_prompt_tokens: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    #[default]
    Float,
    /// Of the values as little-endian 32-bit floats: what OpenAI's own client asks for.
    Base64,
}

/// A request, read.
struct Asked {
    /// As the client calls it.
    model: Option<String>,
    request: EmbeddingRequest,
    encoding: Encoding,
}

#[derive(Serialize)]
struct Answer<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Floats(&'a [f32]),
    Base64(String),
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

pub(super) async fn respond(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    // Filled once the model is known: also a failure says which model it is of.
    let mut served = None;
    let response = match answer(&rest, request, &mut served).await {
        Ok(response) => response,
        Err(problem) => problem.response(),
    };
    labelled(response, served.as_deref())
}

async fn answer(rest: &Rest, request: Request, served: &mut Option<Arc<Loaded>>) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let routing = Routing::from_headers(&parts.headers)?;
    let body = body::read(&parts.headers, body, rest.body_limit).await?;
    let asked = offload::run(body.len(), move || Ok(Asked::read(&body))).await??;

    let called = asked.model.unwrap_or_default();
    let trace = Trace::of(&parts.extensions);
    let loaded = find(rest, &parts.headers, &routing, &called, &trace).await?;
    *served = Some(loaded.clone());

    let embeddings = rest.serving.embed(&loaded, asked.request, trace).await?;
    let model = routing.name_in_answer(&called).to_owned();
    let bytes = embeddings.values.len() * BYTES_OF_A_VALUE;
    Ok(json_response(offload::run(bytes, move || write(&embeddings, asked.encoding, &model)).await?))
}

fn write(embeddings: &Embeddings, encoding: Encoding, model: &str) -> Result<Vec<u8>, Error> {
    let vector = |values| match encoding {
        Encoding::Float => Vector::Floats(values),
        Encoding::Base64 => Vector::Base64(base64(values)),
    };
    let vectors = embeddings.values.chunks(embeddings.width.max(1)).enumerate();
    let item = |(index, values)| Item { object: "embedding", index, embedding: vector(values) };
    let usage = Usage { prompt_tokens: embeddings.tokens, total_tokens: embeddings.tokens };
    let answer = Answer { object: "list", data: vectors.map(item).collect(), model, usage };
    serde_json::to_vec(&answer).map_err(|error| Error::internal(format!("cannot write the answer: {error}")))
}

fn base64(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

// === impl Asked ===

impl Asked {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        let members: Members = members::read(body)?;
        let truncate = match (members.truncate, members.truncate_prompt_tokens) {
            (truncate, None) => truncate,
            (_, Some(-1)) => Some(true),
            (_, Some(_)) => {
                let text = "is supported as -1 only by this server, which cuts at what the model takes";
                return Err(Problem::invalid("truncate_prompt_tokens", text));
            }
        };
        if members.dimensions == Some(0) {
            return Err(Problem::invalid("dimensions", "is 0, expected at least 1"));
        }
        let inputs = match members.input {
            None => return Err(Problem::invalid("input", "is missing")),
            Some(input) => inputs(input)?,
        };
        let request = EmbeddingRequest {
            inputs,
            dimensions: members.dimensions,
            truncate,
            normalize: members.normalize,
            prompt_name: members.prompt_name,
        };
        Ok(Self { model: members.model, request, encoding: members.encoding_format.unwrap_or_default() })
    }
}

fn inputs(input: Prompts) -> Result<Vec<EmbeddingInput>, Problem> {
    let inputs: Vec<_> = input
        .prompts("input")?
        .into_iter()
        .filter_map(|prompt| match prompt {
            Prompt::Text(text) => Some(EmbeddingInput::Text(text)),
            Prompt::Tokens(tokens) => Some(EmbeddingInput::Tokens(tokens)),
            // Not one of those that are read.
            Prompt::Chat { .. } => None,
        })
        .collect();
    if inputs.len() > MOST_TEXTS {
        let text = format!("has {} texts, expected at most {MOST_TEXTS} a request", inputs.len());
        return Err(Problem::invalid("input", &text));
    }
    Ok(inputs)
}
