//! Experiments: `docs/examples/experiment.yaml`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use super::check::{answered, passed, variant};
use super::{Case, cases};
use crate::gateway::{Gateway, Request, Setup};
use crate::inference::{frame, infer};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Users of each census.
const USERS: usize = 400;

pub(super) fn cases() -> Vec<Case> {
    cases![Setup::example("experiment");
        experiments_of_one_layer_share_no_user,
        a_user_has_one_arm_over_rest_and_grpc,
        allowed_users_are_in_and_denied_ones_are_not,
        without_a_unit_there_is_no_arm,
    ]
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn census(gateway: &mut dyn Gateway, model: &str) -> Result<Vec<String>> {
    let path = format!("/v2/models/{model}/infer");
    let requests = (0..USERS).map(|number| Request::post(&path, "{}").header("x-user-id", user(number))).collect();
    gateway.exchange(requests)?.iter().map(|exchange| passed(exchange).and_then(variant)).collect()
}

fn count(variants: &[String], name: &str) -> usize {
    variants.iter().filter(|variant| *variant == name).count()
}

fn experiments_of_one_layer_share_no_user(gateway: &mut dyn Gateway) -> Result<()> {
    let ranker = census(gateway, "ranker")?;
    let embedder = census(gateway, "embedder")?;
    let filter = census(gateway, "filter")?;
    for (number, (ranker, embedder)) in ranker.iter().zip(&embedder).enumerate() {
        ensure!(!(ranker == "wide" && embedder == "large"), "{} is treated in both", user(number));
    }
    // Half of 40 % without the held out, half of all: the 99.99 % intervals of 400 draws.
    let (wide, large, strict) = (count(&ranker, "wide"), count(&embedder, "large"), count(&filter, "strict"));
    ensure!((47..=108).contains(&wide), "{wide} of {USERS} got the wide ranker");
    ensure!((41..=102).contains(&large), "{large} of {USERS} got the large embedder");
    ensure!((161..=239).contains(&strict), "{strict} of {USERS} got the strict filter");
    Ok(())
}

fn a_user_has_one_arm_over_rest_and_grpc(gateway: &mut dyn Gateway) -> Result<()> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (number, variant) in census(gateway, "filter")?.into_iter().enumerate() {
        seen.insert(user(number), variant);
    }
    let body = frame(&infer("filter", 8));
    let requests = (0..60).map(|number| Request::grpc(INFER, body.clone()).header("x-user-id", user(number))).collect();
    for (number, exchange) in gateway.exchange(requests)?.iter().enumerate() {
        let over_grpc = variant(passed(exchange)?)?;
        let over_rest = seen.get(&user(number)).context("a user is missing")?;
        ensure!(over_grpc == *over_rest, "{} got {over_grpc} over gRPC and {over_rest} over REST", user(number));
        let shown = answered(exchange)?.headers.text("x-modelway-variant");
        ensure!(shown.as_deref() == Some(over_rest), "the client is told {shown:?}");
    }
    Ok(())
}

fn allowed_users_are_in_and_denied_ones_are_not(gateway: &mut dyn Gateway) -> Result<()> {
    let ask = |user: &str| Request::get("/v2/models/embedder").header("x-user-id", user);
    let exchanges = gateway.exchange(vec![ask("monitoring"), ask("tester-1"), ask("tester-1")])?;
    let variants: Vec<String> = exchanges.iter().map(|it| passed(it).and_then(variant)).collect::<Result<_>>()?;
    ensure!(matches!(variants.as_slice(), [denied, one, two] if denied == "stable" && one == two), "{variants:?}");
    Ok(())
}

fn without_a_unit_there_is_no_arm(gateway: &mut dyn Gateway) -> Result<()> {
    let requests = (0..40).map(|_| Request::get("/v2/models/filter")).collect();
    for exchange in gateway.exchange(requests)? {
        ensure!(variant(passed(&exchange)?)? == "stable", "somebody without a key got an arm");
    }
    Ok(())
}
