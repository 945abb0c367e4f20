//! What the built modules are from outside: their size, what a gateway calls of them, and the one without body callbacks.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, ensure};
use modelway_tests::gateway::{Gateway as _, HostGateway, Request, Setup};
use modelway_tests::host::{Guest, filter_path};
use modelway_tests::inference::{frame, infer};
use serde_json::{Value, json};

/// Every worker of every gateway loads it.
const LARGEST: usize = 400_000;

const EVERYWHERE: [&str; 10] = [
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_memory_allocate",
    "proxy_on_request_headers",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
];

const FOR_BODIES: [&str; 4] =
    ["proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_response_body", "proxy_on_tick"];

fn headers_only_path() -> PathBuf {
    filter_path().with_file_name("modelway_filter_headers.wasm")
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("no module at {}: build it with `make wasm`", path.display()))
}

fn headers_only(routing: &Value) -> Result<HostGateway> {
    let guest = Guest::compile(&read(&headers_only_path())?)?;
    HostGateway::start(&Setup::new(routing), &guest)?.map_err(|refusal| anyhow!("refused: {refusal:?}"))
}

fn iris(keys: &Value) -> Value {
    json!({ "models": [{
        "name": "iris",
        "variants": [{ "name": "stable", "model": "iris-v1", "weight": 1 }, { "name": "canary", "model": "iris-v2", "weight": 1 }],
        "sticky": { "by": keys },
    }] })
}

#[test]
fn a_gateway_calls_only_what_is_used() -> Result<()> {
    for (path, others) in [(filter_path(), &FOR_BODIES[..]), (headers_only_path(), &[])] {
        let wasm = read(&path)?;
        ensure!(wasm.len() <= LARGEST, "{} has {} bytes, more than {LARGEST}", path.display(), wasm.len());
        let mut expected: Vec<&str> = EVERYWHERE.into_iter().chain(others.iter().copied()).collect();
        expected.sort_unstable();
        let mut exports = Guest::compile(&wasm)?.exports();
        exports.sort_unstable();
        ensure!(exports == expected, "{} exports {exports:?}", path.display());
    }
    Ok(())
}

#[test]
fn without_body_callbacks_headers_decide() -> Result<()> {
    let mut gateway = headers_only(&iris(&json!([{ "header": "x-user-id" }])))?;
    ensure!(gateway.log()?.is_empty(), "{:?}", gateway.log()?);
    let grpc = Request::grpc("/inference.GRPCInferenceService/ModelInfer", frame(&infer("iris", 10)));
    let requests = vec![Request::post("/v2/models/iris/infer", "{}").header("x-user-id", "u1"), grpc];
    let targets: Vec<Option<String>> = gateway
        .exchange(requests)?
        .iter()
        .map(|exchange| exchange.upstream.as_ref()?.headers.text("x-modelway-target"))
        .collect();
    let [Some(rest), None] = targets.as_slice() else { anyhow::bail!("went to {targets:?}") };
    ensure!(["iris-v1", "iris-v2"].contains(&rest.as_str()), "went to {rest}");
    Ok(())
}

#[test]
fn without_body_callbacks_a_configuration_that_needs_them_is_warned_of() -> Result<()> {
    let mut gateway = headers_only(&iris(&json!([{ "parameter": "user_id" }])))?;
    let requests = (0..3).map(|_| Request::post("/v2/models/iris/infer", r#"{"parameters":{"user_id":"u1"}}"#));
    for exchange in gateway.exchange(requests.collect())? {
        ensure!(exchange.upstream.is_some(), "held: {:?}", exchange.failure);
    }
    let log = gateway.log()?;
    let warnings = log.iter().filter(|line| line.contains("modelway_filter.wasm")).count();
    ensure!(warnings == 1, "{log:?}");
    Ok(())
}
