//! `POST …/infer`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::deadline::Deadline;
use crate::error::Error;
use crate::message::{InferRequest, InferResponse};
use crate::protocol::raw;
use crate::residency::Loaded;
use crate::rest::json::answer::Envelope;
use crate::rest::json::request::{BinaryOutputs, Read};
use crate::rest::json::{Dialect, answer, proto_answer, request};
use crate::rest::{Named, Rest, body, failure, json_response, labelled, offload};
use crate::routing::Routing;
use crate::tensor::{DataType, Tensor, element_count};
use crate::traces::Trace;

#[cfg(test)]
mod tests;

/// Bytes of JSON before the binary part, in requests and answers.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// What the answer needs of the request, which the model takes.
struct Reply {
    name: String,
    id: Option<String>,
    dialect: Dialect,
    binary: BinaryOutputs,
}

pub(super) async fn infer(
    State(rest): State<Arc<Rest>>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    // Filled once the model is known: also a failure says which model it is of.
    let mut served = None;
    let response = match answer(&rest, parameters, request, &mut served).await {
        Ok(response) => response,
        Err(error) => failure(&error),
    };
    labelled(response, served.as_deref())
}

async fn answer(
    rest: &Rest,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    served: &mut Option<Arc<Loaded>>,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let named = Named::from_path(parameters)?;
    let routing = Routing::from_headers(&parts.headers)?;
    let body = body::read(&parts.headers, body, rest.body_limit).await?;

    let (model, version) = routing.apply(&named.model, named.version.as_deref());
    let deadline = Deadline::from_headers(&parts.headers).moment();
    let trace = Trace::of(&parts.extensions);
    let mut loaded = trace.find(rest.serving.catalogue().find_before(deadline, model, version)).await?;
    let Read { request, dialect, binary } = read(&parts.headers, body, &loaded).await?;
    // A version in the body counts where the path has none.
    let (model, version) = routing.apply(&named.model, named.version.as_deref().or(request.version.as_deref()));
    if version != loaded.version() && version.is_some() {
        loaded = trace.find(rest.serving.catalogue().find_before(deadline, model, version)).await?;
    }
    *served = Some(loaded.clone());

    let reply =
        Reply { name: routing.name_in_answer(&named.model).to_owned(), id: request.id.clone(), dialect, binary };
    let request = InferRequest { model: model.to_owned(), version: version.map(str::to_owned), ..request };
    let response = rest.serving.infer(loaded.clone(), request, trace)?.only().await?;
    let bytes = response.outputs.iter().map(|tensor| raw::size(tensor.data())).sum();
    offload::run(bytes, move || write(&reply, &loaded, &response)).await
}

async fn read(headers: &HeaderMap, body: Bytes, loaded: &Loaded) -> Result<Read, Error> {
    let json_length = match headers.get(JSON_LENGTH) {
        None => body.len(),
        Some(value) => value.to_str().ok().and_then(|length| length.parse().ok()).ok_or_else(|| {
            Error::invalid(format!("the header {JSON_LENGTH} is {value:?}, expected a number of bytes"))
        })?,
    };
    if json_length == 0 && headers.contains_key(JSON_LENGTH) {
        return read_raw(body, loaded);
    }
    offload::run(body.len(), move || request::read(&body, json_length)).await
}

/// A raw request: the body is the values of the model's only input, and the answer is as raw.
fn read_raw(body: Bytes, loaded: &Loaded) -> Result<Read, Error> {
    let [input] = loaded.model().metadata().inputs.as_slice() else {
        return Err(Error::invalid(format!(
            "a raw request (header {JSON_LENGTH}: 0) is for models with one input, '{}' has {}",
            loaded.name(),
            loaded.model().metadata().inputs.len()
        )));
    };
    let (shape, body) = match input.datatype {
        DataType::Bytes => {
            let length = u32::try_from(body.len()).map_err(|_| Error::invalid("the element is too long"))?;
            (vec![1; input.shape.len()], Bytes::from([&length.to_le_bytes(), body.as_ref()].concat()))
        }
        datatype => (raw_shape(&input.name, datatype, &input.shape, body.len())?, body),
    };
    let data = raw::read(&input.name, input.datatype, &shape, body)?;
    let request = InferRequest { inputs: vec![Tensor::new(&input.name, shape, data)?], ..InferRequest::default() };
    Ok(Read { request, dialect: Dialect::Data, binary: BinaryOutputs::all() })
}

/// The shape of so many bytes: the only dimension of any size takes what is left; with two of them
/// the first is a batch of one.
fn raw_shape(name: &str, datatype: DataType, declared: &[i64], length: usize) -> Result<Vec<usize>, Error> {
    let mut declared = declared.to_vec();
    let free = declared.iter().filter(|&&dimension| dimension < 0).count();
    if let (2, Some(batch @ ..=-1)) = (free, declared.first_mut()) {
        *batch = 1;
    } else if free > 1 {
        let text = format!("input '{name}': shape {declared:?} has {free} free dimensions, a raw request needs one");
        return Err(Error::invalid(text));
    }
    let fixed: Vec<usize> = declared.iter().filter_map(|&dimension| usize::try_from(dimension).ok()).collect();
    let bytes_per_step = element_count(&fixed)
        .and_then(|count| count.checked_mul(datatype.element_size().unwrap_or(1)))
        .filter(|&bytes| bytes > 0)
        .ok_or_else(|| Error::invalid(format!("input '{name}': shape {declared:?} has no size for a raw request")))?;
    Ok(declared.iter().map(|&dimension| usize::try_from(dimension).unwrap_or(length / bytes_per_step)).collect())
}

fn write(reply: &Reply, loaded: &Loaded, response: &InferResponse) -> Result<Response, Error> {
    let envelope = Envelope { model_name: &reply.name, model_version: loaded.version(), id: reply.id.as_deref() };
    let has_binary = response.outputs.iter().any(|output| reply.binary.includes(&output.name));
    match reply.dialect {
        Dialect::Contents if !has_binary => Ok(json_response(proto_answer::write(envelope, response, false)?)),
        Dialect::RawContents if !has_binary => Ok(json_response(proto_answer::write(envelope, response, true)?)),
        _ => {
            let written = answer::write(envelope, response, &reply.binary)?;
            let Some(json_length) = written.json_length else { return Ok(json_response(written.body)) };
            let mut response = Response::new(Body::from(written.body));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(JSON_LENGTH, HeaderValue::from(json_length));
            Ok(response)
        }
    }
}
