//! Matchers of a rule: compiled once, compared as bytes.

mod network;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use self::network::Network;
pub(crate) use self::value::ValueMatch;

use crate::call::percent_decoded;
use crate::config::{Encoding, Protocol};
use crate::header::Headers;
use crate::message::{self, Input, Message, Needs};

/// The conditions of a rule; all must hold.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    /// Those that the cheapest look decides come first.
    pub(crate) conditions: Vec<Condition>,
}

/// One condition.
#[derive(Debug)]
pub(crate) enum Condition {
    Protocols(Vec<Protocol>),
    Methods(Vec<Vec<u8>>),
    Hosts(Vec<HostMatch>),
    Versions(Vec<Vec<u8>>),
    Label(Vec<u8>, ValueMatch),
    Header(Vec<u8>, ValueMatch),
    Cookie(Vec<u8>, ValueMatch),
    Query(Vec<u8>, ValueMatch),
    Claim(Vec<u8>, ValueMatch),
    SourceAddresses(Vec<Network>),
    ContentLength(Bounds),
    Encodings(Vec<Encoding>),
    /// By its number.
    Parameter(usize, ValueMatch),
    Input(InputMatch),
    BatchSize(Bounds),
    Not(Matcher),
}

/// Numbers from one to another, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// What one of the inputs must be.
#[derive(Debug)]
pub(crate) struct InputMatch {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) datatype: Option<Vec<u8>>,
    /// A dimension below 0 stands for any.
    pub(crate) shape: Option<Vec<i64>>,
}

/// A host, or all hosts below one.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum HostMatch {
    Exact(Vec<u8>),
    /// With the dot.
    Suffix(Vec<u8>),
}

/// What a request is known to be, its body aside.
#[derive(Debug)]
pub(crate) struct Facts<'a, H> {
    pub(crate) head: &'a H,
    pub(crate) protocol: Protocol,
    pub(crate) version: Option<&'a [u8]>,
    pub(crate) labels: &'a [(Vec<u8>, Vec<u8>)],
}

/// Whether a rule matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// These parameters tell.
    Depends(Needs),
}

// === impl Matcher ===

impl Matcher {
    /// Without a message the body is not read yet; with one, what is not there is absent.
    pub(crate) fn verdict(&self, facts: &Facts<'_, impl Headers>, message: Option<&Message>) -> Verdict {
        let mut verdict = Verdict::Yes;
        for condition in &self.conditions {
            match (condition.verdict(facts, message), &mut verdict) {
                (Verdict::No, _) => return Verdict::No,
                (Verdict::Yes, _) => {}
                (Verdict::Depends(more), Verdict::Depends(set)) => set.insert_all(more),
                (depends, verdict) => *verdict = depends,
            }
        }
        verdict
    }
}

// === impl Condition ===

impl Condition {
    fn verdict(&self, facts: &Facts<'_, impl Headers>, message: Option<&Message>) -> Verdict {
        let head = facts.head;
        let holds = match self {
            Self::Protocols(protocols) => protocols.contains(&facts.protocol),
            Self::Methods(methods) => {
                head.first(b":method").is_some_and(|method| methods.iter().any(|it| it == method))
            }
            Self::Hosts(hosts) => {
                head.first(b":authority").is_some_and(|authority| HostMatch::any_matches(hosts, authority))
            }
            Self::Versions(versions) => facts.version.is_some_and(|version| versions.iter().any(|it| it == version)),
            Self::Label(name, expected) => {
                facts.labels.iter().any(|(label, value)| label == name && expected.matches(value))
            }
            Self::Header(name, expected) => {
                head.iter().any(|(header, value)| header == name && expected.matches(value))
            }
            Self::Cookie(name, expected) => head.cookie(name).is_some_and(|value| expected.matches(value)),
            Self::Query(name, expected) => has_query(head, name, expected),
            Self::Claim(name, expected) => head.claim(name).is_some_and(|value| expected.matches(&value)),
            Self::SourceAddresses(networks) => {
                head.source_address().is_some_and(|address| Network::any_contains(networks, &address))
            }
            Self::ContentLength(bounds) => content_length(head).is_some_and(|length| bounds.contain(length)),
            Self::Encodings(encodings) => match (is_binary(head), message) {
                (true, _) => encodings.contains(&Encoding::Binary),
                (false, _) if matches!(encodings.as_slice(), [Encoding::Binary]) => false,
                (false, Some(message)) => message.encoding.is_some_and(|found| encodings.contains(&named(found))),
                (false, None) => return Verdict::Depends(Needs::ENCODING),
            },
            Self::Input(expected) => match message {
                Some(message) => message.inputs.iter().any(|input| expected.matches(input)),
                None => return Verdict::Depends(Needs::INPUTS),
            },
            Self::BatchSize(bounds) => match message {
                Some(message) => {
                    let batch = message.inputs.first().and_then(|input| input.shape.first());
                    batch.is_some_and(|batch| bounds.contain(*batch as f64))
                }
                None => return Verdict::Depends(Needs::INPUTS),
            },
            Self::Parameter(number, expected) => match message {
                Some(message) => message.parameter(*number).is_some_and(|value| expected.matches(value)),
                None => return Verdict::Depends(Needs::parameter(*number)),
            },
            Self::Not(matcher) => {
                return match matcher.verdict(facts, message) {
                    Verdict::Yes => Verdict::No,
                    Verdict::No => Verdict::Yes,
                    depends @ Verdict::Depends(_) => depends,
                };
            }
        };
        if holds { Verdict::Yes } else { Verdict::No }
    }
}

// === impl Bounds ===

impl Bounds {
    fn contain(self, value: f64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

// === impl InputMatch ===

impl InputMatch {
    fn matches(&self, input: &Input) -> bool {
        let same = |expected: &Option<Vec<u8>>, found: &Vec<u8>| expected.as_ref().is_none_or(|it| it == found);
        let has_shape = |expected: &Vec<i64>| {
            let pairs = expected.iter().zip(&input.shape);
            expected.len() == input.shape.len()
                && pairs.into_iter().all(|(expected, found)| *expected < 0 || expected == found)
        };
        same(&self.name, &input.name)
            && same(&self.datatype, &input.datatype)
            && self.shape.as_ref().is_none_or(has_shape)
    }
}

// === impl HostMatch ===

impl HostMatch {
    pub(crate) fn new(pattern: &str) -> Self {
        let pattern = pattern.to_ascii_lowercase();
        match pattern.strip_prefix('*') {
            Some(suffix) => Self::Suffix(suffix.as_bytes().to_vec()),
            None => Self::Exact(pattern.into_bytes()),
        }
    }

    /// Whether one of these matches the host of an authority, which may have a port.
    pub(crate) fn any_matches(hosts: &[Self], authority: &[u8]) -> bool {
        let host = without_port(authority);
        hosts.iter().any(|expected| expected.matches(host))
    }

    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(expected) => host.eq_ignore_ascii_case(expected),
            Self::Suffix(suffix) => host.len().checked_sub(suffix.len()).is_some_and(|start| {
                start > 0 && host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }),
        }
    }
}

/// Tensors as bytes behind a JSON header: <https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md>.
fn is_binary(head: &impl Headers) -> bool {
    head.first(b"inference-header-content-length").is_some()
}

fn named(encoding: message::Encoding) -> Encoding {
    match encoding {
        message::Encoding::Json => Encoding::Json,
        message::Encoding::Contents => Encoding::Contents,
        message::Encoding::Binary => Encoding::Binary,
        message::Encoding::Raw => Encoding::Raw,
    }
}

fn content_length(head: &impl Headers) -> Option<f64> {
    let length = std::str::from_utf8(head.first(b"content-length")?).ok()?;
    length.parse::<u64>().ok().map(|length| length as f64)
}

/// `[::1]:80` is the host `[::1]`.
fn without_port(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|&byte| byte == b':');
    match colon.and_then(|position| authority.split_at_checked(position)) {
        Some((host, port)) if !port.contains(&b']') => host,
        _ => authority,
    }
}

fn has_query(head: &impl Headers, name: &[u8], expected: &ValueMatch) -> bool {
    let path = head.first(b":path").unwrap_or_default();
    let Some(question) = path.iter().position(|&byte| byte == b'?') else { return false };
    let query = path.get(question + 1..).unwrap_or_default();
    let query = query.split(|&byte| byte == b'#').next().unwrap_or_default();
    query.split(|&byte| byte == b'&').any(|pair| {
        let mut halves = pair.splitn(2, |&byte| byte == b'=');
        let (key, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        form_decoded(key) == name && expected.matches(&form_decoded(value))
    })
}

/// As forms write it: `+` is a space.
fn form_decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decoded(&spaced).into_owned()
}
