//! The module by itself, in the host of the tests: its size, its allocations, its memory over a long life.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use modelway_tests::answer::Answer;
use modelway_tests::gateway::Request;
use modelway_tests::host::{Guest, Host, Outcome, Settings};

use crate::bodies::{self, MODEL, PARAMETER, Parameters};
use crate::progress::Progress;
use crate::raw::{Of, Row, Side};
use crate::routing;

/// What the build with a counting allocator exports.
const COUNTER: &str = "modelway_allocations";

const COUNTED_REQUESTS: u32 = 1_000;
/// Until then the module's memory may find its size.
const SETTLED: usize = 5_000;
const LOADS: usize = 3;

/// The rows of the module; `counted` is the build of it whose allocator counts.
pub(crate) fn rows(
    filter: &Path,
    counted: Option<&Path>,
    long_life_requests: usize,
    progress: &Progress,
) -> Result<Vec<Row>> {
    let wasm = std::fs::read(filter).with_context(|| format!("cannot read {}", filter.display()))?;
    let guest = Guest::compile(&wasm)?;
    let mut rows = vec![
        Row::alone("filter module size", "KB", Side::one("modelway_filter.wasm", wasm.len() as f64 / 1e3))
            .goal("<= 400"),
    ];
    if let Some(counted) = counted {
        progress.say("counting the module's allocations");
        rows.extend(allocations(&Guest::compile(&std::fs::read(counted)?)?)?);
    }
    let metered = Guest::compile_metered(&wasm)?;
    rows.extend(instructions(&metered)?);
    rows.push(scan(&metered)?);
    progress.say("loading 10,000 models in the module");
    rows.extend(loads(&guest)?);
    if long_life_requests > 0 {
        rows.push(long_life(&guest, long_life_requests, progress)?);
    }
    Ok(rows)
}

fn host(guest: &Guest, routing: &serde_json::Value) -> Result<Host> {
    Host::configure(guest, &Settings::default(), routing.to_string().as_bytes())?
        .map_err(|refusal| anyhow!("the filter refuses the bench's configuration: {refusal:?}"))
}

/// The kinds of requests that are counted.
fn cases() -> [(&'static str, serde_json::Value, Request); 5] {
    [
        ("header tier", routing::header_tier(), rest_call()),
        ("path rewritten", routing::rewrite(), rest_call()),
        ("all policies on", routing::all_policies(), rest_call()),
        ("gRPC peek with rewrite", routing::rewrite(), grpc_call()),
        ("key in the body", routing::key_in_body(), json_call()),
    ]
}

/// Allocations of whole requests, from the stream's context to its end, with the answer's headers.
fn allocations(guest: &Guest) -> Result<Vec<Row>> {
    let what = "malloc, calloc, realloc and posix_memalign called in the module, from the stream's start to its end";
    let mut rows = Vec::new();
    for (name, routing, call) in cases() {
        let mut host = host(guest, &routing)?;
        let count =
            |host: &mut Host| host.ask(COUNTER).ok_or_else(|| anyhow!("the counted build does not export {COUNTER}"));
        ensure!(count(&mut host)? > 0, "the counted build counts nothing: its allocator is not the C library's");
        let each = per_request(&mut host, &call, |host| Ok(f64::from(count(host)?)))?;
        let row = Row::alone(
            &format!("filter allocations in the module per request: {name}"),
            "calls",
            Side::one(what, each),
        );
        rows.push(if name == "header tier" { row.goal("<= 12") } else { row });
    }
    Ok(rows)
}

/// WebAssembly instructions of whole requests: what no busy machine can blur.
fn instructions(guest: &Guest) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, routing, call) in cases() {
        let mut host = host(guest, &routing)?;
        let count = |host: &mut Host| Ok(host.instructions().ok_or_else(|| anyhow!("the host does not count"))? as f64);
        let each = per_request(&mut host, &call, count)?;
        let parts = parts_of_one(&mut host, &call, count)?;
        let side = Side::one(format!("wasmtime's fuel, of which {parts}"), each);
        rows.push(Row::alone(&format!("filter instructions in the module per request: {name}"), "instructions", side));
    }
    Ok(rows)
}

/// Instructions per byte of a body that is read to its end: the key stands behind the tensors.
fn scan(guest: &Guest) -> Result<Row> {
    const SIZE: usize = 1_000_000;
    let body = bodies::rest(SIZE, Parameters::BehindInputs);
    let call = with_client_headers(Request::post(&format!("/v2/models/{MODEL}/infer"), body));
    let mut host = host(guest, &routing::key_anywhere_in_body())?;
    let mut each = Vec::new();
    for _ in 0..3 {
        let before = host.instructions().unwrap_or_default();
        pass(&mut host, &call)?;
        each.push((host.instructions().unwrap_or_default() - before) as f64 / SIZE as f64);
    }
    Ok(Row::alone("filter full JSON scan of 1 MB", "instructions per byte", Side::new("wasmtime's fuel", each)))
}

/// Which part of a request takes how many.
fn parts_of_one(host: &mut Host, call: &Request, mut count: impl FnMut(&mut Host) -> Result<f64>) -> Result<String> {
    let mut counts = vec![count(host)?];
    let stream = host.request(&call.headers, call.body.is_empty());
    counts.push(count(host)?);
    for part in &call.body {
        host.data(stream, &part.bytes, true);
    }
    counts.push(count(host)?);
    host.respond(stream, &Answer::asked_by(&call.headers).head(&call.headers), true);
    counts.push(count(host)?);
    host.close(stream);
    counts.push(count(host)?);
    let parts = counts.windows(2).zip(["its headers", "its body", "the answer's headers", "its end"]);
    let texts: Vec<String> = parts
        .map(|(pair, name)| {
            format!(
                "{} for {name}",
                pair.iter().rev().copied().reduce(|after, before| after - before).unwrap_or_default()
            )
        })
        .collect();
    Ok(texts.join(", "))
}

/// How much a count grows with a request, once all has found its size.
fn per_request(host: &mut Host, call: &Request, mut count: impl FnMut(&mut Host) -> Result<f64>) -> Result<f64> {
    for _ in 0..COUNTED_REQUESTS {
        pass(host, call)?;
    }
    let before = count(host)?;
    for _ in 0..COUNTED_REQUESTS {
        pass(host, call)?;
    }
    Ok((count(host)? - before) / f64::from(COUNTED_REQUESTS))
}

/// Time and memory that a configuration takes in the module.
fn loads(guest: &Guest) -> Result<Vec<Row>> {
    let mut sides = Vec::new();
    for routing in [routing::one_model(), routing::many_models(), routing::many_models_by_pattern()] {
        let mut milliseconds = Vec::new();
        let mut bytes = 0;
        for _ in 0..LOADS {
            let started = Instant::now();
            bytes = host(guest, &routing)?.memory_size();
            milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        }
        sides.push((milliseconds, bytes as f64 / 1e6));
    }
    let mut rows = Vec::new();
    let Some(((one_time, one_bytes), rest)) = sides.split_first() else { return Ok(rows) };
    for (what, (time, bytes)) in ["10,000 models", "10,000 models by a pattern"].into_iter().zip(rest) {
        let time = (Side::new(what, time.clone()), Side::new("one model", one_time.clone()));
        rows.push(Row::against(&format!("filter {what}, load in the module"), "ms", Of::OursToPeer, time.0, time.1));
        let memory = (Side::one(what, *bytes), Side::one("one model", *one_bytes));
        rows.push(Row::against(
            &format!("filter {what}, the module's memory"),
            "MB",
            Of::OursToPeer,
            memory.0,
            memory.1,
        ));
    }
    Ok(rows)
}

/// How much the module's memory grows over requests of every kind.
fn long_life(guest: &Guest, requests: usize, progress: &Progress) -> Result<Row> {
    let mut host = host(guest, &routing::key_in_body())?;
    let calls = [rest_call(), grpc_call(), json_call(), Request::get("/anything")];
    let mut settled = 0;
    for (number, call) in calls.iter().cycle().take(requests).enumerate() {
        pass(&mut host, call)?;
        if number == SETTLED {
            settled = host.memory_size();
        }
        if number > 0 && number % requests.div_ceil(4) == 0 {
            progress.say(&format!("memory over {requests} requests: {number}"));
        }
    }
    let grown = host.memory_size().saturating_sub(settled) as f64 / 1e3;
    let what = format!("growth of {settled} bytes between request {SETTLED} and request {requests}");
    Ok(Row::alone(&format!("filter memory over {requests} requests, growth"), "KB", Side::one(what, grown))
        .goal("<= 0"))
}

/// One request through the host, with its answer.
fn pass(host: &mut Host, call: &Request) -> Result<()> {
    let stream = host.request(&call.headers, call.body.is_empty());
    for part in &call.body {
        host.data(stream, &part.bytes, true);
    }
    ensure!(
        matches!(host.outcome(stream), Outcome::Upstream(_)),
        "a request has not gone on: {:?}",
        host.outcome(stream)
    );
    host.respond(stream, &Answer::asked_by(&call.headers).head(&call.headers), true);
    host.close(stream);
    if let Some(failure) = host.failure() {
        return Err(anyhow!("the filter has died: {failure}"));
    }
    Ok(())
}

fn rest_call() -> Request {
    let body = bodies::rest(1_000, Parameters::BehindInputs);
    with_client_headers(Request::post(&format!("/v2/models/{MODEL}/infer"), body))
}

fn grpc_call() -> Request {
    with_client_headers(Request::grpc("/inference.GRPCInferenceService/ModelInfer", bodies::grpc(1_000)))
}

fn json_call() -> Request {
    let body = bodies::rest(1_000, Parameters::BeforeInputs);
    with_client_headers(Request::post(&format!("/v2/models/{MODEL}/infer?{PARAMETER}"), body))
}

/// What Envoy and a client put before a filter.
fn with_client_headers(request: Request) -> Request {
    request
        .header("user-agent", "modelway-bench/1")
        .header("accept", "*/*")
        .header("x-user-id", "user-7")
        .header("cookie", "session=8d1c0c5ab6f54f7d; mw-user=user-7")
        .header("x-forwarded-proto", "http")
        .header("x-request-id", "0ed5e0b0-2b5d-4f2f-9f0e-6a1b3c5d7e9f")
}
