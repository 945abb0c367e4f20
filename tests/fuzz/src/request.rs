//! Whole requests of any kind through a configuration that uses everything: no harm, no header that is none, the same
//! outcome however a body is cut, and on every gateway.

use std::sync::LazyLock;

use modelway_decision::Router;
use serde_json::{Value, json};

use crate::gateway::{Request, Seen, router, send, send_in_pieces};
use crate::input::Input;

/// A configuration of everything that there is.
pub fn routing() -> Value {
    let keys = json!([
        { "header": "x-user-id" }, { "cookie": "mw-user" }, { "parameter": "user_id" }, { "claim": "sub" },
        "requestId", "sourceAddress",
    ]);
    let ramp = json!({
        "steps": [{ "at": "2026-11-01T00:00:00Z", "weight": 5 }, { "at": "2027-01-01T00:00:00Z", "weight": 50.5 }],
        "freezes": [{ "from": "2026-12-01T00:00:00Z", "until": "2026-12-02T00:00:00Z" }],
    });
    let brake = json!({ "errorRate": 0.1, "latency": "1s", "window": "10s", "minimumRequests": 20 });
    json!({
        "unknownModels": "Reject", "peekLimit": 600, "onPeekLimit": "Reject",
        "testers": { "secret": "0123456789abcdef" },
        "headerNames": { "presets": ["GatewayApi", "Seldon"], "variant": "x-variant" },
        "scopes": [{ "name": "team", "pathPrefix": "/serving/team-a", "hosts": ["team.example"] }],
        "layers": [{ "name": "ui", "holdOut": 5 }],
        "experiments": [{
            "name": "ranker", "by": keys, "layer": "ui", "traffic": { "from": 0, "to": 80 }, "allow": ["u7"], "deny": ["u8"],
            "arms": [{ "name": "on", "variants": { "t-*": "a" } }, { "name": "off", "weight": 2, "variants": { "t-*": "c" } }],
        }],
        "models": [
            {
                "name": "iris", "aliases": ["flowers", "a/b"], "labels": { "tier": "prod", "format": 7 },
                "defaultVersion": "latest",
                "variants": [
                    { "name": "stable", "model": "iris-v1", "weight": 90, "version": 1, "cluster": "c", "authority": "a.example" },
                    { "name": "canary", "model": "iris v2", "version": "2", "ramp": ramp, "pool": "gpu", "affinity": "base" },
                    { "name": "third", "version": 2, "versionLabels": ["next"], "brake": brake },
                ],
                "sticky": { "salt": "s", "by": keys, "cookie": { "name": "mw-user" } },
                "rules": [
                    { "name": "beta", "match": { "parameters": [{ "name": "tier", "type": "Prefix", "value": "b" }] }, "variant": "canary" },
                    { "name": "not", "match": { "not": { "headers": [{ "name": "x-a", "type": "Present" }] }, "methods": ["GET"] }, "variant": "stable" },
                    { "name": "large", "match": { "batchSize": { "min": 4 }, "inputs": [{ "datatype": "FP32", "shape": [-1, 4] }] }, "variant": "third" },
                    { "name": "raw", "match": { "encodings": ["Raw", "Binary"] }, "split": [{ "variant": "canary" }, { "variant": "third", "weight": 3 }] },
                    { "name": "near", "match": { "sourceAddresses": ["10.0.0.0/8"], "contentLength": { "min": 1, "max": 100 } }, "variant": "stable" },
                ],
            },
            { "name": "plain" },
            { "name": "scoped", "scope": "team" },
            {
                "name": "t-*", "variants": [{ "name": "a" }, { "name": "c" }, { "name": "s", "weight": 0, "cluster": "s" }],
                "shadow": { "variant": "s", "percent": 50 },
            },
        ],
        "rules": [{
            "name": "over all", "variant": "canary",
            "match": {
                "labels": [{ "name": "tier", "value": "prod" }], "protocols": ["gRPC"],
                "cookies": [{ "name": "ring", "type": "In", "values": ["x", "y"] }], "claims": [{ "name": "group", "value": "a" }],
            },
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
