//! What is counted, and under which names.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::check::{answered, pass, send};
use super::{Case, cases, routing_with, standard};
use crate::answer::Answer;
use crate::gateway::{Gateway, Request, Setup, Stats};
use crate::inference::{frame, frame_bytes, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Something that the gateway notes when a stream is over may come a little after its answer.
const SOON: Duration = Duration::from_secs(3);

pub(super) fn cases() -> Vec<Case> {
    let alone = |label| standard().labelled(label);
    let mut all = cases![alone("counted"); requests_are_counted_by_model_variant_protocol_and_outcome];
    all.extend(cases![alone("counted, left"); a_client_that_leaves_is_counted_as_aborted]);
    all.extend(cases![alone("counted, refused"); what_the_filter_refuses_is_counted_by_reason]);
    all.extend(cases![alone("counted, unread"); bodies_that_cannot_be_read_are_counted_by_reason]);
    all.extend(cases![alone("counted, flood"); names_that_clients_make_up_share_one_series_beyond_the_cap]);
    all.extend(cases![alone("counted, odd"); a_name_of_odd_bytes_stays_within_its_label]);
    all.extend(cases![alone("counted, latency"); without_asking_for_them_no_latencies_are_kept]);
    all.extend(
        cases![Setup::new(&routing_with("stats", json!({ "enabled": false }))); nothing_is_counted_where_that_is_off],
    );
    let missing = || Setup { label: "counted, missing", ..standard().without_stop_iteration() };
    all.extend(cases![missing(); a_gateway_that_shows_no_bodies_is_told_by_a_gauge]);
    all
}

/// The name of a series of requests.
fn series(model: &str, variant: &str, protocol: &str, outcome: &str) -> String {
    format!(
        "model=.={model};.;variant=.={variant};.;protocol=.={protocol};.;outcome=.={outcome};.;modelway_requests_total"
    )
}

fn reason(reason: &str, name: &str) -> String {
    format!("reason=.={reason};.;{name}")
}

/// Waits until the gateway has counted what is asked for.
fn until(gateway: &mut dyn Gateway, is_there: impl Fn(&Stats) -> bool) -> Result<Stats> {
    let deadline = Instant::now() + SOON;
    loop {
        let stats = gateway.stats()?;
        if is_there(&stats) {
            return Ok(stats);
        }
        ensure!(Instant::now() < deadline, "not counted: {stats:?}");
    }
}

fn counted(gateway: &mut dyn Gateway, name: &str, times: u64) -> Result<()> {
    until(gateway, |stats| stats.get(name) == Some(&times)).with_context(|| format!("{name} should be {times}"))?;
    Ok(())
}

fn requests_are_counted_by_model_variant_protocol_and_outcome(gateway: &mut dyn Gateway) -> Result<()> {
    let rest = || Request::post("/v2/models/iris/infer", "{}");
    let grpc = || Request::grpc(INFER, frame(&infer("flowers", 10))).header("x-beta", "true");
    for status in [200, 201, 404, 429, 500, 503, 503] {
        answered(&send(gateway, rest().answered_by(&Answer::status(status)))?)?;
    }
    for status in [0, 0, 5, 14] {
        answered(&send(gateway, grpc().answered_by(&Answer::grpc_status(status)))?)?;
        let at_once = Answer { headers_only: true, ..Answer::grpc_status(status) };
        answered(&send(gateway, grpc().answered_by(&at_once))?)?;
    }
    answered(&send(gateway, grpc().answered_by(&Answer::status(503)))?)?;
    answered(&send(gateway, Request::get("/anything"))?)?;
    for (name, times) in [
        (series("iris", "stable", "rest", "ok"), 2),
        (series("iris", "stable", "rest", "client_error"), 2),
        (series("iris", "stable", "rest", "server_error"), 3),
        (series("flowers", "canary", "grpc", "ok"), 4),
        (series("flowers", "canary", "grpc", "client_error"), 2),
        (series("flowers", "canary", "grpc", "server_error"), 3),
    ] {
        counted(gateway, &name, times)?;
    }
    let stats = gateway.stats()?;
    let all: u64 = stats.iter().filter(|(name, _)| name.ends_with("requests_total")).map(|(_, times)| times).sum();
    ensure!(all == 16, "16 calls for models, but {stats:?}");
    Ok(())
}

fn a_client_that_leaves_is_counted_as_aborted(gateway: &mut dyn Gateway) -> Result<()> {
    let never = Answer { never: true, ..Answer::default() };
    let patience = Duration::from_millis(300);
    let rest = Request::post("/v2/models/iris/infer", "{}").answered_by(&never).gives_up_after(patience);
    let grpc = Request::grpc(INFER, frame(&infer("iris", 10))).answered_by(&never).gives_up_after(patience);
    gateway.exchange(vec![rest, grpc])?;
    counted(gateway, &series("iris", "stable", "rest", "aborted"), 1)?;
    counted(gateway, &series("iris", "stable", "grpc", "aborted"), 1)
}

fn what_the_filter_refuses_is_counted_by_reason(gateway: &mut dyn Gateway) -> Result<()> {
    for request in [
        Request::post("/v2/repository/index", "{}"),
        Request::get("/v2/logging"),
        Request::get("/v2/models/iris//infer"),
    ] {
        answered(&send(gateway, request)?)?;
    }
    counted(gateway, &reason("forbidden", "modelway_refused_total"), 2)?;
    counted(gateway, &reason("invalid", "modelway_refused_total"), 1)?;
    let stats = gateway.stats()?;
    ensure!(!stats.keys().any(|name| name.ends_with("requests_total")), "nobody was asked: {stats:?}");
    Ok(())
}

fn bodies_that_cannot_be_read_are_counted_by_reason(gateway: &mut dyn Gateway) -> Result<()> {
    let ruled = |body: &str| Request::post("/v2/models/ruled/infer", body);
    let long = format!(r#"{{"inputs":"{}"}}"#, "x".repeat(30_000));
    let mut compressed = frame_bytes(&[7; 20]);
    if let Some(flag) = compressed.first_mut() {
        *flag = 1;
    }
    for request in [
        ruled("{}"),
        ruled(&long),
        Request::grpc(INFER, frame_bytes(&[0xff; 20])),
        ruled("\x1f\u{8b}").header("content-encoding", "gzip"),
        Request::grpc(INFER, compressed),
    ] {
        pass(gateway, request)?;
    }
    counted(gateway, &reason("over_limit", "modelway_unread_bodies_total"), 1)?;
    counted(gateway, &reason("malformed", "modelway_unread_bodies_total"), 1)?;
    counted(gateway, &reason("compressed", "modelway_unread_bodies_total"), 2)
}

fn names_that_clients_make_up_share_one_series_beyond_the_cap(gateway: &mut dyn Gateway) -> Result<()> {
    let batch = 50;
    for start in (0..1_000).step_by(batch) {
        let requests = (start..start + batch).map(|number| Request::get(&format!("/v2/models/made-up-{number}")));
        gateway.exchange(requests.collect())?;
    }
    for name in ["iris", "flowers", "plain"] {
        pass(gateway, Request::get(&format!("/v2/models/{name}")))?;
    }
    let stats = gateway.stats()?;
    let made_up = stats.keys().filter(|name| name.starts_with("model=.=made-up-")).count();
    ensure!(made_up == 200, "{made_up} made-up names have series");
    counted(gateway, &series("other", "-", "rest", "ok"), 800)?;
    for (name, variant) in [("iris", "stable"), ("flowers", "stable"), ("plain", "default")] {
        counted(gateway, &series(name, variant, "rest", "ok"), 1)?;
    }
    Ok(())
}

fn a_name_of_odd_bytes_stays_within_its_label(gateway: &mut dyn Gateway) -> Result<()> {
    pass(gateway, Request::get("/v2/models/a%22%3B.%3Bvariant=.=x%3B.%3B%FF%20b"))?;
    counted(gateway, &series("a%22%3B.%3Bvariant%3D.%3Dx%3B.%3B%FF%20b", "-", "rest", "ok"), 1)
}

fn without_asking_for_them_no_latencies_are_kept(gateway: &mut dyn Gateway) -> Result<()> {
    pass(gateway, Request::get("/v2/models/iris"))?;
    let stats = gateway.stats()?;
    ensure!(!stats.keys().any(|name| name.ends_with("milliseconds")), "{stats:?}");
    Ok(())
}

fn nothing_is_counted_where_that_is_off(gateway: &mut dyn Gateway) -> Result<()> {
    pass(gateway, Request::get("/v2/models/iris"))?;
    answered(&send(gateway, Request::get("/v2/logging"))?)?;
    let stats = gateway.stats()?;
    ensure!(stats.is_empty(), "{stats:?}");
    Ok(())
}

fn a_gateway_that_shows_no_bodies_is_told_by_a_gauge(gateway: &mut dyn Gateway) -> Result<()> {
    // A slow machine is no evidence, so it may take several requests.
    for sent in 1..=20 {
        pass(gateway, Request::grpc(INFER, frame(&infer("iris", 10))))?;
        let stats = gateway.stats()?;
        let not_shown = stats.get(&reason("not_shown", "modelway_unread_bodies_total"));
        ensure!(not_shown == Some(&sent), "{sent} bodies were not shown: {stats:?}");
        if stats.get("modelway_body_tier_missing") == Some(&1) {
            return Ok(());
        }
    }
    anyhow::bail!("the gauge says nothing: {:?}", gateway.stats()?)
}
