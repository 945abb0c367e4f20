//! `GET models`: what a client may call.
//!
//! All models of the catalogue: which of them are asked by texts is known of those in memory only, and a list that changes
//! with what is in memory would be worse than one that is too long.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use super::problem::Problem;
use crate::error::ErrorKind;
use crate::rest::server::NAME;
use crate::rest::{Named, Rest, json};
use crate::routing::Routing;

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    /// Seconds since 1970: when the server began. Models have no such time.
    created: u64,
    owned_by: &'static str,
    /// Tokens that prompt and answer may have together, or a text to make a vector of: vLLM's. Known of models in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_model_len: Option<usize>,
}

pub(super) async fn list(State(rest): State<Arc<Rest>>) -> Response {
    let names = rest.serving.catalogue().names();
    let data = names.iter().map(|name| Model::new(name, &rest, context_length(&rest, name, None))).collect();
    json(&List { object: "list", data })
}

pub(super) async fn one(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    let found = Named::from_path(parameters).and_then(|named| {
        let routing = Routing::from_headers(&headers)?;
        let (model, version) = routing.apply(&named.model, None);
        match rest.serving.catalogue().check(model, version) {
            // It is there, whether it can be loaded or not.
            Err(error) if error.kind() != ErrorKind::Unavailable => Err(error),
            _ => Ok((routing.name_in_answer(&named.model).to_owned(), context_length(&rest, model, version))),
        }
    });
    match found {
        Ok((name, length)) => json(&Model::new(&name, &rest, length)),
        Err(error) => Problem::from(error).response(),
    }
}

fn context_length(rest: &Rest, model: &str, version: Option<&str>) -> Option<usize> {
    let loaded = rest.serving.catalogue().resident(model, version)?;
    let (text, embedding) = (loaded.model().clone().text(), loaded.model().clone().embedding());
    text.map(|model| model.context_length()).or_else(|| Some(embedding?.context_length()))
}

// === impl Model ===

impl<'a> Model<'a> {
    fn new(id: &'a str, rest: &Rest, max_model_len: Option<usize>) -> Self {
        Self { id, object: "model", created: rest.since, owned_by: NAME, max_model_len }
    }
}
