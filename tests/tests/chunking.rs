//! However a body is cut into chunks, the decision and every byte that the upstream gets are the same.

#![allow(clippy::expect_used, clippy::panic, reason = "what goes wrong in a test's own helpers is to stop the test")]

use std::collections::BTreeMap;

use modelway_tests::gateway::{Message, Request};
use modelway_tests::headers::Headers;
use modelway_tests::host::{Guest, Host, Outcome, Settings};
use modelway_tests::inference::{ModelInferRequest, field, frame_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Small, so that it falls into the middle of generated bodies.
const PEEK_LIMIT: usize = 600;

fn routing(on_peek_limit: &str) -> String {
    let split = json!([
        { "name": "stable", "model": "a-much-longer-name-than-the-client-uses", "weight": 1 },
        { "name": "canary", "model": "c", "version": "2", "weight": 1 },
    ]);
    json!({ "peekLimit": PEEK_LIMIT, "onPeekLimit": on_peek_limit, "models": [
        { "name": "iris", "variants": split },
        { "name": "tuned", "variants": split, "sticky": { "by": [{ "parameter": "user_id" }] },
          "rules": [{ "name": "beta", "match": { "parameters": [{ "name": "tier", "value": "beta" }] }, "variant": "canary" }] },
    ] })
    .to_string()
}

/// How a body ends.
#[derive(Clone, Copy, Debug)]
enum End {
    WithTheLastChunk,
    AfterTheLastChunk,
    WithTrailers,
}

/// What came of a request: where it went and what of it.
#[derive(Debug, PartialEq)]
enum Seen {
    Upstream(Message),
    Reply(Message),
}

fn deliver(routing: &str, request: &Request, cuts: &[usize], end: End) -> Seen {
    let guest = Guest::filter().expect("the filter is built");
    let mut host = Host::configure(&guest, &Settings::default(), routing.as_bytes())
        .expect("the module loads")
        .expect("the filter accepts the routing");
    let stream = host.request(&request.headers, false);
    let body = request.body_bytes();
    let mut start = 0;
    for cut in cuts.iter().map(|cut| cut % (body.len() + 1)).collect::<std::collections::BTreeSet<_>>() {
        host.data(stream, &body[start..cut], false);
        start = cut;
    }
    host.data(stream, &body[start..], matches!(end, End::WithTheLastChunk));
    match end {
        End::WithTheLastChunk => {}
        End::AfterTheLastChunk => host.data(stream, b"", true),
        End::WithTrailers => host.trailers(stream, &Headers::new().with("x-checksum", "1")),
    }
    assert_eq!(host.failure(), None);
    match host.outcome(stream) {
        Outcome::Upstream(mut message) => {
            assert!(message.complete, "the end of the request was lost");
            message.trailers = None;
            Seen::Upstream(message)
        }
        Outcome::LocalReply(message) => Seen::Reply(message),
        other => panic!("the request is {other:?}"),
    }
}

fn same_however_cut(on_peek_limit: &str, request: &Request, cuts: &[usize], end: End) -> Result<Seen, TestCaseError> {
    let routing = routing(on_peek_limit);
    let whole = deliver(&routing, request, &[], End::WithTheLastChunk);
    let in_pieces = deliver(&routing, request, cuts, end);
    prop_assert_eq!(&whole, &in_pieces);
    Ok(whole)
}

/// The fields of a request in any order, some absent, name and version at most once.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let names = select(vec!["iris", "tuned", "nobody", ""]);
    let parameter = || {
        let named = (select(vec!["user_id", "tier", "other"]), select(vec!["beta", "u1", "u2", ""]));
        named.prop_map(|(name, value)| {
            field(4, &[field(1, name.as_bytes()), field(2, &field(3, value.as_bytes()))].concat())
        })
    };
    let others = prop_oneof![
        "[a-z]{0,12}".prop_map(|id| field(3, id.as_bytes())),
        parameter(),
        vec(any::<u8>(), 0..900).prop_map(|raw| field(7, &raw)),
        Just(field(5, &field(1, b"predict"))),
        Just(vec![0x98, 0x06, 0x96, 0x01]),
    ];
    (
        names,
        proptest::option::of(select(vec!["", "2", "7"])),
        vec(others, 0..6),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(name, version, mut fields, at, version_at)| {
            fields.insert(at.index(fields.len() + 1), field(1, name.as_bytes()));
            if let Some(version) = version {
                fields.insert(version_at.index(fields.len() + 1), field(2, version.as_bytes()));
            }
            fields.concat()
        })
}

fn end() -> impl Strategy<Value = End> {
    select(vec![End::WithTheLastChunk, End::AfterTheLastChunk, End::WithTrailers])
}

fn on_peek_limit() -> impl Strategy<Value = &'static str> {
    select(vec!["Default", "Reject"])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_grpc_message_is_treated_alike_however_it_is_cut(
        message in message(), cuts in vec(any::<usize>(), 0..12), end in end(), limit in on_peek_limit(), told in any::<bool>(),
    ) {
        let body = frame_bytes(&message);
        let mut request = Request::grpc(INFER, body.clone());
        if told {
            request = request.header("content-length", body.len().to_string());
        }
        let seen = same_however_cut(limit, &request, &cuts, end)?;
        let Seen::Upstream(upstream) = seen else { return Ok(()) };
        if told {
            let length = upstream.headers.text("content-length");
            prop_assert_eq!(length, Some(upstream.body.len().to_string()));
        }
        // Whatever it was renamed to, the rest of the message is the client's.
        let mut asked = <ModelInferRequest as prost::Message>::decode(message.as_slice()).expect("a valid message");
        let got = <ModelInferRequest as prost::Message>::decode(&upstream.body[5..]).expect("a valid message");
        // What stands behind the limit nobody has read.
        if let Some(target) = upstream.headers.text("x-modelway-target").filter(|_| body.len() <= PEEK_LIMIT) {
            prop_assert_eq!(&got.model_name, &target);
            prop_assert_eq!(&got.model_version, &upstream.headers.text("x-modelway-version").unwrap_or_default());
        }
        asked.model_name.clone_from(&got.model_name);
        asked.model_version.clone_from(&got.model_version);
        prop_assert_eq!(asked, got);
    }

    #[test]
    fn bytes_that_are_no_message_are_treated_alike_however_they_are_cut(
        body in vec(any::<u8>(), 0..200), framed in any::<bool>(), cuts in vec(any::<usize>(), 0..12), end in end(),
    ) {
        let body = if framed { frame_bytes(&body) } else { body };
        same_however_cut("Default", &Request::grpc(INFER, body), &cuts, end)?;
    }

    #[test]
    fn a_json_body_is_treated_alike_however_it_is_cut(
        members in vec(member(), 0..6), cuts in vec(any::<usize>(), 0..12), end in end(), limit in on_peek_limit(),
    ) {
        let request = Request::post("/v2/models/tuned/infer", format!("{{{}}}", members.join(",")));
        let seen = same_however_cut(limit, &request, &cuts, end)?;
        if let Seen::Upstream(upstream) = seen {
            prop_assert_eq!(upstream.body, request.body_bytes());
        }
    }

    #[test]
    fn text_that_is_no_json_is_treated_alike_however_it_is_cut(
        body in "[\\[\\]{}\",:\\\\a-zé0-9 ]{0,80}", cuts in vec(any::<usize>(), 0..12), end in end(),
    ) {
        let request = Request::post("/v2/models/tuned/infer", body);
        same_however_cut("Default", &request, &cuts, end)?;
    }
}

/// A member of a request in JSON.
fn member() -> impl Strategy<Value = String> {
    let text = || "[a-zé\\\\\"/\u{1}]{0,8}";
    let value = prop_oneof![
        text().prop_map(|text| json!(text)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|truth| json!(truth)),
        Just(json!({ "user_id": "not this", "tier": ["beta"] })),
    ];
    let parameters = proptest::collection::btree_map(
        select(vec!["user_id".to_owned(), "tier".to_owned(), "x".to_owned()]),
        value,
        0..3,
    );
    prop_oneof![
        parameters.prop_map(|parameters: BTreeMap<String, serde_json::Value>| format!(
            "\"parameters\": {}",
            json!(parameters)
        )),
        vec(-9.5..9.5f64, 0..120).prop_map(|data| format!("\"inputs\":[{{\"name\":\"x\",\"data\":{}}}]", json!(data))),
        text().prop_map(|id| format!("\"id\" :{}", json!(id))),
    ]
}
