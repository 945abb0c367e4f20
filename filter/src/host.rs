//! Calls to the gateway, by bytes and with a status.
//!
//! ABI 0.2.1: <https://github.com/proxy-wasm/spec/blob/main/abi-versions/v0.2.1/README.md>.

mod abi;
mod header_map;
mod log;

pub(crate) use self::abi::allocate;
pub(crate) use self::header_map::{HeaderMap, pairs};
#[cfg(feature = "body")]
pub(crate) use self::log::info;
pub(crate) use self::log::{error, log_panics, warn};

use std::fmt;
use std::hash::BuildHasher;

/// Why the gateway refused a call, as its number: 1 not found, 2 bad argument …
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Refused(pub(crate) i32);

/// A kind of metric by the ABI's number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// A metric that was defined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MetricId(u32);

/// Says where a stream goes on.
const REQUEST_STREAM: i32 = 0;

/// Header maps by the ABI's numbers.
const REQUEST_HEADERS: i32 = 0;
const RESPONSE_HEADERS: i32 = 2;
const RESPONSE_TRAILERS: i32 = 3;

/// Buffers by the ABI's numbers.
const REQUEST_BODY: i32 = 0;
const RESPONSE_BODY: i32 = 1;
const PLUGIN_CONFIGURATION: i32 = 7;

// === impl Refused ===

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "status {}", self.0)
    }
}

/// The request's headers; none once they have gone on.
pub(crate) fn request_headers() -> Result<HeaderMap, Refused> {
    abi::header_map_pairs(REQUEST_HEADERS).map(HeaderMap::new)
}

/// Sets a header of the request, whatever it was.
pub(crate) fn set_request_header(name: &str, value: &[u8]) -> Result<(), Refused> {
    abi::replace_header(REQUEST_HEADERS, name.as_bytes(), value)
}

/// Removes every copy of a header of the request.
pub(crate) fn remove_request_header(name: &[u8]) -> Result<(), Refused> {
    abi::remove_header(REQUEST_HEADERS, name)
}

/// The answer's headers.
pub(crate) fn response_headers() -> Result<HeaderMap, Refused> {
    abi::header_map_pairs(RESPONSE_HEADERS).map(HeaderMap::new)
}

/// A trailer of the answer; none if there is no such.
pub(crate) fn response_trailer(name: &str) -> Option<Vec<u8>> {
    abi::header_value(RESPONSE_TRAILERS, name.as_bytes()).ok()
}

/// Adds a header to the answer beside those of the same name.
pub(crate) fn add_response_header(name: &str, value: &[u8]) -> Result<(), Refused> {
    abi::add_header(RESPONSE_HEADERS, name.as_bytes(), value)
}

/// Sets a header of the answer, whatever it was.
pub(crate) fn set_response_header(name: &[u8], value: &[u8]) -> Result<(), Refused> {
    abi::replace_header(RESPONSE_HEADERS, name, value)
}

/// Removes every copy of a header of the answer.
pub(crate) fn remove_response_header(name: &[u8]) -> Result<(), Refused> {
    abi::remove_header(RESPONSE_HEADERS, name)
}

/// Bytes of the request's body that the gateway holds.
pub(crate) fn request_body(start: usize, length: usize) -> Result<Vec<u8>, Refused> {
    abi::buffer(REQUEST_BODY, start, length)
}

/// Replaces the first `length` bytes of the request's body. Envoy edits a body nowhere else but at its ends.
pub(crate) fn replace_request_body_start(length: usize, with: &[u8]) -> Result<(), Refused> {
    abi::set_buffer(REQUEST_BODY, 0, length, with)
}

/// Adds to the end of the request's body, of which `size` bytes are at hand.
pub(crate) fn append_request_body(size: usize, bytes: &[u8]) -> Result<(), Refused> {
    abi::set_buffer(REQUEST_BODY, size, 0, bytes)
}

/// Bytes of the answer's body that are at hand.
pub(crate) fn response_body(start: usize, length: usize) -> Result<Vec<u8>, Refused> {
    abi::buffer(RESPONSE_BODY, start, length)
}

/// Replaces the first `length` bytes at hand of the answer's body.
pub(crate) fn replace_response_body_start(length: usize, with: &[u8]) -> Result<(), Refused> {
    abi::set_buffer(RESPONSE_BODY, 0, length, with)
}

/// The plugin's configuration.
pub(crate) fn plugin_configuration(length: usize) -> Result<Vec<u8>, Refused> {
    if length == 0 {
        return Ok(Vec::new());
    }
    abi::buffer(PLUGIN_CONFIGURATION, 0, length)
}

/// What the gateway knows of the stream under this path, as bytes: text as it is, numbers
/// little-endian in eight bytes. None where it knows nothing.
pub(crate) fn property<'a>(path: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let path: Vec<&[u8]> = path.into_iter().collect();
    abi::property(&path.join(&0)).ok()
}

/// Leaves a text with the stream, for access logs and other filters: `wasm.NAME` of the filter state.
pub(crate) fn set_filter_state(name: &str, value: &[u8]) -> Result<(), Refused> {
    abi::set_property(name.as_bytes(), value)
}

/// What all workers share under this key, and its version; nothing has version 0.
pub(crate) fn shared_data(key: &[u8]) -> (Vec<u8>, u32) {
    abi::shared_data(key).unwrap_or_default()
}

/// Shares this under the key. Refused if what is there has another version than this one; 0 replaces any.
pub(crate) fn set_shared_data(key: &[u8], data: &[u8], version: u32) -> Result<(), Refused> {
    abi::set_shared_data(key, data, version)
}

/// Defines a metric, or finds the one of this name.
pub(crate) fn define_metric(kind: MetricKind, name: &[u8]) -> Result<MetricId, Refused> {
    abi::define_metric(kind as i32, name).map(MetricId)
}

/// Counts one more.
pub(crate) fn increment_metric(id: MetricId) -> Result<(), Refused> {
    abi::increment_metric(id.0, 1)
}

/// Sets a gauge, or adds a sample to a histogram.
pub(crate) fn record_metric(id: MetricId, value: u64) -> Result<(), Refused> {
    abi::record_metric(id.0, value)
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    abi::current_time_nanoseconds().unwrap_or_default()
}

/// Where a sequence of draws begins, another one each time.
pub(crate) fn random_seed() -> u64 {
    // The standard library seeds this from the host's random source, for each instance anew.
    std::collections::hash_map::RandomState::new().hash_one(now())
}

/// From now on `on_tick` is called so often; 0 stops it.
pub(crate) fn set_tick_period(milliseconds: u32) {
    // Refused only for a context that is already gone, which needs no ticks.
    let _ = abi::set_tick_period(milliseconds);
}

/// Later calls are about this stream.
pub(crate) fn use_context(context_id: u32) -> Result<(), Refused> {
    abi::set_effective_context(context_id)
}

/// Lets a held request go on.
pub(crate) fn resume_request() -> Result<(), Refused> {
    abi::continue_stream(REQUEST_STREAM)
}

/// Answers instead of the upstream.
pub(crate) fn reply(status: u16, content_type: Option<&str>, body: &[u8], grpc_status: i32) -> Result<(), Refused> {
    let headers = content_type.map(|content_type| [("content-type", content_type.as_bytes())]);
    let headers = header_map::serialized(headers.as_ref().map(<[_; 1]>::as_slice).unwrap_or_default());
    abi::send_local_response(u32::from(status), b"modelway", body, &headers, grpc_status)
}
