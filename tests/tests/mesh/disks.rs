//! A runtime that cannot keep what it downloads.

use anyhow::{Result, ensure};
use modelway_test_store::FileServer;
use modelway_tests::mesh::{Classifier, Mesh, Question, Setup, Size, Wire, small_disk};
use serde_json::json;

use crate::models;

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "says that it tested nothing")]
async fn what_does_not_fit_on_the_disk_of_one_runtime_is_served_by_another() -> Result<()> {
    if !small_disk::is_possible() {
        println!("not tested: this machine lets nobody mount a disk of his own");
        return Ok(());
    }
    // Of 128 KiB each, and one that fits on the small disk.
    let mut all: Vec<_> = models(40).into_iter().map(|(name, classifier)| (name, classifier.sized(16))).collect();
    all.push(("small".to_owned(), Classifier::new(9)));
    let server = FileServer::start(None).await;
    for (name, classifier) in &all {
        server.put(&format!("models/{name}.pkl"), classifier.pickled());
    }
    let files: Vec<String> = all.iter().map(|(name, _)| format!("{name}.pkl")).collect();
    server.put("models/index.json", json!({ "files": files }).to_string());

    let setup = Setup { runtimes: 3, store: Some(server.url("models/")), ..Setup::default() };
    let mut mesh = Mesh::start(setup, &all).await?;
    // The budget of the cache is not what ends: the disk says that it is full.
    mesh.add_with_disk(48 << 10, &["--cache-size", "1GiB"]).await?;
    mesh.until_healthy(4).await?;

    for (number, name) in mesh.models().iter().enumerate() {
        for wire in [[Wire::Rest, Wire::Grpc], [Wire::Grpc, Wire::Rest]][number % 2] {
            mesh.ask(&Question::new(name, wire, Size::Small)).await?;
        }
    }
    let full = &mesh.runtimes()[3];
    let refused = full.metrics().await?.sum("modelway_refusals_total");
    // Of 40 models none falls to one of four runtimes once in a hundred thousand runs.
    ensure!(refused > 0.0, "no model falls to the runtime with the small disk: {}", mesh.envoy().clusters().await?);
    ensure!(full.log().contains("the disk of the cache") && full.log().contains("is full"), "{}", full.log());
    ensure!(full.resident().await?.iter().all(|name| name == "small"), "it has loaded {:?}", full.resident().await?);
    ensure!(mesh.cluster_stat("upstream_rq_retry_success").await? > 0, "nothing was retried");
    ensure!(mesh.cluster_stat("membership_healthy").await? == 4, "a runtime was taken out");
    ensure!(mesh.cluster_stat("outlier_detection.ejections_total").await? == 0, "a runtime was ejected");
    Ok(())
}
