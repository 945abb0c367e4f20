use super::*;
use crate::peek::Unread;
use crate::rewrite::Prefix;

type Pairs<'a> = Vec<(&'a str, &'a str)>;

fn router(more: &str) -> Router {
    let json = format!(
        r#"{{{more} "models": [{{"name": "chat", "aliases": ["gpt"],
            "variants": [{{"name": "stable", "model": "org/chat-v1"}}, {{"name": "canary", "model": "chat-v2", "version": 2, "weight": 0}}],
            "rules": [
                {{"name": "stream", "match": {{"parameters": [{{"name": "stream", "value": true}}]}}, "variant": "canary"}},
                {{"name": "old", "match": {{"protocols": ["V1"], "headers": [{{"name": "x-beta", "type": "Present"}}]}}, "variant": "canary"}}
            ]}}]}}"#
    );
    Router::from_json(json.as_bytes()).unwrap()
}

fn post<'a>(path: &'a str, more: &[(&'a str, &'a str)]) -> Pairs<'a> {
    [&[(":method", "POST"), (":path", path)][..], more].concat()
}

/// What becomes of a request with this body: target, path and body for the upstream, or the refusal.
fn sent(router: &Router, head: &Pairs<'_>, body: &str) -> String {
    let (route, peek) = match router.start(head, true, 0) {
        Start::Known(route) => (route, None),
        Start::Read(mut peek) => {
            router.read(head, &mut peek, body.as_bytes());
            (Route::Pass, Some(peek))
        }
    };
    let route = if peek.is_some() { router.finish(head, peek.as_deref(), 0) } else { route };
    match route {
        Route::Pass => "pass".to_owned(),
        Route::Reply(reply) => format!("{} {:?} {}", reply.status, reply.dialect, reply.message),
        Route::To(decision) => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let body = match peek.as_ref().filter(|_| decision.rewrites_message) {
                None => body.to_owned(),
                Some(peek) => {
                    let read = &body.as_bytes()[..peek.renamed_bytes()];
                    let Prefix { replaces, with } = peek.renamed(read, &decision.target, None).unwrap();
                    text(&[&with, &body.as_bytes()[replaces..]].concat())
                }
            };
            let path = decision.path.as_deref().map_or("same path".to_owned(), text);
            format!("{} {path} {body}", text(&decision.target))
        }
    }
}

#[test]
fn openais_body_names_the_model_and_is_renamed() {
    let router = router("");
    let head = post("/v1/chat/completions", &[]);
    for (body, expected) in [
        (r#"{"model":"chat","messages":[]}"#, r#"org/chat-v1 same path {"model":"org/chat-v1","messages":[]}"#),
        (r#"{"messages":[],"model":"gpt"}"#, r#"org/chat-v1 same path {"messages":[],"model":"org/chat-v1"}"#),
        (r#"{"model":"chat","stream":true}"#, r#"chat-v2 same path {"model":"chat-v2","stream":true}"#),
        (r#"{"model":"nobody"}"#, r#"nobody same path {"model":"nobody"}"#),
        (r#"{"messages":[]}"#, "pass"),
        ("no json", "pass"),
        (r#"{"model":"a\nb"}"#, "400 OpenAi the model's name or version has control characters, or spaces at its ends"),
    ] {
        assert_eq!(sent(&router, &head, body), expected, "{body}");
    }
}

#[test]
fn other_content_types_and_calls_without_a_body_pass() {
    let router = router("");
    let head = post("/v1/audio/transcriptions", &[("content-type", "multipart/form-data; boundary=x")]);
    assert_eq!(sent(&router, &head, "--x"), "pass");
    assert!(matches!(router.start(&post("/v1/embeddings", &[]), false, 0), Start::Known(Route::Pass)));
    assert!(matches!(router.start(&post("/v1/models", &[]), true, 0), Start::Known(Route::Pass)));
}

#[test]
fn v1_calls_are_decided_by_their_path() {
    let router = router("");
    for (path, more, expected) in [
        ("/v1/models/chat:predict?x=1", None, "org/chat-v1 /v1/models/org%2Fchat-v1:predict?x=1 {}"),
        ("/v1/models/chat:explain", Some(("x-beta", "1")), "chat-v2 /v1/models/chat-v2:explain {}"),
        ("/v1/models/gpt", None, "org/chat-v1 /v1/models/org%2Fchat-v1 {}"),
        ("/v1/models/chat/versions/2:predict", None, "chat-v2 /v1/models/chat-v2/versions/2:predict {}"),
        ("/openai/v1/models/chat", None, "org/chat-v1 /openai/v1/models/org%2Fchat-v1 {}"),
    ] {
        let more: Vec<_> = more.into_iter().collect();
        assert_eq!(sent(&router, &post(path, &more), "{}"), expected);
    }
}

#[test]
fn a_refusal_speaks_the_protocol_that_was_asked_in() {
    let router = router(r#""unknownModels": "Reject", "pathPrefixes": ["/team"],"#);
    let grpc = ("content-type", "application/grpc");
    for (path, more, body, expected) in [
        ("/v1/chat/completions", None, r#"{"model":"chaat"}"#, "404 OpenAi model 'chaat' is not known, did you mean"),
        ("/team/openai/v1/completions", None, "{}", "400 OpenAi the message names no model: model is empty"),
        ("/openai/v1/embeddings", None, "x", "400 OpenAi cannot read the request"),
        ("/v1/./embeddings", None, "x", "400 OpenAi the path can be read"),
        ("/v1/models/x:predict", None, "{}", "404 Rest model 'x'"),
        ("/v2/models/x/infer", None, "{}", "404 Rest model 'x'"),
        ("/v2/repository/index", None, "{}", "403 Rest administrative"),
        ("/inference.GRPCInferenceService/ModelInfer", Some(grpc), "\0\0\0\0\x03\n\x01x", "404 Grpc model 'x'"),
    ] {
        let more: Vec<_> = more.into_iter().collect();
        let outcome = sent(&router, &post(path, &more), body);
        assert!(outcome.starts_with(expected), "{path}: {outcome}");
    }
}

#[test]
fn a_prefix_stays_when_a_path_is_rewritten() {
    let router = router(r#""pathPrefixes": ["/serving/team-a"],"#);
    let head = post("/serving/team-a/v1/models/chat:predict", &[]);
    assert_eq!(sent(&router, &head, ""), "org/chat-v1 /serving/team-a/v1/models/org%2Fchat-v1:predict ");
    let faults = Router::from_json(br#"{"pathPrefixes": ["/a/", "a", "/a%20b", "/a/../b", "", "/"]}"#).unwrap_err();
    let faults = faults.to_string();
    assert!((0..6).all(|index| faults.contains(&format!("pathPrefixes[{index}]: expected a path"))), "{faults}");
}

#[test]
fn strict_refuses_what_fast_passes_on() {
    let fast = router("");
    let strict = router(r#""mode": "Strict","#);
    let gzip = [("content-encoding", "gzip")];
    let grpc = [("content-type", "application/grpc")];
    let v2 = "/v2/models/chat/infer";
    let openai = "/v1/completions";
    let infer = "/inference.GRPCInferenceService/ModelInfer";
    for (path, more, body, refusal) in [
        (v2, &[][..], r#"{"x":1,"x":2}"#, "comes twice"),
        (v2, &[], r#"{"parameters":{"stream":false}}{"#, "behind the end"),
        (v2, &[], r#"{"parameters":{"stream":false"#, "ends too early"),
        (v2, &gzip, "\u{1f}gzip", "compressed"),
        (openai, &[], r#"{"model":"chat","model":"gpt"}"#, "comes twice"),
        (openai, &gzip, r#"{"model":"chat"}"#, "compressed"),
        (infer, &grpc, "\0\0\0\0\x0c\n\x04chat\n\x04chat", "comes twice"),
        (infer, &grpc, "\x01\0\0\0\x06\n\x04chat", "compressed"),
        (infer, &grpc, "\0\0\0\0\x09\n\x04chat", "ends too early"),
    ] {
        let head = post(path, more);
        let (passed, refused) = (sent(&fast, &head, body), sent(&strict, &head, body));
        assert!(!passed.starts_with("400"), "{path} {body}: {passed}");
        assert!(refused.starts_with("400") && refused.contains(refusal), "{path} {body}: {refused}");
    }
    for (path, more, body) in [
        (v2, &[][..], r#"{"parameters":{"stream":false},"inputs":[]}  "#),
        (v2, &[("inference-header-content-length", "2")][..], "{}\u{1}\u{2}"),
        (v2, &[("inference-header-content-length", "0")], "\u{1}\u{2}"),
        (v2, &[("content-length", "2")], "{}"),
        (v2, &[], ""),
        (openai, &[], r#"{"model":"chat","messages":[{"a":1,"a":2}]}"#),
        (infer, &grpc, "\0\0\0\0\x06\n\x04chat"),
    ] {
        let head = post(path, more);
        let outcome = sent(&strict, &head, body);
        assert_eq!(outcome, sent(&fast, &head, body));
        assert!(outcome.starts_with("org/chat-v1"), "{path} {body}: {outcome}");
    }
}

#[test]
fn strict_reads_no_body_that_routing_does_not_need() {
    let router = Router::from_json(br#"{"mode": "Strict", "models": [{"name": "m"}]}"#).unwrap();
    assert!(matches!(router.start(&post("/v2/models/m/infer", &[]), true, 0), Start::Known(Route::To(_))));
}

#[test]
fn strict_with_reject_lets_nothing_through_that_it_has_not_read() {
    let body = format!(r#"{{"model":"chat","prompt":"{}"}}"#, "x".repeat(2000));
    let head = post("/v1/completions", &[]);
    let strict = router(r#""mode": "Strict", "peekLimit": 1024, "onPeekLimit": "Reject","#);
    assert!(sent(&strict, &head, &body).contains("longer than the 1024 bytes"));
    let strict = router(r#""mode": "Strict", "peekLimit": 1024,"#);
    assert!(sent(&strict, &head, &body).starts_with("org/chat-v1"));
}

#[test]
fn a_peek_says_why_it_could_not_read() {
    let router = router(r#""peekLimit": 512,"#);
    let long = format!(r#"{{"prompt":"{}"#, "x".repeat(600));
    for (more, body, expected) in [
        (&[][..], r#"{"model":"chat"}"#, None),
        (&[], "no json", Some(Unread::Malformed)),
        (&[("content-encoding", "br")][..], "no json", Some(Unread::Compressed)),
        (&[("content-encoding", "identity")][..], "no json", Some(Unread::Malformed)),
        (&[], &long, Some(Unread::PastLimit)),
    ] {
        let head = post("/v1/completions", more);
        let Start::Read(mut peek) = router.start(&head, true, 0) else { panic!("not read") };
        assert!(router.read(&head, &mut peek, body.as_bytes()));
        assert_eq!(peek.unread(), expected, "{body:.20}");
    }
    let head = post("/inference.GRPCInferenceService/ModelInfer", &[("content-type", "application/grpc")]);
    let Start::Read(mut peek) = router.start(&head, true, 0) else { panic!("not read") };
    assert!(router.read(&head, &mut peek, b"\x01\0\0\0\x01x"));
    assert_eq!(peek.unread(), Some(Unread::Compressed));
}

#[test]
fn a_transcoded_call_is_decided_by_its_original_path_and_gets_a_tail() {
    let head = |original: &'static str| {
        post(
            "/inference.GRPCInferenceService/ModelInfer",
            &[("content-type", "application/grpc"), ("x-envoy-original-path", original)],
        )
    };
    let fields = |router: &Router, original| match router.start(&head(original), true, 0) {
        Start::Known(Route::To(decision)) => {
            assert_eq!(decision.path, None);
            (String::from_utf8(decision.target.into_owned()).unwrap(), decision.tail.is_some())
        }
        other => panic!("{other:?}"),
    };
    let rewriting = router("");
    assert_eq!(fields(&rewriting, "/v2/models/chat/infer"), ("org/chat-v1".to_owned(), true));
    assert_eq!(fields(&rewriting, "/v2/models/chat/versions/2/infer"), ("chat-v2".to_owned(), true));
    assert_eq!(fields(&rewriting, "/v2/models/other/infer"), ("other".to_owned(), true));
    let by_headers = router(r#""rewrite": "Headers","#);
    assert_eq!(fields(&by_headers, "/v2/models/chat/infer"), ("org/chat-v1".to_owned(), false));
    assert!(matches!(rewriting.start(&head("/x"), true, 0), Start::Read(_)));
    let ambiguous = head("/v2/models/a/../chat/infer");
    let Start::Known(Route::Reply(reply)) = rewriting.start(&ambiguous, true, 0) else { panic!("not refused") };
    assert_eq!((reply.status, reply.dialect), (400, Dialect::Grpc));
}
