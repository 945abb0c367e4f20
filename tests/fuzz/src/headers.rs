//! Cookies, query parameters and keys: the same request written in another way goes the same way.

use std::sync::LazyLock;

use modelway_decision::Router;
use serde_json::json;

use crate::gateway::{Headers, Request, Seen, router, send};
use crate::input::Input;

const PATH: &str = "/v2/models/m";

static ROUTER: LazyLock<Router> = LazyLock::new(|| {
    let rule = |what: &str, name: &str, kind: &str, value: &str| {
        let condition = match kind {
            "Present" => json!({ "name": name, "type": kind }),
            "In" => json!({ "name": name, "type": kind, "values": value.split(' ').collect::<Vec<_>>() }),
            _ => json!({ "name": name, "type": kind, "value": value }),
        };
        let variant = format!("{what}-{kind}");
        json!({ "name": variant, "match": { what: [condition] }, "variant": variant })
    };
    let rules = json!([
        rule("cookies", "ring", "Exact", "inner"),
        rule("cookies", "ring", "Prefix", "out"),
        rule("cookies", "ring", "In", "dog food"),
        rule("cookies", "debug", "Present", ""),
        rule("query", "q", "Exact", "a b"),
        rule("query", "q", "RegularExpression", "[a-c]+d?"),
        rule("query", "debug", "Present", ""),
        rule("headers", "x-tier", "Prefix", "gold"),
        rule("headers", "x-tier", "RegularExpression", r"\w+@(\d|x)*"),
        { "name": "host", "match": { "hosts": ["*.beta.example", "[::1]"] }, "variant": "host" },
    ]);
    let mut variants: Vec<_> = (0..4).map(|number| json!({ "name": format!("split-{number}") })).collect();
    let named = rules.as_array().into_iter().flatten();
    variants.extend(named.map(|rule| json!({ "name": rule["variant"], "weight": 0 })));
    router(&json!({ "models": [{
        "name": "m", "variants": variants, "rules": rules,
        "sticky": { "by": [{ "cookie": "mw-user" }, { "header": "x-user-id" }] },
    }] }))
});

/// One input: lines of `name: value`, of which `:path` is the query.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let text = input.rest();
    let request = request(text);
    let seen = send(&ROUTER, &request, &[]);
    assert!(matches!(seen, Seen::Routed(_)), "{seen:?}");

    let with = |headers: Headers| Request { headers, body: None };
    let goes_the_same_way = |how: &str, headers: Headers| {
        assert_eq!(variant(&send(&ROUTER, &with(headers.clone()), &[])), variant(&seen), "{how}: {headers:?}");
    };
    goes_the_same_way("sent again", request.headers.clone());
    goes_the_same_way("cookies in one header", cookies_joined(&request.headers));
    goes_the_same_way("each cookie in a header of its own", cookies_split(&request.headers));
    let mut more = request.headers.clone();
    more.insert(usize::from(choice) % (more.len() + 1), (b"x-other".to_vec(), b"ring=inner; mw-user=x".to_vec()));
    more.push((b"cookie".to_vec(), b"unrelated=1".to_vec()));
    goes_the_same_way("with fields that nobody asks for", more);

    any_value_can_be_written(text);
    a_user_is_the_same_in_a_cookie_and_a_header(text);
}

fn variant(seen: &Seen) -> Option<&[u8]> {
    seen.variant()
}

fn request(text: &[u8]) -> Request {
    let mut request = Request::new("GET", PATH.as_bytes(), None);
    for line in text.split(|byte| *byte == b'\n').take(20) {
        let Some(colon) = line.iter().skip(1).position(|byte| *byte == b':').map(|at| at + 1) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if value.iter().any(u8::is_ascii_control) {
            continue;
        }
        match name {
            b":path" => request.headers[1].1 = [PATH.as_bytes(), b"?", value].concat(),
            b":authority" => request.headers[2].1 = value.to_vec(),
            name if name.starts_with(b":") => {}
            name => request.headers.push((name.to_ascii_lowercase(), value.to_vec())),
        }
    }
    request
}

fn is_cookie(field: &(Vec<u8>, Vec<u8>)) -> bool {
    field.0 == b"cookie"
}

fn cookies_joined(headers: &Headers) -> Headers {
    let all: Vec<&[u8]> = headers.iter().filter(|field| is_cookie(field)).map(|(_, value)| value.as_slice()).collect();
    let mut joined: Headers = headers.iter().filter(|field| !is_cookie(field)).cloned().collect();
    joined.push((b"cookie".to_vec(), all.join(&b"; "[..])));
    joined
}

fn cookies_split(headers: &Headers) -> Headers {
    let mut split = Headers::new();
    for field in headers {
        if is_cookie(field) {
            let crumbs = field.1.split(|byte| *byte == b';');
            split.extend(crumbs.map(|crumb| (b"cookie".to_vec(), crumb.to_vec())));
        } else {
            split.push(field.clone());
        }
    }
    split
}

/// Whatever the value, a query that says it is read as that value.
fn any_value_can_be_written(value: &[u8]) {
    let Ok(text) = std::str::from_utf8(value) else { return };
    let router = router(&json!({ "models": [{
        "name": "m", "variants": [{ "name": "no" }, { "name": "yes", "weight": 0 }],
        "rules": [{ "name": "r", "match": { "query": [{ "name": "k y", "value": text }] }, "variant": "yes" }],
    }] }));
    let escaped: String = value.iter().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("{PATH}?a=1&k+y={escaped}&b");
    let seen = send(&router, &Request::new("GET", path.as_bytes(), None), &[]);
    assert_eq!(seen.variant(), Some(&b"yes"[..]), "{path}");
}

fn a_user_is_the_same_in_a_cookie_and_a_header(user: &[u8]) {
    if user.is_empty() || user.trim_ascii() != user || user.iter().any(|byte| matches!(byte, b';' | b'"' | b'\n')) {
        return;
    }
    let by_header = Request::new("GET", PATH.as_bytes(), None).header("x-user-id", user);
    let cookie = [b"a=b; mw-user=", user].concat();
    let by_cookie = Request::new("GET", PATH.as_bytes(), None).header("cookie", cookie);
    assert_eq!(send(&ROUTER, &by_header, &[]).variant(), send(&ROUTER, &by_cookie, &[]).variant());
}
