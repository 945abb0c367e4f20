//! The brake: `docs/examples/brake.yaml`.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::check::{answered, send, variant};
use super::{Case, cases};
use crate::answer::BROKEN_VARIANT;
use crate::examples;
use crate::gateway::{Exchange, Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Long enough for every worker to have looked at what all know.
const SYNC: Duration = Duration::from_millis(250);

pub(super) fn cases() -> Vec<Case> {
    let example = || Setup::example("brake");
    [
        cases![example().labelled("brake over REST"); a_failing_variant_loses_its_traffic],
        cases![example().labelled("brake over gRPC"); failures_in_trailers_count],
        cases![example().labelled("too few"); too_few_requests_prove_nothing],
        cases![Setup::new(&impatient()).labelled("brake and probe"); good_probes_bring_a_variant_back],
    ]
    .concat()
}

/// The example with a short wait for a probe.
fn impatient() -> Value {
    let mut routing = examples::routing("brake");
    if let Some(brake) = routing.pointer_mut("/models/0/variants/1/brake") {
        brake["probeAfter"] = json!("400ms");
    }
    routing
}

fn rest(user: usize) -> Request {
    Request::post("/v2/models/mnist/infer", "{}").header("x-user-id", format!("user-{user}"))
}

fn grpc(user: usize) -> Request {
    Request::grpc(INFER, frame(&infer("mnist", 8))).header("x-user-id", format!("user-{user}"))
}

fn failing(request: Request) -> Request {
    request.header(BROKEN_VARIANT, "canary")
}

fn has_failed(exchange: &Exchange) -> Result<bool> {
    let answer = answered(exchange)?;
    let trailers = answer.trailers.as_ref().and_then(|trailers| trailers.text("grpc-status"));
    Ok(answer.headers.get(":status") != Some(b"200") || trailers.is_some_and(|status| status != "0"))
}

/// How many went to the canary; each of them must have failed or not, as said, and no other.
fn canaries(exchanges: &[Exchange], fails: bool) -> Result<usize> {
    let mut count = 0;
    for exchange in exchanges {
        let Some(upstream) = &exchange.upstream else { continue };
        let is_canary = variant(upstream)? == "canary";
        ensure!(has_failed(exchange)? == (is_canary && fails), "{:?}", exchange.answer);
        count += usize::from(is_canary);
    }
    Ok(count)
}

fn wait(gateway: &mut dyn Gateway, pause: Duration) -> Result<()> {
    send(gateway, Request::post("/v2/models/other/infer", "{}").after(pause)).map(drop)
}

fn is_braked(gateway: &mut dyn Gateway, request: impl Fn(usize) -> Request) -> Result<()> {
    let before = gateway.exchange((0..80).map(|user| failing(request(user))).collect())?;
    let hit = canaries(&before, true)?;
    ensure!(hit >= 20, "only {hit} of 80 went to the canary");
    wait(gateway, SYNC)?;
    // The first request after the pause brings the worker up to date.
    let after = gateway.exchange((0..80).map(|user| failing(request(user))).collect())?;
    let hit = canaries(&after, true)?;
    ensure!(hit == 0, "{hit} of 80 still went to the canary");
    Ok(())
}

fn a_failing_variant_loses_its_traffic(gateway: &mut dyn Gateway) -> Result<()> {
    is_braked(gateway, rest)
}

fn failures_in_trailers_count(gateway: &mut dyn Gateway) -> Result<()> {
    is_braked(gateway, grpc)
}

fn too_few_requests_prove_nothing(gateway: &mut dyn Gateway) -> Result<()> {
    let before = gateway.exchange((0..12).map(|user| failing(rest(user))).collect())?;
    ensure!(canaries(&before, true)? > 0, "none of the twelve went to the canary");
    wait(gateway, SYNC)?;
    let after = gateway.exchange((0..12).map(rest).collect())?;
    ensure!(canaries(&after, false)? > 0, "the canary lost its traffic");
    Ok(())
}

fn good_probes_bring_a_variant_back(gateway: &mut dyn Gateway) -> Result<()> {
    is_braked(gateway, rest)?;
    wait(gateway, Duration::from_millis(500))?;
    let probed = canaries(&gateway.exchange((0..80).map(rest).collect())?, false)?;
    ensure!((1..=5).contains(&probed), "{probed} requests were probes, expected at most 5");
    wait(gateway, SYNC)?;
    let back = canaries(&gateway.exchange((0..80).map(rest).collect())?, false)?;
    ensure!(back >= 20, "only {back} of 80 went to the canary that is well again");
    Ok(())
}
