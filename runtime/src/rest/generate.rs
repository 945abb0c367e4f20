//! Triton's generate extension: `POST …/generate` answers a text, `…/generate_stream` its parts as events.

mod request;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;

use crate::deadline::Deadline;
use crate::error::Error;
use crate::residency::Loaded;
use crate::rest::texts::Texts;
use crate::rest::{Named, Rest, body, failure, json, labelled, offload, sse};
use crate::routing::Routing;
use crate::text::{Finish, TextEvent};
use crate::traces::Trace;

use request::{Asked, Extras};

/// The answer, or a part of it.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a str>,
    text_output: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_input_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_output_tokens: Option<usize>,
}

/// What every part of the answer has.
struct Reply {
    id: Option<String>,
    model_name: String,
    loaded: Arc<Loaded>,
    extras: Extras,
    /// The prompt, where the answer begins with it.
    prefix: String,
    prompt_tokens: usize,
}

/// How the answer comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    Whole,
    Events,
}

pub(super) async fn generate(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    respond(&rest, parameters, request, Manner::Whole).await
}

pub(super) async fn generate_stream(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    respond(&rest, parameters, request, Manner::Events).await
}

async fn respond(
    rest: &Rest,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    manner: Manner,
) -> Response {
    // Filled once the model is known: also a failure says which model it is of.
    let mut served = None;
    let response = match answer(rest, parameters, request, manner, &mut served).await {
        Ok(response) => response,
        Err(error) => failure(&error),
    };
    labelled(response, served.as_deref())
}

async fn answer(
    rest: &Rest,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    manner: Manner,
    served: &mut Option<Arc<Loaded>>,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let named = Named::from_path(parameters)?;
    let routing = Routing::from_headers(&parts.headers)?;
    let body = body::read(&parts.headers, body, rest.body_limit).await?;
    let asked = offload::run(body.len(), move || Asked::read(&body)).await?;

    let (model, version) = routing.apply(&named.model, named.version.as_deref());
    let deadline = Deadline::from_headers(&parts.headers).moment();
    let trace = Trace::of(&parts.extensions);
    let loaded = trace.find(rest.serving.catalogue().find_before(deadline, model, version)).await?;
    *served = Some(loaded.clone());

    let reply = Reply {
        id: asked.id,
        model_name: routing.name_in_answer(&named.model).to_owned(),
        loaded: loaded.clone(),
        extras: asked.extras,
        prefix: asked.prefix,
        prompt_tokens: 0,
    };
    let is_in_parts = manner == Manner::Events && asked.is_in_parts;
    let texts = Texts::new(&rest.serving, &loaded, vec![asked.request], &trace)?;
    match manner {
        Manner::Whole => reply.whole(texts).await.map(|output| json(&output.as_value())),
        Manner::Events if is_in_parts => Ok(sse::respond(reply.events(texts.begun().await?))),
        Manner::Events => {
            let whole = reply.whole(texts).await?;
            Ok(sse::respond(stream::iter([whole.as_line()])))
        }
    }
}

/// A text to its end.
struct Whole {
    reply: Reply,
    text: String,
    end: End,
}

/// How a text ended.
#[derive(Clone, Copy)]
struct End {
    reason: Finish,
    new_tokens: usize,
}

// === impl Whole ===

impl Whole {
    fn as_value(&self) -> Output<'_> {
        self.reply.output(&self.text, Some(self.end))
    }

    fn as_line(&self) -> String {
        line(&self.as_value())
    }
}

// === impl Reply ===

impl Reply {
    async fn whole(mut self, mut texts: Texts) -> Result<Whole, Error> {
        let mut text = std::mem::take(&mut self.prefix);
        while let Some(event) = texts.next().await {
            let (_, event) = event?;
            match event {
                TextEvent::Begun { prompt_tokens, .. } => self.prompt_tokens = prompt_tokens,
                TextEvent::Token(piece) => text.push_str(&piece.text),
                TextEvent::Ended { reason, text: rest, new_tokens } => {
                    text.push_str(&rest);
                    return Ok(Whole { reply: self, text, end: End { reason, new_tokens } });
                }
            }
        }
        Err(Error::internal("the text has no end"))
    }

    /// An event a token, also where it adds nothing to the text yet: clients count them.
    fn events(mut self, texts: Texts) -> impl Stream<Item = String> + Send + 'static {
        texts.filter_map(move |event| std::future::ready(self.event(event)))
    }

    fn event(&mut self, event: Result<(usize, TextEvent), Error>) -> Option<String> {
        match event {
            Ok((_, TextEvent::Begun { prompt_tokens, .. })) => {
                self.prompt_tokens = prompt_tokens;
                None
            }
            Ok((_, TextEvent::Token(piece))) => {
                let mut text = std::mem::take(&mut self.prefix);
                text.push_str(&piece.text);
                Some(line(&self.output(&text, None)))
            }
            Ok((_, TextEvent::Ended { reason, text: rest, new_tokens })) => {
                let mut text = std::mem::take(&mut self.prefix);
                text.push_str(&rest);
                let has_news = !text.is_empty() || self.extras.any() || new_tokens == 0;
                has_news.then(|| line(&self.output(&text, Some(End { reason, new_tokens }))))
            }
            Err(error) => {
                failure::log(&error);
                Some(failure::event(&error))
            }
        }
    }

    fn output<'a>(&'a self, text: &'a str, end: Option<End>) -> Output<'a> {
        let extras = self.extras;
        Output {
            id: self.id.as_deref(),
            model_name: &self.model_name,
            model_version: self.loaded.version(),
            text_output: text,
            finish_reason: end.filter(|_| extras.finish_reason).map(|end| end.reason.as_str()),
            num_input_tokens: end.filter(|_| extras.input_tokens).map(|_| self.prompt_tokens),
            num_output_tokens: end.filter(|_| extras.output_tokens).map(|end| end.new_tokens),
        }
    }
}

fn line(output: &Output<'_>) -> String {
    // Texts and numbers always serialize.
    serde_json::to_string(output).unwrap_or_default()
}
