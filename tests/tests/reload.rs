//! A running Envoy gets another configuration of the filter while 500 requests a second go through it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use modelway_tests::envoy::ReloadingEnvoy;
use modelway_tests::gateway::{Message, Part, REQUEST_MARK, Request, Setup};
use modelway_tests::host::filter_path;
use modelway_tests::inference::{ModelInferRequest, frame, infer, messages, with_parameter};
use modelway_tests::load::{self, Sample};
use modelway_tests::upstream::Upstream;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const RATE: u32 = 500;
/// How long each configuration is in force.
const PHASE: Duration = Duration::from_secs(3);
/// The last answer by an old configuration may come so long after the reload.
const GRACE: Duration = Duration::from_secs(1);
/// Envoy's counters of the discovery of the filter's configuration.
const DISCOVERY: &str = "extension_config_discovery.http_filter.modelway";

/// A configuration whose every name says which one it is, with all the weight on one variant.
fn generation(number: u32) -> Setup {
    let weights = if number % 2 == 1 { [100, 0] } else { [0, 100] };
    let variants: Vec<_> = ["stable", "canary"]
        .into_iter()
        .zip(weights)
        .map(|(variant, weight)| {
            let name = |what: &str| format!("{what}-{variant}-{number}");
            json!({
                "name": variant, "weight": weight, "model": name("model"), "version": name("version"),
                "pool": name("pool"), "affinity": name("affinity"),
            })
        })
        .collect();
    Setup::new(&json!({ "models": [
        { "name": "digits", "variants": variants },
        { "name": "tuned", "variants": variants, "sticky": { "by": [{ "parameter": "user_id" }] } },
    ] }))
    .with_workers(2)
}

fn expected_variant(number: u32) -> &'static str {
    if number % 2 == 1 { "stable" } else { "canary" }
}

/// REST by its path, REST held for a parameter, gRPC held for its message, gRPC held while its message is under way.
fn request(number: u64) -> Request {
    let request = match number % 4 {
        0 => Request::post("/v2/models/digits/infer", r#"{"inputs":[]}"#),
        1 => Request::post("/v2/models/tuned/infer", r#"{"parameters":{"user_id":"u7"},"inputs":[]}"#),
        2 => Request::grpc(INFER, frame(&with_parameter(infer("tuned", 900), "user_id", "u7"))),
        _ => {
            let body = frame(&infer("digits", 30));
            let (start, rest) = body.split_at(9);
            let mut request = Request::grpc(INFER, start);
            request.body.push(Part { after: Duration::from_millis(50), bytes: rest.to_vec() });
            request
        }
    };
    request.header(REQUEST_MARK, number.to_string())
}

/// The rate is meant for one gateway at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Gateway {
    envoy: ReloadingEnvoy,
    upstream: Upstream,
    runtime: Runtime,
    _alone: MutexGuard<'static, ()>,
}

impl Gateway {
    fn start(setup: &Setup) -> Result<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let upstream = Upstream::start(runtime.handle())?;
        let envoy = ReloadingEnvoy::start(runtime.handle(), setup, &filter_path(), upstream.address())?;
        Ok(Self { envoy, upstream, runtime, _alone: alone })
    }

    /// Load for as long as the configurations take, each handed over when the one before has been in force for a phase;
    /// what came of each request and when the reloads were.
    fn reload_under_load(&mut self, phase: Duration, setups: &[Setup]) -> Result<(Vec<Sample>, Vec<Instant>)> {
        let Self { envoy, runtime, .. } = self;
        let address = envoy.envoy().address();
        let phases = u32::try_from(setups.len() + 1)?;
        let count = (phase * phases).as_millis() as u64 * u64::from(RATE) / 1000;
        let load = runtime.spawn(load::run(address, RATE, count, request));
        let mut reloads = Vec::new();
        for setup in setups {
            runtime.block_on(async { tokio::time::sleep(phase).await });
            reloads.push(envoy.reload(setup)?);
        }
        Ok((runtime.block_on(load)??, reloads))
    }

    /// The generation that routed a request; it must have been all of one.
    fn generation_of(&self, sample: &Sample) -> Result<u32> {
        let answer = sample.answer.as_ref().map_err(|failure| anyhow::anyhow!("no answer: {failure}"))?;
        ensure!(answer.headers.get(":status") == Some(b"200"), "answered {:?}", answer.headers);
        ensure!(answer.headers.get("x-modelway-served").is_some(), "the gateway answered itself: {:?}", answer.headers);
        let received = self.upstream.take(&sample.number.to_string()).context("the upstream got nothing")?;
        let pool = received.headers.text("x-modelway-pool").context("no pool")?;
        let number: u32 = pool.rsplit('-').next().unwrap_or_default().parse().context(pool)?;
        whole(number, &received, answer).with_context(|| format!("{:?}", received.headers))?;
        Ok(number)
    }

    fn stat(&self, name: &str) -> Result<u64> {
        Ok(self.runtime.block_on(self.envoy.envoy().stat(&format!("{DISCOVERY}.{name}")))?.unwrap_or_default())
    }

    fn wait_for_stat(&self, name: &str, least: u64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.stat(name)? < least {
            ensure!(Instant::now() < deadline, "{name} never became {least}: {}", self.envoy.envoy().log());
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(10)).await });
        }
        Ok(())
    }
}

/// Every trace of the decision, in headers, path or message and answer, must be of this generation.
fn whole(number: u32, received: &Message, answer: &Message) -> Result<()> {
    let variant = expected_variant(number);
    for headers in [&received.headers, &answer.headers] {
        let seen: Vec<_> = headers.all("x-modelway-variant").collect();
        ensure!(seen == [variant.as_bytes()], "generation {number} chose {seen:?}");
    }
    let expected = |what: &str| format!("{what}-{variant}-{number}");
    for (header, what) in [("target", "model"), ("version", "version"), ("pool", "pool"), ("affinity", "affinity")] {
        let seen: Vec<_> = received.headers.all(&format!("x-modelway-{header}")).map(<[u8]>::to_vec).collect();
        ensure!(seen == [expected(what).into_bytes()], "{header} is not {}", expected(what));
    }
    let (model, version) = if received.headers.get(":path") == Some(INFER.as_bytes()) {
        let bodies = messages(&received.body).context("the body is not whole frames")?;
        let message = bodies.first().context("no message")?;
        let message = <ModelInferRequest as prost::Message>::decode(*message)?;
        (message.model_name, message.model_version)
    } else {
        let path = received.headers.text(":path").unwrap_or_default();
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["", "v2", "models", model, "versions", version, "infer"] => ((*model).to_owned(), (*version).to_owned()),
            other => anyhow::bail!("the path became {other:?}"),
        }
    };
    ensure!(model == expected("model") && version == expected("version"), "the upstream reads {model} {version}");
    Ok(())
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures that the acceptance asks for")]
fn all_traffic_switches_to_and_fro_under_load_and_nobody_notices() -> Result<()> {
    let mut gateway = Gateway::start(&generation(1))?;
    let (samples, reloads) = gateway.reload_under_load(PHASE, &[generation(2), generation(3)])?;
    ensure!(samples.len() == 4_500, "{} requests were sent", samples.len());

    let mut routed = [0_u32; 3];
    let mut last_old = [Duration::ZERO; 2];
    for sample in &samples {
        let number = gateway.generation_of(sample).with_context(|| format!("request {}", sample.number))?;
        *routed.get_mut(number as usize - 1).context("no such generation")? += 1;
        if let Some(reload) = reloads.get(number as usize - 1) {
            let late = sample.answered.saturating_duration_since(*reload);
            ensure!(late <= GRACE, "generation {number} still answered {late:?} after the reload");
            let last = last_old.get_mut(number as usize - 1).context("no such reload")?;
            *last = late.max(*last);
        }
    }
    ensure!(routed.iter().all(|count| *count > 1_000), "the generations routed {routed:?}");
    let slowest = samples.iter().map(|sample| sample.answered - sample.sent).max().unwrap_or_default();
    println!("{} requests, none failed, routed by generation {routed:?}", samples.len());
    println!("last old answers {last_old:?} after the reloads, slowest answer {slowest:?}");
    Ok(())
}

#[test]
fn many_reloads_in_a_row_under_load_are_each_whole() -> Result<()> {
    let mut gateway = Gateway::start(&generation(1))?;
    let generations: Vec<Setup> = (2..=20).map(generation).collect();
    let (samples, _) = gateway.reload_under_load(Duration::from_millis(150), &generations)?;
    for sample in &samples {
        gateway.generation_of(sample).with_context(|| format!("request {}", sample.number))?;
    }
    // A busy machine may be behind; it must get there.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (samples, _) = gateway.reload_under_load(Duration::from_millis(100), &[])?;
        let numbers: Result<Vec<u32>> = samples.iter().map(|sample| gateway.generation_of(sample)).collect();
        if numbers?.iter().all(|number| *number == 20) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the last configuration never came into force");
    }
}

#[test]
fn a_configuration_that_is_wrong_changes_nothing_until_it_is_mended() -> Result<()> {
    let mut gateway = Gateway::start(&generation(1))?;
    let wrong = Setup::new(&json!({ "models": [{ "name": "digits", "variants": [{ "nam": "stable" }] }] }));
    let (samples, _) = gateway.reload_under_load(Duration::from_millis(500), &[wrong])?;
    gateway.wait_for_stat("config_fail", 1)?;
    for sample in &samples {
        let number = gateway.generation_of(sample).with_context(|| format!("request {}", sample.number))?;
        ensure!(number == 1, "routed by generation {number}");
    }
    let log = gateway.envoy.envoy().log();
    ensure!(log.contains("models[0].variants[0]"), "the log does not say what is wrong: {log}");

    let before = gateway.stat("config_reload")?;
    gateway.envoy.reload(&generation(2))?;
    gateway.wait_for_stat("config_reload", before + 1)?;
    let (samples, _) = gateway.reload_under_load(Duration::from_millis(500), &[])?;
    for sample in &samples {
        ensure!(gateway.generation_of(sample)? == 2, "the mended configuration does not route");
    }
    Ok(())
}
