//! Requests as the gateway sees them, from flags, files and logs.

mod flags;
mod grpc;
mod json;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use modelway_decision::header::Headers;

pub(crate) use self::flags::Flags;
pub(crate) use self::json::from_json;

/// A request, whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Request {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// What is known of it before its body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    /// Pseudo-headers first; names are lower-case.
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) source_address: Option<String>,
    pub(crate) claims: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub(crate) now: u64,
}

// === impl Request ===

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        let pseudo = [(":method", method), (":path", path), (":scheme", "http")];
        let headers = pseudo.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).into();
        let head = Head { headers, source_address: None, claims: BTreeMap::new(), now: now() };
        Self { head, body: Vec::new() }
    }

    /// Adds a header; `Host` becomes `:authority`, as it does in the gateway.
    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() || name.starts_with(':') && name != ":authority" {
            bail!("expected a header's name, got '{name}'");
        }
        let name = if name == "host" { ":authority".to_owned() } else { name };
        self.head.headers.push((name.into_bytes(), value.trim().as_bytes().to_vec()));
        Ok(())
    }

    /// As a client would: whoever sends a body says how long it is.
    pub(crate) fn complete(&mut self) -> anyhow::Result<()> {
        if self.head.first(b":authority").is_none() {
            self.add_header("host", "127.0.0.1:8008")?;
        }
        let has_length =
            [&b"content-length"[..], b"transfer-encoding"].iter().any(|name| self.head.first(name).is_some());
        let is_grpc = modelway_decision::call::is_grpc(&self.head);
        if !self.body.is_empty() && !has_length && !is_grpc {
            self.add_header("content-length", &self.body.len().to_string())?;
        }
        Ok(())
    }

    /// `POST /v2/models/iris/infer`.
    pub(crate) fn line(&self) -> String {
        let of = |name| String::from_utf8_lossy(self.head.first(name).unwrap_or_default()).into_owned();
        format!("{} {}", of(b":method"), of(b":path"))
    }
}

// === impl Head ===

impl Headers for Head {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.as_slice().iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    fn source_address(&self) -> Option<Cow<'_, [u8]>> {
        self.source_address.as_ref().map(|address| Cow::Borrowed(address.as_bytes()))
    }

    fn claim(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let name = std::str::from_utf8(name).ok()?;
        self.claims.get(name).map(|value| Cow::Borrowed(value.as_bytes()))
    }

    fn now(&self) -> u64 {
        self.now
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

/// `name: value`.
fn header_of(line: &str) -> anyhow::Result<(&str, &str)> {
    line.split_once(':').with_context(|| format!("expected `name: value`, got '{line}'"))
}
