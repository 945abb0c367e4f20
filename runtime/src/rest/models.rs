//! Models: which there are, what they say of themselves, whether they can be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::catalogue::{Listing, Loaded};
use crate::error::{Error, ErrorKind};
use crate::model::TensorSpec;
use crate::rest::{Named, Rest, body, failure, json};
use crate::routing::Routing;

#[derive(Serialize)]
struct Models<'a> {
    models: Vec<&'a str>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
    versions: Vec<String>,
    platform: &'a str,
    inputs: Vec<Spec<'a>>,
    outputs: Vec<Spec<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    properties: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Spec<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [i64],
}

#[derive(Serialize)]
struct Ready<'a> {
    name: &'a str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The body of a repository index request, which may be left out.
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

pub(super) async fn list(State(rest): State<Arc<Rest>>) -> Response {
    json(&Models { models: rest.serving.catalogue().names().collect() })
}

pub(super) async fn metadata(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    match find(&rest, parameters, &headers) {
        Ok((name, Ok(loaded))) => {
            let metadata = loaded.model().metadata();
            json(&Metadata {
                name: &name,
                versions: rest.serving.catalogue().ready_versions(loaded.name()),
                platform: &metadata.platform,
                inputs: metadata.inputs.iter().map(Spec::from).collect(),
                outputs: metadata.outputs.iter().map(Spec::from).collect(),
                properties: &metadata.properties,
            })
        }
        Ok((_, Err(error))) | Err(error) => failure(&error),
    }
}

pub(super) async fn ready(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    match find(&rest, parameters, &headers) {
        Ok((name, Ok(_))) => json(&Ready { name: &name, ready: true, error: None }),
        Ok((name, Err(error))) if error.kind() == ErrorKind::Unavailable => {
            let mut response = json(&Ready { name: &name, ready: false, error: Some(error.message()) });
            *response.status_mut() = error.kind().status();
            response
        }
        Ok((_, Err(error))) | Err(error) => failure(&error),
    }
}

pub(super) async fn index(State(rest): State<Arc<Rest>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let request = match body::read(&parts.headers, body, rest.body_limit).await.and_then(|body| parse_index(&body)) {
        Ok(request) => request,
        Err(error) => return failure(&error),
    };
    let mut listings: Vec<_> = rest.serving.catalogue().listings().collect();
    listings.retain(|listing| !request.ready || listing.is_ready());
    json(&listings.iter().map(IndexRow::from).collect::<Vec<_>>())
}

fn parse_index(body: &[u8]) -> Result<IndexRequest, Error> {
    if body.is_empty() {
        return Ok(IndexRequest::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| Error::invalid(format!("expected {{\"ready\": true}} or an empty body: {error}")))
}

/// The name for the answer, and the model, if it can be asked.
fn find(
    rest: &Rest,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: &HeaderMap,
) -> Result<(String, Result<Arc<Loaded>, Error>), Error> {
    let named = Named::from_path(parameters)?;
    let routing = Routing::from_headers(headers)?;
    let (model, version) = routing.apply(&named.model, named.version.as_deref());
    let loaded = rest.serving.catalogue().find(model, version);
    Ok((routing.name_in_answer(&named.model).to_owned(), loaded))
}

// === impl Spec ===

impl<'a> From<&'a TensorSpec> for Spec<'a> {
    fn from(spec: &'a TensorSpec) -> Self {
        Self { name: &spec.name, datatype: spec.datatype.name(), shape: &spec.shape }
    }
}

// === impl IndexRow ===

impl<'a> From<&'a Listing> for IndexRow<'a> {
    fn from(listing: &'a Listing) -> Self {
        let (state, reason) = listing.state_and_reason();
        Self { name: &listing.name, version: listing.version.as_deref(), state, reason }
    }
}
