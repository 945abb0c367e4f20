//! The headers that the gateway routes by, and what they mean here.
//!
//! `x-modelway-target` and `x-modelway-version` name what the gateway's decision chose; each, if
//! present, overrides what path, body or message name, and an empty version is the default one.
//! `x-modelway-model` is what the client called, and so the name in the answer. The headers are
//! trusted: the gateway removes the copies that clients send, and a server that clients reach
//! directly gives away nothing by them that the path would not.

use http::{HeaderMap, HeaderName};

use crate::error::Error;

#[cfg(test)]
mod tests;

/// What really answered: `model/version@digest`.
pub(crate) const SERVED: &str = "x-modelway-served";

const MODEL: HeaderName = HeaderName::from_static("x-modelway-model");
const TARGET: HeaderName = HeaderName::from_static("x-modelway-target");
const VERSION: HeaderName = HeaderName::from_static("x-modelway-version");

/// The gateway's decision, if the request came through one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Routing {
    public_name: Option<String>,
    target: Option<String>,
    /// Inner `None`: the default version, whatever the client named.
    version: Option<Option<String>>,
}

// === impl Routing ===

impl Routing {
    /// The decision in these headers.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Self, Error> {
        let version = text(headers, &VERSION)?;
        Ok(Self {
            public_name: text(headers, &MODEL)?.filter(|name| !name.is_empty()),
            target: text(headers, &TARGET)?.filter(|name| !name.is_empty()),
            version: version.map(|version| Some(version).filter(|version| !version.is_empty())),
        })
    }

    /// The model and version to ask, for a client that named these.
    pub(crate) fn apply<'a>(&'a self, name: &'a str, version: Option<&'a str>) -> (&'a str, Option<&'a str>) {
        let version = self.version.as_ref().map_or(version, Option::as_deref);
        (self.target.as_deref().unwrap_or(name), version)
    }

    /// The name in the answer, for a client that named this one.
    pub(crate) fn name_in_answer<'a>(&'a self, name: &'a str) -> &'a str {
        self.public_name.as_deref().unwrap_or(name)
    }

    /// The target, if every request with these headers goes to one.
    pub(crate) fn target(&self) -> Option<(&str, Option<&str>)> {
        Some((self.target.as_deref()?, self.version.as_ref().and_then(Option::as_deref)))
    }
}

/// Takes the decision out of the headers.
pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in [MODEL, TARGET, VERSION] {
        headers.remove(name);
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Error::invalid(format!("the header {name} is not UTF-8, expected a name")))?;
    Ok(Some(text.to_owned()))
}
