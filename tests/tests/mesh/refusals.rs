//! A runtime that is full refuses, and others answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use modelway_tests::mesh::{Classifier, Mesh, Question, Setup, Size, Wire};
use serde_json::json;

use crate::{models, phase};

/// Three runtimes with room, and a fourth whose memory one pinned model fills.
async fn with_a_full_runtime(setup: Setup) -> Result<Mesh> {
    let mut all = models(24);
    // 64 KiB of support vectors, and less than a KiB around them.
    all.push(("pinned".to_owned(), Classifier::new(9).sized(16)));
    let mut mesh = Mesh::start(Setup { runtimes: 3, ..setup }, &all).await?;
    mesh.add(&["--memory", "67KiB", "--pin", "pinned"]).await?;
    mesh.until_healthy(4).await?;
    let full = mesh.runtimes()[3].resident().await?;
    ensure!(full.contains("pinned"), "the pinned model is not in memory: {}", mesh.runtimes()[3].log());
    Ok(mesh)
}

async fn refusals(mesh: &Mesh) -> Result<f64> {
    Ok(mesh.runtimes()[3].metrics().await?.sum("modelway_refusals_total"))
}

/// A model that falls to the full runtime.
async fn refused_at_home(mesh: &Mesh) -> Result<String> {
    for name in mesh.models().into_iter().filter(|name| name != "pinned") {
        let before = refusals(mesh).await?;
        mesh.ask(&Question::new(&name, Wire::Rest, Size::Small)).await?;
        if refusals(mesh).await? > before {
            return Ok(name);
        }
    }
    // Once in a thousand runs for 24 models.
    anyhow::bail!("no model falls to the full runtime: {}", mesh.envoy().clusters().await?)
}

async fn is_never_ejected(setup: Setup) -> Result<()> {
    let mesh = with_a_full_runtime(setup).await?;
    let names = mesh.models();
    let of_number = move |number: u64| names[(number / 4) as usize % names.len()].clone();
    let traffic = mesh.traffic(40, move |number| Question::mixed(&of_number(number), number)).await?;
    let started = Instant::now();
    let duration = phase(Duration::from_secs(4));
    while started.elapsed() < duration || traffic.answered() < 160 {
        traffic.wait_for(20).await?;
        let healthy = mesh.cluster_stat("membership_healthy").await?;
        ensure!(healthy == 4, "{healthy} of 4 runtimes get requests");
    }
    let asked = traffic.finish().await?;
    mesh.all_answered(&asked)?;
    let refused = refusals(&mesh).await?;
    // About a quarter; the pinned model it does serve.
    ensure!(refused > asked.len() as f64 / 50.0, "of {} requests {refused} were refused", asked.len());
    ensure!(mesh.cluster_stat("upstream_rq_retry_success").await? > 0, "nothing was retried");
    for counter in ["ejections_total", "ejections_enforced_total", "ejections_active"] {
        let ejections = mesh.cluster_stat(&format!("outlier_detection.{counter}")).await?;
        ensure!(ejections == 0, "{counter}: {ejections}");
    }

    // Each wire and size is asked again elsewhere.
    let name = refused_at_home(&mesh).await?;
    for wire in [Wire::Rest, Wire::RestHttp2, Wire::Grpc] {
        for size in Size::ALL {
            let before = refusals(&mesh).await?;
            mesh.ask(&Question::new(&name, wire, size)).await.with_context(|| format!("{wire:?} {size:?}"))?;
            ensure!(refusals(&mesh).await? > before, "{name} is no longer refused at home");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_runtime_refuses_and_is_never_ejected() -> Result<()> {
    is_never_ejected(Setup::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_runtime_is_not_ejected_even_where_a_single_5xx_ejects() -> Result<()> {
    let strict =
        json!({ "consecutive_5xx": 1, "interval": "0.1s", "base_ejection_time": "30s", "max_ejection_percent": 50 });
    is_never_ejected(Setup::default().change_cluster("/outlier_detection", strict)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_refuse_was_asked_of_each_once_and_the_client_is_told_why() -> Result<()> {
    let mut all = models(16);
    all.push(("pinned".to_owned(), Classifier::new(9).sized(16)));
    let full = Setup::default().serve(&["--memory", "67KiB", "--pin", "pinned"]);
    let mesh = Mesh::start(full, &all).await?;
    for (number, name) in mesh.models().into_iter().filter(|name| name != "pinned").enumerate() {
        let wire = [Wire::Rest, Wire::Grpc][number % 2];
        let answer = mesh.answer(&Question::new(&name, wire, Size::Medium)).await?;
        ensure!(answer.headers.text("x-modelway-refused").as_deref() == Some("no-room"), "{answer:?}");
        let expected = if wire == Wire::Rest { (":status", "429") } else { ("grpc-status", "8") };
        ensure!(answer.headers.text(expected.0).as_deref() == Some(expected.1), "{answer:?}");
        for runtime in mesh.runtimes() {
            let refused = runtime.metrics().await?.sum("modelway_refusals_total");
            ensure!(refused == number as f64 + 1.0, "of {} requests a runtime has refused {refused}", number + 1);
        }
    }
    // What they have they serve.
    mesh.ask(&Question::new("pinned", Wire::Rest, Size::Small)).await?;
    ensure!(mesh.cluster_stat("membership_healthy").await? == 4, "a runtime was taken out");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_above_the_replay_limit_is_told_so_and_counted() -> Result<()> {
    let setup = Setup { gateway: json!({ "requestBufferLimit": "1MiB" }), ..Setup::default() };
    let mesh = with_a_full_runtime(setup).await?;
    let name = refused_at_home(&mesh).await?;
    let abandoned = async || mesh.cluster_stat("retry_or_shadow_abandoned").await;

    for wire in [Wire::Rest, Wire::Grpc] {
        mesh.ask(&Question::new(&name, wire, Size::Medium)).await.context("below the limit")?;
        let before = abandoned().await?;
        let answer = mesh.answer(&Question::new(&name, wire, Size::Large)).await?;
        let told = |name: &str| {
            answer.headers.text(name).or_else(|| answer.trailers.as_ref().and_then(|trailers| trailers.text(name)))
        };
        if wire == Wire::Rest {
            ensure!(told(":status").as_deref() == Some("429"), "{answer:?}");
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            ensure!(body.contains("no room"), "{body}");
        } else {
            ensure!(told("grpc-status").as_deref() == Some("8"), "{answer:?}");
            ensure!(told("grpc-message").is_some_and(|message| message.contains("no%20room")), "{answer:?}");
        }
        ensure!(told("x-modelway-refused").as_deref() == Some("no-room"), "{answer:?}");
        ensure!(abandoned().await? > before, "Envoy has not counted it");
    }

    // Who is not refused is not limited.
    let mut answered = 0;
    for other in mesh.models() {
        let before = refusals(&mesh).await?;
        mesh.ask(&Question::new(&other, Wire::Grpc, Size::Small)).await?;
        if refusals(&mesh).await? == before {
            mesh.ask(&Question::new(&other, Wire::Grpc, Size::Large)).await?;
            answered += 1;
        }
        if answered == 3 {
            return Ok(());
        }
    }
    anyhow::bail!("only {answered} models are served at home")
}
