//! A canary that begins to fail while 200 requests a second go through an Envoy with several workers.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use modelway_tests::answer::BROKEN_VARIANT;
use modelway_tests::envoy::Envoy;
use modelway_tests::gateway::{Protocol, Request, Setup};
use modelway_tests::host::filter_path;
use modelway_tests::inference::{frame, infer};
use modelway_tests::load::{self, Sample};
use modelway_tests::upstream::Upstream;
use tokio::runtime::{Builder, Runtime};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const RATE: u32 = 200;
/// The first request that the canary fails, two seconds after the start.
const FIRST_BROKEN: u64 = 2 * RATE as u64;
/// Up to here the brake does not probe yet: the example waits for five seconds.
const COUNT: u64 = FIRST_BROKEN + 9 * RATE as u64 / 2;
const USERS: u64 = 101;
/// A failing variant has lost its traffic after this time.
const LIMIT: Duration = Duration::from_secs(1);

/// The rate is meant for one gateway at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Gateway {
    envoy: Envoy,
    workers: u32,
    _upstream: Upstream,
    runtime: Runtime,
    _alone: MutexGuard<'static, ()>,
}

/// What a client sees.
struct Seen {
    user: u64,
    canary: bool,
    failed: bool,
    sent: Instant,
    answered: Instant,
}

// === impl Gateway ===

impl Gateway {
    fn start(workers: u32) -> Result<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let upstream = Upstream::start(runtime.handle())?;
        let setup = Setup::example("brake").with_workers(workers);
        let envoy = Envoy::start(runtime.handle(), &setup, &filter_path(), upstream.address())?;
        Ok(Self { envoy, workers, _upstream: upstream, runtime, _alone: alone })
    }

    fn load(&self, request: fn(u64) -> Request) -> Result<Vec<Seen>> {
        let broken = move |number| {
            let request = request(number).header("x-user-id", format!("user-{}", number % USERS));
            if number < FIRST_BROKEN { request } else { request.header(BROKEN_VARIANT, "canary") }
        };
        let samples = self.runtime.block_on(load::run(self.envoy.address(), RATE, COUNT, broken))?;
        samples.iter().map(|sample| seen(sample).with_context(|| format!("request {}", sample.number))).collect()
    }

    /// Every worker must have had its part.
    fn all_workers_were_asked(&self) -> Result<()> {
        for worker in 0..self.workers {
            let name = format!("listener.*.worker_{worker}.downstream_cx_total");
            let connections = self.runtime.block_on(self.envoy.stat(&name))?;
            ensure!(connections.is_some_and(|count| count > 0), "worker {worker} had {connections:?} connections");
        }
        Ok(())
    }
}

fn seen(sample: &Sample) -> Result<Seen> {
    let answer = sample.answer.as_ref().map_err(|failure| anyhow!("no answer: {failure}"))?;
    let variant = answer.headers.text("x-modelway-variant").context("no variant")?;
    let status = answer.trailers.as_ref().and_then(|trailers| trailers.text("grpc-status"));
    Ok(Seen {
        user: sample.number % USERS,
        canary: variant == "canary",
        failed: answer.headers.get(":status") != Some(b"200") || status.is_some_and(|status| status != "0"),
        sent: sample.sent,
        answered: sample.answered,
    })
}

fn rest(_: u64) -> Request {
    // Over few connections that stay, so that every worker has some of them.
    Request::post("/v2/models/mnist/infer", r#"{"inputs":[]}"#).over(Protocol::Http2)
}

/// Its failures are in the trailers, behind a 200.
fn grpc(_: u64) -> Request {
    Request::grpc(INFER, frame(&infer("mnist", 40)))
}

fn both(number: u64) -> Request {
    if number.is_multiple_of(2) { rest(number) } else { grpc(number) }
}

#[allow(clippy::print_stdout, reason = "the figure that the acceptance asks for")]
fn the_share_is_zero_within_a_second(workers: u32, request: fn(u64) -> Request) -> Result<()> {
    let gateway = Gateway::start(workers)?;
    let seen = gateway.load(request)?;
    gateway.all_workers_were_asked()?;

    let healthy = seen.get(..FIRST_BROKEN as usize).context("too few requests")?;
    let of_canary: Vec<u64> = healthy.iter().filter(|it| it.canary).map(|it| it.user).collect();
    ensure!(of_canary.len() > 100, "{} of {} went to the canary before it failed", of_canary.len(), healthy.len());
    ensure!(healthy.iter().all(|it| !it.failed), "something failed before the canary did");

    let first = seen.iter().find(|it| it.failed).context("the canary never failed")?.answered;
    for it in &seen {
        ensure!(it.canary || !it.failed, "user {} saw an error of the stable variant", it.user);
        if !of_canary.contains(&it.user) {
            ensure!(!it.canary && !it.failed, "user {} is not the canary's, and got it", it.user);
        }
        let late = it.sent.saturating_duration_since(first);
        ensure!(!it.canary || late < LIMIT, "a request {late:?} after the first failure went to the canary");
    }
    let after = seen.iter().filter(|it| it.sent > first + LIMIT);
    ensure!(after.count() > 500, "too few requests after the limit");
    let last = seen.iter().rev().find(|it| it.canary).context("the canary got nothing")?.sent;
    let failures = seen.iter().filter(|it| it.failed).count();
    println!("{workers} workers: the share was zero {:?} after the first failure, {failures} failed", last - first);
    Ok(())
}

#[test]
fn failures_over_rest() -> Result<()> {
    the_share_is_zero_within_a_second(2, rest)
}

#[test]
fn failures_over_grpc_in_trailers() -> Result<()> {
    the_share_is_zero_within_a_second(2, grpc)
}

#[test]
fn failures_over_both_at_four_workers() -> Result<()> {
    the_share_is_zero_within_a_second(4, both)
}
