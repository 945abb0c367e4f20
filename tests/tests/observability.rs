//! What a real Envoy makes of what the filter leaves behind: Prometheus' text, access logs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use modelway_tests::answer::Answer;
use modelway_tests::gateway::{EnvoyGateway, Gateway as _, Request, Setup};
use modelway_tests::host::filter_path;
use modelway_tests::inference::{frame, infer};
use serde_json::Value;

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const SOON: Duration = Duration::from_secs(5);

/// One sample of Prometheus' text: its name, its labels, its value.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// The samples of the filter. A line that is none is a fault of the text.
fn samples(text: &str) -> Result<Vec<Sample>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && line.contains("modelway_"));
    lines.map(|line| sample(line).with_context(|| format!("no sample: {line}"))).collect()
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{')?;
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let mut labels_by_name = BTreeMap::new();
    let mut rest = labels.strip_suffix('}')?;
    while !rest.is_empty() {
        let (label, behind) = rest.split_once("=\"")?;
        let (value, behind) = behind.split_once('"')?;
        if !is_name(label) {
            return None;
        }
        labels_by_name.insert(label.to_owned(), value.to_owned());
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some(Sample { name: name.to_owned(), labels: labels_by_name, value: value.parse().ok()? })
        .filter(|sample| is_name(&sample.name))
}

#[test]
fn prometheus_reads_a_label_for_each_thing_that_is_counted_by() -> Result<()> {
    let mut gateway = EnvoyGateway::start(&Setup::example("metrics"), &filter_path())?;
    let rest = |answer: &Answer| Request::post("/v2/models/mnist/infer", "{}").answered_by(answer);
    gateway.exchange(vec![rest(&Answer::default()), rest(&Answer::status(503))])?;
    gateway.exchange(vec![Request::grpc(INFER, frame(&infer("mnist", 10))).header("x-beta", "true")])?;
    gateway.exchange(vec![Request::get("/v2/models/llama-3.1%22%7D%3B8b@x:y"), Request::get("/v2/logging")])?;

    let deadline = Instant::now() + SOON;
    let has = |samples: &[Sample], name: &str, labels: &[(&str, &str)], value: f64| {
        let is_it = |sample: &Sample| {
            let own = labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|it| it == value));
            sample.name == name && own && (sample.value - value).abs() < 1e-9 && sample.labels.len() == labels.len()
        };
        samples.iter().any(is_it)
    };
    let requests = "modelway_requests_total";
    let of = |model, variant, protocol, outcome| {
        [("model", model), ("variant", variant), ("protocol", protocol), ("outcome", outcome)]
    };
    loop {
        let samples = samples(&gateway.prometheus()?)?;
        let is_complete = has(&samples, requests, &of("mnist", "stable", "rest", "ok"), 1.0)
            && has(&samples, requests, &of("mnist", "stable", "rest", "server_error"), 1.0)
            && has(&samples, requests, &of("mnist", "canary", "grpc", "ok"), 1.0)
            && has(&samples, requests, &of("llama-3.1%22%7D%3B8b@x:y", "-", "rest", "ok"), 1.0)
            && has(&samples, "modelway_refused_total", &[("reason", "forbidden")], 1.0)
            && has(&samples, "modelway_request_milliseconds_count", &[("model", "mnist"), ("variant", "stable")], 2.0)
            && has(&samples, "modelway_request_milliseconds_count", &[("model", "mnist"), ("variant", "canary")], 1.0);
        if is_complete {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not all is there: {samples:#?}");
    }
}

#[test]
fn an_access_log_shows_model_variant_target_and_exposure() -> Result<()> {
    const FORMAT: &str = "ACCESS %FILTER_STATE(wasm.modelway.model:PLAIN)% %FILTER_STATE(wasm.modelway.variant:PLAIN)% \
                          %FILTER_STATE(wasm.modelway.target:PLAIN)% %FILTER_STATE(wasm.modelway.exposure:PLAIN)%\n";
    let setup = Setup { access_log: Some(FORMAT), ..Setup::example("metrics") };
    let mut gateway = EnvoyGateway::start(&setup, &filter_path())?;
    let requests = vec![
        Request::get("/v2/models/plain"),
        Request::grpc(INFER, frame(&infer("mnist", 10))).header("x-user-id", "u1"),
        Request::get("/anything"),
    ];
    gateway.exchange(requests)?;
    let deadline = Instant::now() + SOON;
    loop {
        let log = gateway.envoy_log();
        let lines: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("ACCESS ")).collect();
        if lines.len() == 3 {
            ensure!(lines.contains(&"plain - plain -"), "{lines:?}");
            ensure!(lines.contains(&"- - - -"), "{lines:?}");
            let exposed = lines.iter().find_map(|line| line.strip_prefix("mnist canary sklearn-mnist-v2 "));
            let record: Value = serde_json::from_str(exposed.with_context(|| format!("{lines:?}"))?)?;
            ensure!(
                record["experiment"] == "second-version" && record["arm"] == "treatment" && record["model"] == "mnist",
                "{record}"
            );
            ensure!(
                record["time"].is_string() && record["unit"].is_string() && record["reason"].is_string(),
                "{record}"
            );
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{lines:?} in {log}");
    }
}
