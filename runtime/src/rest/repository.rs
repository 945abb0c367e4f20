//! Triton's repository API: which models there are, loading and unloading them.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::listing::Listing;
use crate::rest::{Named, Rest, body, failure, json};

/// The body of an index request, which may be left out.
#[derive(Default, Deserialize)]
struct IndexRequest {
    #[serde(default)]
    ready: bool,
}

#[derive(Serialize)]
struct IndexRow<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The body of a load request, which may be left out.
#[derive(Default, Deserialize)]
struct LoadRequest {
    #[serde(default)]
    parameters: LoadParameters,
}

#[derive(Default, Deserialize)]
struct LoadParameters {
    /// Ours: whether the model may be evicted.
    pin: Option<bool>,
    /// Triton's: a configuration, or files, that stand in the request. Read to be refused.
    config: Option<serde_json::Value>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

pub(super) async fn index(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    match read::<IndexRequest>(&rest, request, "{\"ready\": true}").await {
        Ok(request) => {
            let mut listings = rest.serving.catalogue().listings();
            listings.retain(|listing| !request.ready || listing.is_ready());
            json(&listings.iter().map(IndexRow::from).collect::<Vec<_>>())
        }
        Err(error) => failure(&error),
    }
}

pub(super) async fn load(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let work = async {
        let named = Named::from_path(parameters)?;
        let request: LoadRequest = read(&rest, request, "{\"parameters\": {\"pin\": true}}").await?;
        let parameters = request.parameters;
        if parameters.config.is_some() || parameters.others.keys().any(|name| name.starts_with("file:")) {
            let text = "a model's configuration and files come from storage, not from the request: leave out 'config' and 'file:'";
            return Err(Error::new(ErrorKind::Unimplemented, text));
        }
        rest.serving.catalogue().load(&named.model, parameters.pin).await
    };
    done(work.await)
}

pub(super) async fn unload(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
) -> Response {
    let work = async {
        let named = Named::from_path(parameters)?;
        rest.serving.catalogue().unload(&named.model).await
    };
    done(work.await)
}

/// Triton's answer to a command is empty; ours is an empty object, which clients can parse too.
fn done(result: Result<(), Error>) -> Response {
    match result {
        Ok(()) => json(&serde_json::Map::new()),
        Err(error) => failure(&error),
    }
}

async fn read<T: Default + DeserializeOwned>(rest: &Rest, request: Request, expected: &str) -> Result<T, Error> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts.headers, body, rest.body_limit).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body)
        .map_err(|error| Error::invalid(format!("expected {expected} or an empty body: {error}")))
}

// === impl IndexRow ===

impl<'a> From<&'a Listing> for IndexRow<'a> {
    fn from(listing: &'a Listing) -> Self {
        let (state, reason) = listing.state_and_reason();
        Self { name: &listing.name, version: listing.version.as_deref(), state, reason }
    }
}
