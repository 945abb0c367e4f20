//! What kind of call a request is, from its method and path alone.

mod openai;
mod prefix;
mod readings;
mod segments;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use self::openai::is_openai_path;
use self::openai::is_operation;
use self::prefix::segments_of_prefix;
pub(crate) use self::prefix::without_prefix;
use self::readings::Readings;
use self::segments::{Decoded, Plain, is_canonical, place};
use crate::config::Protocol;
use crate::header::Headers;

/// A call, as its path tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call<'p> {
    /// Not about a model: health, server metadata, anything else on this gateway.
    Other,
    /// Repository, logging, trace, shared memory, or ModelMesh's own services.
    Admin,
    /// A model call whose path some upstream could read as another one (`..`, `//`, `.`): refused.
    Ambiguous,
    /// The model stands in the path.
    Rest(RestCall<'p>),
    /// The model stands in the message.
    Grpc,
    /// A gRPC call that a transcoder made of a REST call: the model stands in that one's path.
    Transcoded(RestCall<'p>),
    /// The model stands in a JSON body's `model`.
    OpenAi,
}

/// A call whose path names the model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestCall<'p> {
    /// Whose path it is.
    pub protocol: Protocol,
    /// The model's name, percent-decoded.
    pub model: Cow<'p, [u8]>,
    /// The version, percent-decoded, if the path has one.
    pub version: Option<Cow<'p, [u8]>>,
    /// Where name and version stand in the raw path: what a rewrite replaces.
    pub span: Range<usize>,
}

/// The service whose messages carry the model in their first two fields.
const INFERENCE_SERVICE: &[u8] = b"inference.GRPCInferenceService";

/// Methods of [`INFERENCE_SERVICE`] that carry `model_name` (or `name`) as field 1 and the version as field 2.
const MODEL_METHODS: [&[u8]; 6] =
    [b"ModelInfer", b"ModelStreamInfer", b"ModelMetadata", b"ModelReady", b"ModelConfig", b"ModelStatistics"];

/// Administrative methods begin so: RepositoryIndex, RepositoryModelLoad, TraceSetting, LogSettings …
const ADMIN_METHODS: [&[u8]; 5] = [b"Repository", b"Trace", b"Log", b"SystemSharedMemory", b"CudaSharedMemory"];

/// Administrative paths below `/v2/`.
const ADMIN_PATHS: [&[u8]; 5] = [b"repository", b"logging", b"trace", b"systemsharedmemory", b"cudasharedmemory"];

/// What a v1 call for a model ends with, behind a colon: KServe's two, and TensorFlow Serving's.
const VERBS: [&[u8]; 4] = [b"predict", b"explain", b"classify", b"regress"];

/// Envoy's transcoder keeps the path of the REST call in this header.
const ORIGINAL_PATH: &[u8] = b"x-envoy-original-path";

/// One segment of a path.
#[derive(Clone)]
struct Segment<'s> {
    /// Decoded.
    name: &'s [u8],
    /// Where it stands in the path.
    at: Range<usize>,
}

// === impl Call ===

impl<'p> Call<'p> {
    /// Classifies by path and content type. `prefixes` are paths under which the same paths are
    /// served, such as `/serving/team-a`; what stands in a call counts from the path's start.
    pub fn of(path: &'p [u8], head: &'p impl Headers, prefixes: &[Vec<u8>]) -> Self {
        match Self::of_path(path, &|| is_grpc(head), prefixes) {
            Self::Grpc => match head.first(ORIGINAL_PATH).map(|path| Self::of_path(path, &|| false, prefixes)) {
                Some(Self::Rest(call)) if call.protocol == Protocol::Rest => Self::Transcoded(call),
                Some(Self::Ambiguous) => Self::Ambiguous,
                _ => Self::Grpc,
            },
            call => call,
        }
    }

    fn of_path(path: &'p [u8], is_grpc: &dyn Fn() -> bool, prefixes: &[Vec<u8>]) -> Self {
        let Some(segments) = Plain::of(path) else { return Self::of_odd_path(before_query(path), is_grpc, prefixes) };
        let skipped = segments_of_prefix(segments.path, prefixes);
        let names = segments.names().get(skipped..).unwrap_or_default();
        if is_admin(names) { Self::Admin } else { Self::of_segments(segments.path, skipped, names, is_grpc) }
    }

    /// Of a path that some server may read otherwise than as it stands.
    #[cold]
    #[inline(never)]
    fn of_odd_path(path: &'p [u8], is_grpc: &dyn Fn() -> bool, prefixes: &[Vec<u8>]) -> Self {
        // With more segments than any call of ours has, only dot segments can bring it down to one.
        let segments = Decoded::of(path);
        let names = segments.as_ref().map(Decoded::names).unwrap_or_default();
        let is_canonical = names.iter().all(|name| is_canonical(name));
        let is_plain = segments.is_some() && is_canonical && !path.iter().any(|byte| matches!(byte, b'%' | b';'));
        let otherwise = if is_plain { Readings::default() } else { Readings::of(path, prefixes) };
        let skipped = segments_of_prefix(path, prefixes);
        let names = names.get(skipped..).unwrap_or_default();
        if is_admin(names) || otherwise.is_admin {
            return Self::Admin;
        }
        match Self::of_segments(path, skipped, names, is_grpc) {
            Self::Rest(_) | Self::Grpc | Self::OpenAi if !is_canonical => Self::Ambiguous,
            Self::Rest(call) if has_parameters(path.get(call.span.start..).unwrap_or_default()) => Self::Ambiguous,
            // A model's path in any reading must not slip past the decision.
            Self::Other if otherwise.is_model => Self::Ambiguous,
            call => call,
        }
    }

    /// By the names of the path's segments, decoded, of which the first `skipped` are left out.
    fn of_segments(path: &'p [u8], skipped: usize, names: &[&[u8]], is_grpc: &dyn Fn() -> bool) -> Self {
        match names {
            [INFERENCE_SERVICE, method] => {
                if MODEL_METHODS.contains(method) && is_grpc() {
                    Self::Grpc
                } else {
                    Self::Other
                }
            }
            [b"v2", b"models", model, rest @ ..] => {
                let model = Segment { name: model, at: place(path, skipped + 2) };
                Self::of_model_path(path, Protocol::Rest, &model, skipped + 3, rest)
            }
            [b"v1", b"models", model, rest @ ..] => {
                let model = Segment { name: model, at: place(path, skipped + 2) };
                Self::of_verb_path(path, &model, skipped + 3, rest)
            }
            [b"openai", b"v1", b"models", model, rest @ ..] => {
                let model = Segment { name: model, at: place(path, skipped + 3) };
                Self::of_model_path(path, Protocol::OpenAi, &model, skipped + 4, rest)
            }
            [b"openai", operation @ ..] | operation if is_operation(operation) => Self::OpenAi,
            _ => Self::Other,
        }
    }

    /// `rest` are the segments behind the model, the first of which has the number `position`.
    fn of_model_path(path: &'p [u8], protocol: Protocol, model: &Segment<'_>, position: usize, rest: &[&[u8]]) -> Self {
        // `GET /v2/models/stats` are the statistics of all models.
        let is_stats = protocol == Protocol::Rest && model.name == b"stats" && rest.is_empty();
        if model.name.is_empty() || is_stats {
            return Self::Other;
        }
        let version = match rest {
            // OpenAI's models have none.
            [b"versions", version, ..] if protocol != Protocol::OpenAi && !version.is_empty() => {
                Some(Segment { name: version, at: place(path, position + 1) })
            }
            _ => None,
        };
        Self::to_version(path, protocol, model, version.as_ref())
    }

    fn to_version(path: &'p [u8], protocol: Protocol, model: &Segment<'_>, version: Option<&Segment<'_>>) -> Self {
        let decoded = |segment: &Segment<'_>| percent_decoded(path.get(segment.at.clone()).unwrap_or_default());
        let end = version.map_or(model.at.end, |version| version.at.end);
        let span = model.at.start..end;
        Self::Rest(RestCall { protocol, model: decoded(model), version: version.map(decoded), span })
    }

    /// `/v1/models/{model}[/versions/{version}][:predict]`.
    fn of_verb_path(path: &'p [u8], model: &Segment<'_>, position: usize, rest: &[&[u8]]) -> Self {
        match rest {
            [] => match model.without_verb(path) {
                Some(model) => Self::of_model_path(path, Protocol::V1, &model, position, rest),
                None => Self::Ambiguous,
            },
            [versions, version] => {
                let version = Segment { name: version, at: place(path, position + 1) };
                let Some(version) = version.without_verb(path) else { return Self::Ambiguous };
                if model.name.is_empty() {
                    return Self::Other;
                }
                let has_version = *versions == b"versions" && !version.name.is_empty();
                Self::to_version(path, Protocol::V1, model, has_version.then_some(&version))
            }
            rest => Self::of_model_path(path, Protocol::V1, model, position, rest),
        }
    }
}

/// Whether the content type is gRPC's (`application/grpc`, `application/grpc+proto` …).
pub fn is_grpc(head: &impl Headers) -> bool {
    head.first(b"content-type").is_some_and(is_grpc_content)
}

fn is_grpc_content(content_type: &[u8]) -> bool {
    starts_with_ignoring_case(content_type, b"application/grpc")
        && !content_type.get(16..20).is_some_and(|rest| is_same_ignoring_case(rest, b"-web"))
}

/// Whether a name can stand in a header as it is: a line break would begin a header of the client's own,
/// and HTTP/1 drops spaces at a value's ends, which makes another name of it.
pub(crate) fn can_be_header_value(name: &[u8]) -> bool {
    !name.iter().any(u8::is_ascii_control) && name.trim_ascii() == name
}

/// Whether the model, the word `versions` or the version has path parameters (`;a=b`): what a servlet
/// container leaves out, and other servers take for a part of the name. Where it is one, it is sent as `%3B`.
fn has_parameters(from_model: &[u8]) -> bool {
    from_model.split(|&byte| byte == b'/').take(3).any(|segment| segment.contains(&b';'))
}

fn before_query(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'?' || byte == b'#').next().unwrap_or(path)
}

// === impl Segment ===

impl Segment<'_> {
    /// Without a verb at its end, if there is one; `None` where only some readers find it, because
    /// it is percent-encoded in `path`.
    fn without_verb(&self, path: &[u8]) -> Option<Self> {
        let colon = self.name.iter().rposition(|&byte| byte == b':').unwrap_or(self.name.len());
        let (name, verb) = self.name.split_at_checked(colon)?;
        if !verb.get(1..).is_some_and(|verb| VERBS.contains(&verb)) {
            return Some(self.clone());
        }
        let at = self.at.start..self.at.end.checked_sub(verb.len())?;
        (path.get(at.end..self.at.end) == Some(verb)).then_some(Self { name, at })
    }
}

fn is_admin(segments: &[&[u8]]) -> bool {
    match segments {
        [service, ..] if starts_with_ignoring_case(service, b"mmesh.") => true,
        [service, method, ..] if is_same_ignoring_case(service, INFERENCE_SERVICE) => {
            ADMIN_METHODS.iter().any(|admin| starts_with_ignoring_case(method, admin))
        }
        [v2, area, rest @ ..] if is_same_ignoring_case(v2, b"v2") => {
            ADMIN_PATHS.iter().any(|admin| is_same_ignoring_case(area, admin)) || is_model_trace(area, rest)
        }
        _ => false,
    }
}

/// `/v2/models/{model}[/versions/{version}]/trace/setting`.
fn is_model_trace(area: &[u8], rest: &[&[u8]]) -> bool {
    is_same_ignoring_case(area, b"models")
        && match rest {
            [_, trace, ..] if is_same_ignoring_case(trace, b"trace") => true,
            [_, versions, _, trace, ..] => {
                is_same_ignoring_case(versions, b"versions") && is_same_ignoring_case(trace, b"trace")
            }
            _ => false,
        }
}

fn starts_with_ignoring_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| is_same_ignoring_case(head, start))
}

/// Most texts differ in their length or their first letter; the standard library's comparison is made for long ones.
fn is_same_ignoring_case(text: &[u8], other: &[u8]) -> bool {
    let is_same = |(one, other): (&u8, &u8)| one == other || one.eq_ignore_ascii_case(other);
    text.len() == other.len() && (text == other || text.iter().zip(other).all(is_same))
}

/// The bytes behind `%41`; an escape that is none stays as it is.
pub(crate) fn percent_decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'%') {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&first, after)) = rest.split_first() {
        match rest {
            [b'%', high, low, after_escape @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex_value(*high) << 4 | hex_value(*low));
                rest = after_escape;
            }
            _ => {
                decoded.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests;
