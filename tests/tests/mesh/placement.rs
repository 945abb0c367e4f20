//! Where models live: each on one runtime, a hot one on several while it is hot.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use modelway_tests::load::Clients;
use modelway_tests::mesh::{Classifier, Mesh, PATIENCE, Question, Setup, Size, Wire, until};
use tokio::task::JoinSet;

use crate::models;

const BOTH: [Wire; 2] = [Wire::Rest, Wire::Grpc];

#[tokio::test(flavor = "multi_thread")]
async fn a_model_asked_by_rest_and_by_grpc_lives_on_one_runtime() -> Result<()> {
    let mesh = Mesh::start(Setup::default(), &models(48)).await?;
    for name in mesh.models() {
        for wire in [Wire::Rest, Wire::Grpc, Wire::RestHttp2] {
            mesh.ask(&Question::new(&name, wire, Size::Small)).await?;
        }
    }
    for name in mesh.models().iter().take(4) {
        for wire in BOTH {
            mesh.ask(&Question::new(name, wire, Size::Medium)).await?;
            mesh.ask(&Question::new(name, wire, Size::Large)).await?;
        }
    }
    let resident = mesh.resident().await?;
    for name in mesh.models() {
        let holders = resident.iter().filter(|models| models.contains(&name)).count();
        ensure!(holders == 1, "{name} is in the memory of {holders} runtimes");
    }
    // Of 48 models none falls to one of four runtimes about once in 250,000 runs.
    ensure!(resident.iter().all(|models| !models.is_empty()), "a runtime has none: {resident:?}");
    ensure!(mesh.total("modelway_model_load_seconds_count").await == 48.0, "a model was loaded twice");
    ensure!(mesh.cluster_stat("upstream_rq_retry").await? == 0, "something was retried");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_model_spreads_while_one_runtime_cannot_carry_it_and_shrinks_back() -> Result<()> {
    let mut all = models(60);
    all.push(("hot".to_owned(), Classifier::new(7)));
    // About twelve of them fit.
    let mesh = Mesh::start(Setup::default().serve(&["--memory", "64KiB"]), &all).await?;
    let hot = Question::new("hot", Wire::Grpc, Size::Medium);
    mesh.ask(&hot).await?;
    let home = mesh.holders("hot").await?;
    ensure!(home.len() == 1, "one request has loaded it on {home:?}");

    // 24 clients that ask as soon as they are answered.
    let clients = Arc::new(Clients::open(mesh.gateway()).await?);
    let mut asking = JoinSet::new();
    for client in 0..24 {
        let (clients, hot) = (clients.clone(), hot.clone());
        asking.spawn(async move {
            for number in 0..40 {
                let answer = clients.ask(client + number, hot.request()).await.answer.map_err(anyhow::Error::msg)?;
                hot.check(&answer, Some(7))?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = asking.join_next().await {
        done??;
    }
    let mut shares = Vec::new();
    for runtime in mesh.runtimes() {
        shares.push(runtime.metrics().await?.sum(r#"nv_inference_request_success{model="hot",version=""}"#));
    }
    let carried = shares.iter().filter(|share| **share >= 96.0).count();
    ensure!(carried >= 2, "of 961 requests the runtimes had {shares:?}, expected at least two with a tenth");
    ensure!(shares.iter().all(|share| *share <= 700.0), "one runtime had most of it: {shares:?}");

    // Now it is asked as rarely as the others, and the copies make room for them.
    until("the hot model is at home only", PATIENCE, async || {
        for (number, name) in mesh.models().iter().enumerate() {
            mesh.ask(&Question::new(name, BOTH[number % 2], Size::Small)).await?;
            if number % 4 == 0 {
                mesh.ask(&Question::new("hot", BOTH[number / 4 % 2], Size::Small)).await?;
            }
        }
        let holders = mesh.holders("hot").await?;
        ensure!(holders == home, "it is on {holders:?}, its home is {home:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_loaded_on_its_runtime_serves_from_another() -> Result<()> {
    let all = models(40);
    // Each is broken on one runtime, so a quarter of them is broken at home.
    let broken = all.iter().enumerate().map(|(number, (name, _))| (number % 4, name.clone())).collect();
    let setup = Setup { has_folder_each: true, broken, ..Setup::default() };
    let mut mesh = Mesh::start(setup.serve(&["--poll-interval", "200ms"]), &all).await?;
    for name in mesh.models() {
        for wire in BOTH {
            mesh.ask(&Question::new(&name, wire, Size::Small)).await?;
            mesh.ask(&Question::new(&name, wire, Size::Medium)).await?;
        }
    }
    let refused = mesh.total(r#"modelway_refusals_total{reason="load-failed"}"#).await;
    ensure!(refused > 0.0, "no model was broken at home");
    let mut failed = 0;
    for (number, name) in mesh.models().iter().enumerate() {
        let index = mesh.runtimes()[number % 4].index().await?;
        let model = &index[name];
        if model.state == "UNAVAILABLE" && model.reason.contains("pickle") {
            failed += 1;
            for wire in BOTH {
                mesh.ask(&Question::new(name, wire, Size::Large)).await?;
            }
        }
    }
    ensure!(failed > 0, "no index says why a load failed");
    ensure!(mesh.cluster_stat("outlier_detection.ejections_total").await? == 0, "a runtime was ejected for a bad file");

    // Mended, they come home.
    for (name, classifier) in &all {
        mesh.replace(name, classifier)?;
    }
    until("every model is served at home", Duration::from_secs(30), async || {
        let before = mesh.total("modelway_refusals_total").await;
        for name in mesh.models() {
            mesh.ask(&Question::new(&name, Wire::Grpc, Size::Small)).await?;
        }
        let refused = mesh.total("modelway_refusals_total").await - before;
        ensure!(refused == 0.0, "{refused} requests were refused at home");
        Ok(())
    })
    .await
}
