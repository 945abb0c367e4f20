//! Regular expressions: what ours takes and another engine takes too, both match alike.

use modelway_decision::Router;
use regex_lite::RegexBuilder;
use serde_json::json;

use crate::gateway::{Request, send};

/// One input: a pattern and, behind a line's end, values.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, values) = text.split_once('\n').unwrap_or((text, ""));
    let routing = json!({ "models": [{
        "name": "m", "variants": [{ "name": "no" }, { "name": "yes", "weight": 0 }],
        "rules": [{
            "name": "r", "match": { "headers": [{ "name": "x", "type": "RegularExpression", "value": pattern }] },
            "variant": "yes",
        }],
    }] });
    let Ok(router) = Router::from_json(routing.to_string().as_bytes()) else { return };
    // Ours is about bytes, the other about characters: they are the same in ASCII.
    let other = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build();
    let other = other.ok().filter(|_| text.is_ascii());
    for value in values.split('\n').chain([""]) {
        let request = Request::new("GET", b"/v2/models/m", None).header("x", value);
        let ours = send(&router, &request, &[]).variant() == Some(b"yes");
        if let Some(other) = &other {
            assert_eq!(ours, other.is_match(value), "{pattern:?} on {value:?}");
        }
    }
}
