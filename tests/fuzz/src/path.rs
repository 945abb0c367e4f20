//! Paths: whatever a server makes of the path that the upstream gets, it is what the filter took it for.

use std::sync::LazyLock;

use modelway_decision::Router;
use serde_json::json;

use crate::gateway::{Request, Routed, Seen, router, send};

/// Whatever its name, a model is renamed; once more with nothing renamed but what is spelt oddly.
static ROUTERS: LazyLock<[Router; 3]> = LazyLock::new(|| {
    let renaming = json!([{ "name": "*", "variants": [{ "name": "only", "model": "the target/of 100%" }] }]);
    [
        router(&json!({ "models": renaming })),
        router(&json!({ "models": renaming, "rewrite": "Headers" })),
        router(&json!({ "rewrite": "Always" })),
    ]
});

/// A server's reading of a path: the segments that it looks at.
type Segments = Vec<Vec<u8>>;

/// One input.
pub fn check(data: &[u8]) {
    let path = [b"/", data].concat();
    // A proxy lets no such path in.
    if path.iter().any(|byte| byte.is_ascii_control() || *byte == b' ') {
        return;
    }
    let request = Request::new("POST", &path, Some(b"{}")).header("content-type", "application/json");
    for router in ROUTERS.iter() {
        match send(router, &request, &[]) {
            Seen::Refused(..) => {}
            Seen::Passed => is_no_model_call(&path),
            Seen::Routed(routed) => is_this_model_call(router, &path, &routed),
        }
    }
}

fn is_no_model_call(path: &[u8]) {
    for (server, segments) in readings(path) {
        assert!(!is_admin(&segments), "{server} reads an administrative call in {}", path.escape_ascii());
        assert!(!is_model(&segments), "{server} reads a model call in {}", path.escape_ascii());
    }
}

fn is_this_model_call(router: &Router, sent: &[u8], routed: &Routed) {
    let path = &routed.path;
    let rewritten = path != sent;
    let query = |path: &[u8]| path.iter().position(|byte| *byte == b'?').map(|at| path[at..].to_vec());
    let no_fragment = !sent.contains(&b'#');
    assert!(!no_fragment || query(path) == query(sent), "the query has changed: {}", path.escape_ascii());

    let (model, version) = match rewritten {
        true => (&routed.target, &routed.version),
        false => (&routed.model, &routed.version),
    };
    for (server, segments) in readings(path) {
        assert!(!is_admin(&segments), "{server} reads an administrative call in {}", path.escape_ascii());
        // Names with such signs are read differently, escaped or not.
        let odd = |name: &[u8]| name.iter().any(|byte| matches!(byte, b'/' | b'\\' | b';' | b'%'));
        if odd(model) || version.as_deref().is_some_and(odd) {
            continue;
        }
        let read = model_of(&segments);
        let expected = Some((model.as_slice(), version.as_deref()));
        assert_eq!(read, expected, "{server} reads another model in {}", path.escape_ascii());
    }
    if rewritten {
        let again = send(router, &Request::new("POST", path, Some(b"{}")), &[]);
        let again = again.routed().unwrap_or_else(|| panic!("{} is no model call any more", path.escape_ascii()));
        assert_eq!((&again.model, &again.version), (&routed.target, &routed.version), "{}", path.escape_ascii());
    }
}

/// The model and the version that a server with v2's paths, v1's and OpenAI's of models serves.
fn model_of(segments: &Segments) -> Option<(&[u8], Option<&[u8]>)> {
    let (area, rest) = segments.split_first()?;
    let (models, rest) = rest.split_first()?;
    match rest {
        _ if is(area, "openai") => match rest {
            [models, model, ..] if is(&segments[1], "v1") && is(models, "models") => Some((model, None)),
            _ => None,
        },
        _ if !is(models, "models") => None,
        [model] if is(area, "v1") => Some((without_verb(model), None)),
        [model, versions, version] if is(area, "v1") && is(versions, "versions") => {
            Some((model, Some(without_verb(version))))
        }
        [model, versions, version, ..] if (is(area, "v2") || is(area, "v1")) && is(versions, "versions") => {
            Some((model, Some(version)))
        }
        [model, ..] if is(area, "v2") || is(area, "v1") => Some((model, None)),
        _ => None,
    }
}

fn without_verb(segment: &[u8]) -> &[u8] {
    let verbs = [":predict", ":explain", ":classify", ":regress"];
    verbs.iter().find_map(|verb| segment.strip_suffix(verb.as_bytes())).unwrap_or(segment)
}

fn is(segment: &[u8], name: &str) -> bool {
    segment == name.as_bytes()
}

/// A model has a name, and `stats` are those of all models.
fn is_model(segments: &Segments) -> bool {
    model_of(segments).is_some_and(|(model, _)| !(model.is_empty() || model == b"stats" && segments.len() == 3))
}

fn is_admin(segments: &Segments) -> bool {
    match segments.as_slice() {
        [service, ..] if service.starts_with(b"mmesh.") => true,
        [service, method, ..] if is(service, "inference.GRPCInferenceService") => {
            ["Repository", "Trace", "Log"].iter().any(|area| method.starts_with(area.as_bytes()))
        }
        [v2, area, ..] if is(v2, "v2") && (is(area, "repository") || is(area, "logging") || is(area, "trace")) => true,
        [v2, models, _, trace, ..] if is(v2, "v2") && is(models, "models") => is(trace, "trace"),
        _ => false,
    }
}

/// What servers that are in use make of a path.
fn readings(path: &[u8]) -> Vec<(&'static str, Segments)> {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or_default();
    vec![
        ("a router on segments, decoded each (axum, Go's http.ServeMux on escaped paths)", decoded(split(path))),
        ("a router on the decoded path (Starlette, Tornado)", split(&decode(path))),
        (
            "a server that merges slashes and resolves dots behind decoding (nginx, Go)",
            resolved(split(&decode(path)), true),
        ),
        ("a server that resolves dots and keeps slashes (RFC 3986)", resolved(decoded(split(path)), false)),
        ("a servlet container, without path parameters", resolved(decoded(without_parameters(split(path))), true)),
        ("a URL library of browsers, with backslashes", resolved(split(&backslashes(&decode(path))), false)),
        ("a proxy that decodes once before a server that decodes again", resolved(split(&decode(&decode(path))), true)),
    ]
}

fn split(path: &[u8]) -> Segments {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect()
}

fn decoded(segments: Segments) -> Segments {
    segments.iter().map(|segment| decode(segment)).collect()
}

fn without_parameters(segments: Segments) -> Segments {
    let bare = |segment: Vec<u8>| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
    segments.into_iter().map(bare).collect()
}

fn backslashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn resolved(segments: Segments, merges_slashes: bool) -> Segments {
    let mut kept: Segments = Vec::new();
    for segment in segments {
        match segment.as_slice() {
            b"." => {}
            b".." => {
                kept.pop();
            }
            b"" if merges_slashes => {}
            _ => kept.push(segment),
        }
    }
    kept
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
