//! Models: which there are, what they say of themselves, whether they can be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::model::TensorSpec;
use crate::rest::{Named, Rest, failure, json};
use crate::routing::Routing;

#[derive(Serialize)]
struct Models {
    models: Vec<String>,
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

pub(super) async fn list(State(rest): State<Arc<Rest>>) -> Response {
    json(&Models { models: rest.serving.catalogue().names() })
}

pub(super) async fn metadata(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    let (named, routing) = match named(parameters, &headers) {
        Ok(named) => named,
        Err(error) => return failure(&error),
    };
    let (model, version) = routing.apply(&named.model, named.version.as_deref());
    let deadline = Deadline::from_headers(&headers).moment();
    let catalogue = rest.serving.catalogue();
    match catalogue.find_before(deadline, model, version).await {
        Ok(loaded) => {
            let metadata = loaded.metadata();
            json(&Metadata {
                name: routing.name_in_answer(&named.model),
                versions: catalogue.available_versions(loaded.name()),
                platform: &metadata.platform,
                inputs: metadata.inputs.iter().map(Spec::from).collect(),
                outputs: metadata.outputs.iter().map(Spec::from).collect(),
                properties: &metadata.properties,
            })
        }
        Err(error) => failure(&error),
    }
}

pub(super) async fn ready(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: HeaderMap,
) -> Response {
    let (named, routing) = match named(parameters, &headers) {
        Ok(named) => named,
        Err(error) => return failure(&error),
    };
    let (model, version) = routing.apply(&named.model, named.version.as_deref());
    let name = routing.name_in_answer(&named.model);
    match rest.serving.catalogue().check(model, version) {
        Ok(()) => json(&Ready { name, ready: true, error: None }),
        Err(error) if error.kind() == ErrorKind::Unavailable => {
            let mut response = json(&Ready { name, ready: false, error: Some(error.message()) });
            *response.status_mut() = error.kind().status();
            response
        }
        Err(error) => failure(&error),
    }
}

fn named(
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    headers: &HeaderMap,
) -> Result<(Named, Routing), Error> {
    Ok((Named::from_path(parameters)?, Routing::from_headers(headers)?))
}

// === impl Spec ===

impl<'a> From<&'a TensorSpec> for Spec<'a> {
    fn from(spec: &'a TensorSpec) -> Self {
        Self { name: &spec.name, datatype: spec.datatype.name(), shape: &spec.shape }
    }
}
