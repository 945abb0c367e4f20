//! What kind of call a request is, from its method and path alone.

use std::borrow::Cow;
use std::ops::Range;

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
}

/// A v2 REST call for a model.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RestCall<'p> {
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

/// More segments than any call of ours has; a path with more is not ours.
const MOST_SEGMENTS: usize = 16;

/// One segment of a path.
#[derive(Default)]
struct Segment<'p> {
    decoded: Cow<'p, [u8]>,
    raw: Range<usize>,
}

/// The segments of a path, without a heap allocation unless one is percent-encoded.
#[derive(Default)]
struct Segments<'p> {
    list: [Segment<'p>; MOST_SEGMENTS],
    count: usize,
}

impl<'p> Call<'p> {
    /// Classifies by path and content type.
    pub fn of(path: &'p [u8], head: &impl Headers) -> Self {
        let path = before_query(path);
        // With more segments than any call of ours has, only dot segments can bring it down to one.
        let segments = Segments::of(path);
        let is_short = segments.is_some();
        let segments = segments.unwrap_or_default();
        let segments = segments.as_slice();
        let is_canonical = segments.iter().all(Segment::is_canonical);
        let is_plain = is_short && is_canonical && !path.iter().any(|byte| matches!(byte, b'%' | b';'));
        let readings = if is_plain { Vec::new() } else { readings(path) };
        if is_admin(segments) || readings.iter().any(|segments| is_admin(segments)) {
            return Self::Admin;
        }
        match Self::of_segments(segments, head) {
            Self::Rest(_) | Self::Grpc if !is_canonical => Self::Ambiguous,
            // A model's path in any reading must not slip past the decision.
            Self::Other if readings.iter().any(|segments| is_model(segments)) => Self::Ambiguous,
            call => call,
        }
    }

    fn of_segments(segments: &[Segment<'p>], head: &impl Headers) -> Self {
        match segments {
            [service, method] if *service.decoded == *INFERENCE_SERVICE => {
                if MODEL_METHODS.contains(&&*method.decoded) && is_grpc(head) { Self::Grpc } else { Self::Other }
            }
            [v2, models, model, rest @ ..] if *v2.decoded == *b"v2" && *models.decoded == *b"models" => {
                Self::of_model_path(model, rest)
            }
            _ => Self::Other,
        }
    }

    fn of_model_path(model: &Segment<'p>, rest: &[Segment<'p>]) -> Self {
        // `GET /v2/models/stats` are the statistics of all models.
        if model.decoded.is_empty() || (*model.decoded == *b"stats" && rest.is_empty()) {
            return Self::Other;
        }
        let (version, end) = match rest {
            [versions, version, ..] if *versions.decoded == *b"versions" && !version.decoded.is_empty() => {
                (Some(version.decoded.clone()), version.raw.end)
            }
            _ => (None, model.raw.end),
        };
        Self::Rest(RestCall { model: model.decoded.clone(), version, span: model.raw.start..end })
    }
}

/// Whether the content type is gRPC's (`application/grpc`, `application/grpc+proto` …).
pub fn is_grpc(head: &impl Headers) -> bool {
    head.first(b"content-type").is_some_and(|content_type| {
        content_type.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
            && !content_type.get(16..20).is_some_and(|rest| rest.eq_ignore_ascii_case(b"-web"))
    })
}

/// Whether a name can stand in a header as it is: a line break would begin a header of the client's own.
pub(crate) fn can_be_header_value(name: &[u8]) -> bool {
    !name.iter().any(u8::is_ascii_control)
}

fn before_query(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'?' || byte == b'#').next().unwrap_or(path)
}

// === impl Segments ===

impl<'p> Segments<'p> {
    /// `None` if the path does not begin with a slash or has too many segments.
    fn of(path: &'p [u8]) -> Option<Self> {
        let rest = path.strip_prefix(b"/")?;
        let mut segments = Self::default();
        let mut start = 1;
        for raw in rest.split(|&byte| byte == b'/') {
            let end = start + raw.len();
            *segments.list.get_mut(segments.count)? = Segment { decoded: percent_decoded(raw), raw: start..end };
            segments.count += 1;
            start = end + 1;
        }
        // One slash at the end is nobody's trick.
        if segments.count > 1 && segments.as_slice().last().is_some_and(|segment| segment.decoded.is_empty()) {
            segments.count -= 1;
        }
        Some(segments)
    }

    fn as_slice(&self) -> &[Segment<'p>] {
        self.list.get(..self.count).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Segment<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.decoded
    }
}

impl Segment<'_> {
    fn is_canonical(&self) -> bool {
        let decoded = &*self.decoded;
        !decoded.is_empty()
            && decoded != b"."
            && decoded != b".."
            && !decoded.contains(&b'\\')
            && can_be_header_value(decoded)
            && !decoded.split(|&byte| byte == b'/').any(|part| part == b"..")
    }
}

fn is_admin<S: AsRef<[u8]>>(segments: &[S]) -> bool {
    match segments {
        [service, ..] if starts_with_ignoring_case(service.as_ref(), b"mmesh.") => true,
        [service, method, ..] if service.as_ref().eq_ignore_ascii_case(INFERENCE_SERVICE) => {
            ADMIN_METHODS.iter().any(|admin| starts_with_ignoring_case(method.as_ref(), admin))
        }
        [v2, area, rest @ ..] if v2.as_ref().eq_ignore_ascii_case(b"v2") => {
            let area = area.as_ref();
            ADMIN_PATHS.iter().any(|admin| area.eq_ignore_ascii_case(admin)) || is_model_trace(area, rest)
        }
        _ => false,
    }
}

/// `/v2/models/{model}[/versions/{version}]/trace/setting`.
fn is_model_trace<S: AsRef<[u8]>>(area: &[u8], rest: &[S]) -> bool {
    area.eq_ignore_ascii_case(b"models")
        && match rest {
            [_, trace, ..] if trace.as_ref().eq_ignore_ascii_case(b"trace") => true,
            [_, versions, _, trace, ..] => {
                versions.as_ref().eq_ignore_ascii_case(b"versions") && trace.as_ref().eq_ignore_ascii_case(b"trace")
            }
            _ => false,
        }
}

fn is_model(segments: &[Vec<u8>]) -> bool {
    matches!(segments, [v2, models, _, ..]
        if v2.eq_ignore_ascii_case(b"v2") && models.eq_ignore_ascii_case(b"models"))
}

/// What an empty segment is to a `..` behind it.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Empty {
    /// Nothing: the slashes were merged before.
    Merged,
    /// A segment that it takes away, as RFC 3986 has it.
    Kept,
}

/// What servers split a path at.
const SEPARATORS: [&[u8]; 2] = [b"/\\", b"/"];

/// Every way in which some server may read a path: percent-escapes decoded once or twice, before the
/// path is split or behind it; a backslash taken for a slash or not; path parameters (`;a=b`)
/// dropped; slashes merged or not; dot segments resolved.
fn readings(path: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let decoded = |text: &[u8]| percent_decoded(text).into_owned();
    let once = decoded(path);
    let twice = decoded(&once);
    let ways = SEPARATORS.iter().flat_map(|separators| {
        let split_behind = |path: &[u8]| split(path, separators).map(<[u8]>::to_vec).collect::<Vec<_>>();
        let split_before: Vec<Vec<u8>> = split(path, separators).map(decoded).collect();
        let split_before_twice = split_before.iter().map(|segment| decoded(segment)).collect();
        [split_behind(&once), split_behind(&twice), split_before, split_before_twice]
    });
    let with_empty = |segments: Vec<Vec<u8>>| [Empty::Merged, Empty::Kept].map(|empty| resolved(&segments, empty));
    ways.flat_map(with_empty).collect()
}

fn split<'p>(path: &'p [u8], separators: &[u8]) -> impl Iterator<Item = &'p [u8]> {
    path.split(|byte| separators.contains(byte))
}

/// The segments that are left, without empty ones, once `.` and `..` are resolved.
fn resolved(segments: &[Vec<u8>], empty: Empty) -> Vec<Vec<u8>> {
    let mut found: Vec<&[u8]> = Vec::new();
    for segment in segments {
        let without_parameters = segment.split(|&byte| byte == b';').next();
        match without_parameters.unwrap_or(segment) {
            b"." => {}
            b"" if empty == Empty::Merged => {}
            b".." => {
                found.pop();
            }
            name => found.push(name),
        }
    }
    found.into_iter().filter(|segment| !segment.is_empty()).map(<[u8]>::to_vec).collect()
}

fn starts_with_ignoring_case(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
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
