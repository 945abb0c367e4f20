//! The gateway does what the same decision says outside of it: random requests over random configurations, in the
//! host and through a real Envoy. `modelway explain` is that decision.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use modelway_decision::header::Headers as _;
use modelway_decision::{Decision, Route, Router, Start};
use modelway_tests::client;
use modelway_tests::envoy::ReloadingEnvoy;
use modelway_tests::gateway::{Gateway as _, HostGateway, Message, REQUEST_MARK, Request, Setup};
use modelway_tests::host::{Guest, filter_path};
use modelway_tests::inference::{ModelInferRequest, messages};
use modelway_tests::random::Random;
use modelway_tests::upstream::Upstream;
use prost::Message as _;
use serde_json::{Value, json};

/// What is to become of a request.
#[derive(Debug)]
enum Expected {
    Pass,
    Reply { status: u16, grpc_status: u32, message: String },
    To { headers: Vec<(String, Vec<u8>)>, path: Vec<u8>, named: Option<String> },
}

/// The request's head as the decision sees it.
fn head(request: &Request) -> Vec<(Vec<u8>, Vec<u8>)> {
    request.headers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

fn expected(router: &Router, request: &Request) -> Expected {
    let head = head(request);
    let body = request.body_bytes();
    match router.start(&head, !body.is_empty(), 0) {
        Start::Known(route) => shown(router, request, route),
        Start::Read(mut peek) => {
            router.read(&head, &mut peek, &body);
            shown(router, request, router.finish(&head, Some(&*peek), 0))
        }
    }
}

fn shown(router: &Router, request: &Request, route: Route<'_>) -> Expected {
    match route {
        Route::Pass => Expected::Pass,
        Route::Reply(reply) => {
            Expected::Reply { status: reply.status, grpc_status: reply.grpc_status, message: reply.message }
        }
        Route::To(decision) => Expected::To {
            headers: router
                .headers()
                .filter_map(|(field, name)| Some((name.to_owned(), decision.field(field)?.to_vec())))
                .collect(),
            path: decision.path.clone().unwrap_or_else(|| head(request).first(b":path").unwrap_or_default().to_vec()),
            named: named(request, &decision),
        },
    }
}

/// The name that the upstream must read in a message.
fn named(request: &Request, decision: &Decision<'_>) -> Option<String> {
    let message = messages(&request.body_bytes())?.first().copied().map(ModelInferRequest::decode)?.ok()?;
    let target = String::from_utf8_lossy(&decision.target).into_owned();
    Some(if decision.rewrites_message { target } else { message.model_name })
}

fn agrees(expected: &Expected, request: &Request, answer: &Message, upstream: Option<&Message>) -> Result<()> {
    match expected {
        Expected::Pass => {
            let seen = upstream.context("the upstream got nothing")?;
            let ours = seen.headers.iter().find(|(name, _)| name.starts_with(b"x-modelway-"));
            ensure!(ours.is_none(), "passed with {ours:?}");
            ensure!(seen.body == request.body_bytes(), "the body has changed");
        }
        Expected::Reply { status, grpc_status, message } => {
            ensure!(upstream.is_none(), "the upstream got {upstream:?}");
            if let Some(seen) = answer.headers.text("grpc-status") {
                ensure!(seen == grpc_status.to_string(), "grpc-status {seen}, expected {grpc_status}");
                return Ok(());
            }
            ensure!(answer.headers.text(":status") == Some(status.to_string()), "status {:?}", answer.headers);
            let body: Value = serde_json::from_slice(&answer.body)?;
            let said = body["error"].as_str().or_else(|| body["error"]["message"].as_str());
            ensure!(said == Some(message), "said {said:?}, expected {message:?}");
        }
        Expected::To { headers, path, named } => {
            let seen = upstream.with_context(|| format!("the upstream got nothing, the client {answer:?}"))?;
            for (name, value) in headers {
                let found = seen.headers.get(name);
                ensure!(found == Some(value), "{name} is {found:?}, expected {}", value.escape_ascii());
            }
            let ours = seen.headers.iter().filter(|(name, _)| name.starts_with(b"x-modelway-")).count();
            let contract = headers.as_slice().iter().filter(|(name, _)| name.starts_with("x-modelway-")).count();
            ensure!(ours == contract, "{ours} headers of ours, expected {contract}: {:?}", seen.headers);
            ensure!(seen.headers.get(":path") == Some(path), "the path is {:?}", seen.headers.text(":path"));
            if let Some(named) = named {
                let found = messages(&seen.body).context("no frames")?.first().copied().map(ModelInferRequest::decode);
                let found = found.context("no message")??.model_name;
                ensure!(found == *named, "the message names {found}, expected {named}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_host_does_what_the_decision_says_for_ten_thousand_random_requests() -> Result<()> {
    let guest = Guest::filter()?;
    let mut random = Random::new(7);
    let mut compared = 0;
    for number in 0..200 {
        let routing = random.routing();
        let router =
            Router::from_json(routing.to_string().as_bytes()).map_err(|error| anyhow!("{error}: {routing}"))?;
        let mut gateway = HostGateway::start(&Setup::new(&routing), &guest)?
            .map_err(|refusal| anyhow!("refused: {refusal:?}: {routing}"))?;
        for index in 0..50 {
            let request = random.request(index % 2 == 1);
            let expected = expected(&router, &request);
            let exchange = gateway.exchange(vec![request.clone()])?.pop().context("lost")?;
            let answer = exchange.answer.as_ref().context("no answer")?;
            agrees(&expected, &request, answer, exchange.upstream.as_ref()).with_context(|| {
                format!("configuration {number} {routing}, request {request:?}, expected {expected:?}")
            })?;
            compared += 1;
        }
    }
    ensure!(compared == 10_000, "{compared} compared");
    Ok(())
}

#[test]
fn envoy_does_what_the_decision_says_over_two_hundred_random_configurations() -> Result<()> {
    const CONFIGURATIONS: u64 = 200;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let upstream = Upstream::start(runtime.handle())?;
    let first = Setup::new(&with_probe(&Random::new(0).routing(), 0));
    let mut envoy = ReloadingEnvoy::start(runtime.handle(), &first, &filter_path(), upstream.address())?;
    let mut random = Random::new(99);
    let mut mark = 0_u64;
    let mut send = |address, request: Request| -> Result<(Message, Option<Message>)> {
        mark += 1;
        let mark = mark.to_string();
        let answer = runtime.block_on(client::send(address, request.header(REQUEST_MARK, &mark)))?;
        Ok((answer, upstream.take(&mark)))
    };
    for number in 1..=CONFIGURATIONS {
        let routing = with_probe(&random.routing(), number);
        let router =
            Router::from_json(routing.to_string().as_bytes()).map_err(|error| anyhow!("{error}: {routing}"))?;
        envoy.reload(&Setup::new(&routing))?;
        let address = envoy.envoy().address();
        // Two workers take the configuration up, each for itself: until ten connections in a row show it.
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut in_a_row = 0;
        while in_a_row < 10 {
            let (_, seen) = send(address, Request::get("/v2/models/probe"))?;
            let pool = seen.and_then(|seen| seen.headers.text("x-modelway-pool"));
            in_a_row = if pool == Some(number.to_string()) { in_a_row + 1 } else { 0 };
            ensure!(Instant::now() < deadline, "configuration {number} never came: {}", envoy.envoy().log());
        }
        for _ in 0..6 {
            // Every other configuration is asked over gRPC.
            let request = random.request(number % 2 == 1);
            let expected = expected(&router, &request);
            let (answer, seen) = send(address, request.clone())?;
            agrees(&expected, &request, &answer, seen.as_ref()).with_context(|| {
                format!("configuration {number} {routing}, request {request:?}, expected {expected:?}")
            })?;
        }
    }
    Ok(())
}

/// The same with a model that tells which configuration it is of.
fn with_probe(routing: &Value, number: u64) -> Value {
    let mut routing = routing.clone();
    if let Some(models) = routing["models"].as_array_mut() {
        models.push(json!({ "name": "probe", "variants": [{ "name": "only", "pool": number.to_string() }] }));
    }
    routing
}
