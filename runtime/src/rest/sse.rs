//! Server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use http::{HeaderName, HeaderValue, header};

/// After so long a silence a comment is sent, so that nobody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// nginx holds answers back otherwise.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// An answer of events, each of which has this line of text as its data.
pub(super) fn respond(lines: impl Stream<Item = String> + Send + 'static) -> Response {
    let events = lines.map(|line| Ok::<_, Infallible>(Event::default().data(line)));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(NO_BUFFERING, HeaderValue::from_static("no"));
    response
}
