//! Whole requests of any kind through a configuration that uses everything: no harm, no header that is none, the same
//! outcome however a body is cut, and on every gateway.

use std::sync::LazyLock;

use modelway_decision::Router;
use serde_json::{Value, json};

use crate::gateway::{Request, Seen, router, send, send_in_pieces};
use crate::input::Input;

/// A configuration of everything that there is.
pub fn routing() -> Value {
    json!({
        "unknownModels": "Reject", "peekLimit": 600, "onPeekLimit": "Reject",
        "models": [
            {
                "name": "iris", "aliases": ["flowers", "a/b"], "labels": { "tier": "prod", "format": 7 },
                "variants": [
                    { "name": "stable", "model": "iris-v1", "weight": 90 },
                    { "name": "canary", "model": "iris v2", "version": "2", "weight": 10, "pool": "gpu", "affinity": "base" },
                ],
                "sticky": { "salt": "s", "by": [{ "header": "x-user-id" }, { "cookie": "mw-user" }, { "parameter": "user_id" }] },
                "rules": [
                    { "name": "beta", "match": { "parameters": [{ "name": "tier", "type": "Prefix", "value": "b" }] }, "variant": "canary" },
                    { "name": "not", "match": { "not": { "headers": [{ "name": "x-a", "type": "Present" }] }, "methods": ["GET"] }, "variant": "stable" },
                ],
            },
            { "name": "plain" },
            { "name": "t-*", "variants": [{ "name": "a", "model": "b" }, { "name": "c" }] },
        ],
        "rules": [{
            "name": "over all", "variant": "canary",
            "match": { "labels": [{ "name": "tier", "value": "prod" }], "protocols": ["gRPC"], "cookies": [{ "name": "ring", "type": "In", "values": ["x", "y"] }] },
        }],
    })
}

static ROUTER: LazyLock<Router> = LazyLock::new(|| router(&routing()));
static ANOTHER_GATEWAY: LazyLock<Router> = LazyLock::new(|| router(&routing()));

/// One input: where to cut, header lines, an empty line, the body.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let cuts = input.cuts();
    let request = request(input.rest());
    let seen = send_in_pieces(&ROUTER, &request, &cuts);
    assert_eq!(send(&ANOTHER_GATEWAY, &request, &cuts), seen, "two gateways differ");
    if let Seen::Refused(status, _) = seen {
        assert!((400..500).contains(&status), "refused with {status}");
    }
}

fn request(text: &[u8]) -> Request {
    let mut request = Request { headers: Vec::new(), body: None };
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        if line.is_empty() {
            request.body = Some(rest.to_vec());
            break;
        }
        let Some(colon) = line.iter().skip(1).position(|byte| *byte == b':').map(|at| at + 1) else { continue };
        let (name, value) = (line[..colon].to_ascii_lowercase(), line[colon + 1..].trim_ascii());
        // No proxy lets a field with these in.
        if !value.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            request.headers.push((name, value.to_vec()));
        }
    }
    request
}
