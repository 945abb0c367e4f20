//! What a filter must stand over a long life: clients that go away in the middle, and any number of requests.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use modelway_tests::gateway::Request;
use modelway_tests::headers::Headers;
use modelway_tests::host::{Guest, Host, Outcome, Settings};
use modelway_tests::inference::{frame, infer, with_parameter};
use serde_json::json;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

fn host(stop_iteration: bool) -> Result<Host> {
    let routing = json!({ "unknownModels": "Reject", "models": [{
        "name": "iris",
        "variants": [{ "name": "stable", "model": "iris-v1" }, { "name": "canary", "model": "iris-v2" }],
        "sticky": { "by": [{ "header": "x-user-id" }, { "parameter": "user_id" }] },
    }, { "name": "tenant-*", "sticky": { "by": [{ "parameter": "user_id" }] }, "variants": [{ "name": "a" }, { "name": "b" }] }] });
    let settings = Settings { allow_on_headers_stop_iteration: stop_iteration, ..Settings::default() };
    Host::configure(&Guest::filter()?, &settings, routing.to_string().as_bytes())?
        .map_err(|refusal| anyhow!("the filter refused: {refusal:?}"))
}

fn calls() -> Vec<Request> {
    vec![
        Request::get("/v2/models/iris").header("x-user-id", "u1"),
        Request::post("/v2/models/iris/infer", r#"{"parameters":{"user_id":"u1"},"inputs":[]}"#),
        Request::grpc(INFER, frame(&with_parameter(infer("iris", 2_000), "user_id", "u2"))),
        Request::grpc(INFER, frame(&infer("nobody", 10))),
        Request::post("/v2/repository/index", "{}"),
        Request::get("/anything"),
    ]
}

#[test]
fn a_client_that_goes_away_while_its_request_is_held_harms_nobody() -> Result<()> {
    for stop_iteration in [true, false] {
        let mut host = host(stop_iteration)?;
        for call in calls() {
            let left = host.request(&call.headers, false);
            let stayed = host.request(&call.headers, false);
            host.close(left);
            host.advance(Duration::from_secs(1));
            host.data(stayed, &call.body_bytes(), true);
            host.advance(Duration::from_secs(1));
            ensure!(host.failure().is_none(), "the filter died: {:?}", host.failure());
            ensure!(host.outcome(stayed) != Outcome::Held, "{:?} is held for ever", call.headers);
            host.close(stayed);
        }
    }
    Ok(())
}

#[test]
fn many_requests_at_once_are_each_routed_by_their_own_body() -> Result<()> {
    let mut host = host(true)?;
    let users: Vec<String> = (0..200).map(|number| format!("u{number}")).collect();
    let bodies: Vec<Vec<u8>> =
        users.iter().map(|user| frame(&with_parameter(infer("iris", 50), "user_id", user))).collect();
    let head = Request::grpc(INFER, "").headers;
    let streams: Vec<_> = bodies.iter().map(|_| host.request(&head, false)).collect();
    for piece in 0..4 {
        for (stream, body) in streams.iter().zip(&bodies) {
            let length = body.len().div_ceil(4);
            let chunk = body.chunks(length).nth(piece).unwrap_or_default();
            host.data(*stream, chunk, piece == 3);
        }
    }
    for (stream, body) in streams.iter().zip(&bodies) {
        let alone = host.request(&head, false);
        host.data(alone, body, true);
        ensure!(host.outcome(*stream) == host.outcome(alone), "a request was routed by another's body");
    }
    Ok(())
}

/// The requests of a round: other users, other models, other lengths than in the one before.
fn calls_of(round: usize) -> Vec<Request> {
    let user = format!("u{round}");
    let json = |user: &str| format!(r#"{{"parameters":{{"user_id":"{user}"}},"inputs":[{{"name":"x","shape":[1]}}]}}"#);
    vec![
        Request::get("/v2/models/iris").header("x-user-id", &user),
        Request::post("/v2/models/iris/infer", json(&user)),
        Request::post(&format!("/v2/models/tenant-{round}/infer"), json(&user)),
        Request::grpc(INFER, frame(&with_parameter(infer("iris", round % 5_000), "user_id", &user))),
        Request::grpc(INFER, frame(&infer(&format!("nobody-{round}"), 10))),
        Request::grpc(INFER, vec![0xff; round % 50]),
        Request::post(&format!("/v2/models/nobody-{round}/infer"), "{}"),
        Request::post("/v2/repository/index", "{}"),
        Request::get(&format!("/anything/{round}")),
        Request::get("/v2/models/x/../iris"),
    ]
}

/// How many requests the memory is watched over, in each of the two ways to be held.
fn watched_requests() -> usize {
    let asked = std::env::var("MODELWAY_SOAK_REQUESTS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(50_000)
}

#[test]
fn memory_does_not_grow_with_the_requests() -> Result<()> {
    let rounds = watched_requests() / calls_of(0).len();
    for stop_iteration in [true, false] {
        let mut host = host(stop_iteration)?;
        let mut settled = 0;
        for round in 0..rounds {
            for (index, call) in calls_of(round).iter().enumerate() {
                let stream = host.request(&call.headers, call.body.is_empty());
                // Of some, only half comes before the client is gone.
                let body = call.body_bytes();
                let leaves = (round + index) % 7 == 0;
                if !call.body.is_empty() {
                    let sent = if leaves { body.len() / 2 } else { body.len() };
                    host.data(stream, body.get(..sent).unwrap_or_default(), !leaves);
                }
                if round % 50 == 0 {
                    host.advance(Duration::from_millis(200));
                }
                if let Outcome::Upstream(_) = host.outcome(stream) {
                    let head = Headers::new().with(":status", "200");
                    host.respond(stream, &head, true);
                }
                host.close(stream);
            }
            if round == rounds / 10 {
                settled = host.memory_size();
            }
        }
        ensure!(host.failure().is_none(), "the filter died: {:?}", host.failure());
        ensure!(host.memory_size() == settled, "{settled} bytes have become {}", host.memory_size());
    }
    Ok(())
}
