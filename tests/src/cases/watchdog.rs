//! With `allow_on_headers_stop_iteration` left out nobody waits, and the log names it; with it nobody is hurried.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::check::{SECOND, header_is, passed, send};
use super::{Case, cases, standard};
use crate::gateway::{Exchange, Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const FLAG: &str = "allow_on_headers_stop_iteration";
const LATE: Duration = Duration::from_secs(3);

pub(super) fn cases() -> Vec<Case> {
    let alone = |label| standard().labelled(label);
    let without = |label| Setup { label, ..standard().without_stop_iteration() };
    let mut all = cases![without("without the flag"); without_the_flag_every_request_is_answered_within_a_second];
    all.extend(
        cases![without("without the flag, slow"); without_the_flag_a_slow_client_is_answered_as_soon_as_it_has_sent],
    );
    all.extend(cases![alone("slow, confirmed"); a_body_that_comes_three_seconds_late_is_waited_for]);
    all.extend(cases![alone("slow, first"); a_slow_client_does_not_switch_the_body_tier_off]);
    all.extend(cases![alone("quiet"); with_the_flag_nothing_is_said_about_it]);
    all
}

fn grpc(model: &str) -> Request {
    Request::grpc(INFER, frame(&infer(model, 100)))
}

fn beta() -> Request {
    Request::post("/v2/models/ruled/infer", r#"{"parameters":{"tier":"beta"},"inputs":[]}"#)
}

fn answered_within_a_second(exchanges: &[Exchange]) -> Result<()> {
    for (index, exchange) in exchanges.iter().enumerate() {
        passed(exchange).map_err(|error| error.context(format!("request {index}")))?;
        ensure!(exchange.took < SECOND, "request {index} took {:?}", exchange.took);
    }
    Ok(())
}

fn warnings(gateway: &mut dyn Gateway) -> Result<usize> {
    Ok(gateway.log()?.iter().filter(|line| line.contains(FLAG)).count())
}

fn without_the_flag_every_request_is_answered_within_a_second(gateway: &mut dyn Gateway) -> Result<()> {
    let kinds = || {
        vec![
            grpc("iris"),
            Request::grpc(INFER, frame(&infer("iris", 300_000))),
            beta(),
            Request::post("/v2/models/iris/infer", "{}"),
            Request::get("/v2/models/tuned"),
            Request::get("/anything"),
        ]
    };
    // At first all at once, then one after another, then all at once again.
    answered_within_a_second(&gateway.exchange(kinds())?)?;
    for request in kinds() {
        answered_within_a_second(&[send(gateway, request)?])?;
    }
    answered_within_a_second(&gateway.exchange((0..5).flat_map(|_| kinds()).collect())?)?;
    ensure!(
        warnings(gateway)? == 1,
        "the log names the missing field {} times: {:?}",
        warnings(gateway)?,
        gateway.log()?
    );
    let upstream = send(gateway, Request::post("/v2/models/iris/infer", "{}"))?;
    header_is(passed(&upstream)?, "x-modelway-target", Some("iris-v1"))
}

fn without_the_flag_a_slow_client_is_answered_as_soon_as_it_has_sent(gateway: &mut dyn Gateway) -> Result<()> {
    let exchanges = gateway.exchange(vec![grpc("iris").after(LATE), beta().after(LATE), grpc("iris")])?;
    for exchange in &exchanges {
        passed(exchange)?;
        ensure!(exchange.took < LATE + SECOND, "took {:?}", exchange.took);
    }
    Ok(())
}

fn a_body_that_comes_three_seconds_late_is_waited_for(gateway: &mut dyn Gateway) -> Result<()> {
    passed(&send(gateway, grpc("iris"))?)?;
    let exchanges = gateway.exchange(vec![grpc("iris").after(LATE), beta().after(LATE)])?;
    for (exchange, target) in exchanges.iter().zip(["iris-v1", "ruled-v2"]) {
        let upstream = passed(exchange)?;
        header_is(upstream, "x-modelway-target", Some(target))?;
        ensure!(exchange.took < LATE + SECOND, "took {:?}", exchange.took);
    }
    Ok(())
}

fn a_slow_client_does_not_switch_the_body_tier_off(gateway: &mut dyn Gateway) -> Result<()> {
    // The very first request is slow: it may be routed by its headers, but later ones must not suffer.
    let slow = gateway
        .exchange(vec![grpc("iris").after(Duration::from_millis(400)), beta().after(Duration::from_millis(600))])?;
    for exchange in &slow {
        passed(exchange)?;
    }
    for request in [grpc("iris"), grpc("iris").after(LATE)] {
        let exchange = send(gateway, request)?;
        header_is(passed(&exchange)?, "x-modelway-target", Some("iris-v1"))?;
    }
    let exchange = send(gateway, beta())?;
    header_is(passed(&exchange)?, "x-modelway-target", Some("ruled-v2"))?;
    ensure!(warnings(gateway)? == 0, "the log blames the configuration for a slow client");
    Ok(())
}

fn with_the_flag_nothing_is_said_about_it(gateway: &mut dyn Gateway) -> Result<()> {
    let requests = (0..20).flat_map(|_| [grpc("iris"), beta(), Request::get("/anything")]).collect();
    for exchange in gateway.exchange(requests)? {
        passed(&exchange)?;
    }
    ensure!(warnings(gateway)? == 0, "the log says {:?}", gateway.log()?);
    Ok(())
}
