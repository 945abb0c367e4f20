//! What an upstream reads of a request that has reached it, by readers of its own: the segments of the path, each
//! percent-decoded, and the whole message by prost.

use anyhow::{Result, ensure};

use crate::gateway::{Message, is_grpc};
use crate::inference::ModelRequest;

/// Methods whose messages name a model.
const METHODS: [&str; 6] =
    ["ModelInfer", "ModelStreamInfer", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"];

/// The model that an upstream would serve, and its version where the request names one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: Option<String>,
}

/// What an upstream reads of it; `None`: no call for a model, or a message that it cannot read.
pub fn read(received: &Message) -> Option<Reading> {
    let path = received.headers.text(":path")?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<String> = path.split('/').map(decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["", "inference.GRPCInferenceService", method] if METHODS.contains(method) && is_grpc(&received.headers) => {
            read_message(&received.body)
        }
        ["", "v2", "models", model, "versions", version, ..] if !version.is_empty() => {
            Some(Reading { model: (*model).to_owned(), version: Some((*version).to_owned()) })
        }
        ["", "v2", "models", model, ..] if !model.is_empty() && !matches!(segments.get(3..), Some(["stats"])) => {
            Some(Reading { model: (*model).to_owned(), version: None })
        }
        _ => None,
    }
}

/// Whatever the client has sent, what the upstream reads must be what the filter's headers tell it and the route.
pub fn agrees(received: &Message) -> Result<()> {
    for (name, _) in received.headers.iter().filter(|(name, _)| name.starts_with(b"x-modelway-")) {
        let name = String::from_utf8_lossy(name);
        ensure!(received.headers.all(&name).count() == 1, "{name} came more than once: {:?}", received.headers);
    }
    let target = received.headers.text("x-modelway-target");
    let version = received.headers.text("x-modelway-version");
    match (target, read(received)) {
        (Some(target), Some(reading)) => {
            let told = Reading { model: target, version };
            ensure!(reading == told, "the upstream reads {reading:?} and is told {told:?}: {:?}", received.headers);
        }
        // The message is none to the upstream: it will refuse the call.
        (Some(_), None) => {
            ensure!(is_grpc(&received.headers), "no model call for the upstream: {:?}", received.headers);
        }
        (None, Some(reading)) => {
            ensure!(is_grpc(&received.headers), "the upstream reads {reading:?} unrouted: {:?}", received.headers);
        }
        (None, None) => {}
    }
    Ok(())
}

fn read_message(body: &[u8]) -> Option<Reading> {
    let length = u32::from_be_bytes(body.get(1..5)?.try_into().ok()?) as usize;
    let message = body.get(5..5 + length).filter(|_| body.first() == Some(&0))?;
    let message = <ModelRequest as prost::Message>::decode(message).ok()?;
    let version = Some(message.version).filter(|version| !version.is_empty());
    Some(Reading { model: message.name, version }).filter(|reading| !reading.model.is_empty())
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|digits| first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let escaped = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
