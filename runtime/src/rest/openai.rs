//! OpenAI's protocol, under `/v1` and, as KServe has it, `/openai/v1`: completions, chat completions, embeddings, models.
//!
//! Requests are read as vLLM reads them: members that nobody knows are passed over, those that are known and not served
//! are refused by name.

mod answer;
mod chat;
mod completions;
mod embeddings;
mod logprobs;
mod members;
mod models;
mod problem;
mod unsupported;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use http::{HeaderMap, Method, Uri};
use serde::Serialize;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::residency::Loaded;
use crate::rest::texts::Texts;
use crate::rest::{Rest, body, json_response, labelled, offload, sse};
use crate::routing::Routing;
use crate::text::{Finish, Piece, TextRequest};
use crate::traces::Trace;

use answer::{Head, Writer};
use members::StreamOptions;
use problem::Problem;

/// Where the protocol is served: OpenAI's own place, and KServe's.
const PREFIXES: [&str; 2] = ["/v1", "/openai/v1"];

/// A request, read: what is to be made, and how the answer is written.
struct Asked<D> {
    /// As the client calls it.
    model: Option<String>,
    /// One for each choice of the answer.
    requests: Vec<TextRequest>,
    /// Choices of each prompt.
    of_a_prompt: usize,
    /// In parts, with these options.
    stream: Option<StreamOptions>,
    dialect: D,
}

/// How one of the two kinds of completion is asked for and answered.
trait Dialect: Sized + Send + 'static {
    /// What an id begins with.
    const ID: &'static str;
    /// `object` of a whole answer, and of a part.
    const WHOLE: &'static str;
    const PART: &'static str;

    /// A choice of a whole answer.
    type Choice: Serialize + Send;
    /// What a part adds to a choice.
    type Part: Serialize + Send;

    fn read(body: &[u8]) -> Result<Asked<Self>, Problem>;

    /// The whole of a choice. Pieces are kept only where log probabilities are asked for.
    fn choice(&self, index: usize, text: String, pieces: &[Piece], reason: Finish) -> Self::Choice;

    /// Whether `choice` wants the pieces.
    fn keeps_pieces(&self) -> bool;

    /// What is told of a choice before its first token.
    fn begun(&mut self, index: usize) -> Option<Self::Part>;

    /// One token more; nothing where it has nothing to tell.
    fn token(&mut self, index: usize, piece: Piece) -> Option<Self::Part>;

    fn ended(&mut self, index: usize, text: String, reason: Finish) -> Self::Part;
}

/// The routes.
pub(super) fn routes() -> Router<Arc<Rest>> {
    let mut routes = Router::new();
    for prefix in PREFIXES {
        routes = routes
            .route(&format!("{prefix}/completions"), post(respond::<completions::Completions>))
            .route(&format!("{prefix}/chat/completions"), post(respond::<chat::Chat>))
            .route(&format!("{prefix}/embeddings"), post(embeddings::respond))
            .route(&format!("{prefix}/models"), get(models::list))
            // Names of models may have slashes in them.
            .route(&format!("{prefix}/models/{{*model}}"), get(models::one))
            .route(&format!("{prefix}/{{*path}}"), any(unknown_path));
    }
    routes.method_not_allowed_fallback(method_not_allowed)
}

async fn respond<D: Dialect>(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    // Filled once the model is known: also a failure says which model it is of.
    let mut served = None;
    let response = match answer::<D>(&rest, request, &mut served).await {
        Ok(response) => response,
        Err(problem) => problem.response(),
    };
    labelled(response, served.as_deref())
}

async fn answer<D: Dialect>(
    rest: &Rest,
    request: Request,
    served: &mut Option<Arc<Loaded>>,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let routing = Routing::from_headers(&parts.headers)?;
    let body = body::read(&parts.headers, body, rest.body_limit).await?;
    let asked: Asked<D> = offload::run(body.len(), move || Ok(D::read(&body))).await??;

    let called = asked.model.unwrap_or_default();
    let trace = Trace::of(&parts.extensions);
    let loaded = find(rest, &parts.headers, &routing, &called, &trace).await?;
    *served = Some(loaded.clone());

    let head = Head::new::<D>(routing.name_in_answer(&called).to_owned());
    let writer = Writer::new(head, asked.dialect, asked.requests.len(), asked.of_a_prompt);
    let texts = Texts::new(&rest.serving, &loaded, asked.requests, &trace)?;
    match asked.stream {
        None => Ok(json_response(writer.whole(texts).await?)),
        Some(options) => Ok(sse::respond(writer.parts(texts.begun().await?, options))),
    }
}

/// The model that is meant, in memory.
async fn find(
    rest: &Rest,
    headers: &HeaderMap,
    routing: &Routing,
    called: &str,
    trace: &Trace,
) -> Result<Arc<Loaded>, Problem> {
    let (model, version) = routing.apply(called, None);
    if model.is_empty() {
        let error = Error::invalid("the request names no model: GET /v1/models lists them");
        return Err(Problem::of("model", error));
    }
    let deadline = Deadline::from_headers(headers).moment();
    Ok(trace.find(rest.serving.catalogue().find_before(deadline, model, version)).await?)
}

async fn unknown_path(method: Method, uri: Uri) -> Response {
    let text = format!(
        "{method} '{}' is not served: there are completions, chat/completions, embeddings and models under /v1 and /openai/v1",
        uri.path()
    );
    Problem::unknown_path(Error::not_found(text)).response()
}

// The router adds `allow`.
async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let text = format!("method {method} is not for '{}', see the header allow", uri.path());
    Problem::from(Error::new(ErrorKind::MethodNotAllowed, text)).response()
}
