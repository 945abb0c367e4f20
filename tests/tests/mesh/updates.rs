//! A model's file changes while it is asked.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use modelway_tests::client;
use modelway_tests::mesh::{Classifier, Mesh, PATIENCE, Question, Setup, Size, Wire, until};

use crate::models;

const POLL: Duration = Duration::from_millis(500);
/// A file counts once it is the same in two looks; then it is loaded, on a machine that may be busy.
const LATEST: Duration = Duration::from_millis(2 * 500 + 2_000);

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the figure that docs/mesh.md has")]
async fn a_replaced_file_serves_everywhere_soon_and_no_request_fails() -> Result<()> {
    let poll = format!("{}ms", POLL.as_millis());
    let mut mesh = Mesh::start(Setup::default().serve(&["--poll-interval", &poll]), &models(6)).await?;
    let changing = "model-000";
    let old = mesh.tag(changing).context("the model is there")?;
    // In several memories, as a hot model is: of this one every runtime has a copy.
    for runtime in mesh.runtimes() {
        let question = Question::new(changing, Wire::Grpc, Size::Small);
        question.check(&client::send(runtime.address(), question.request()).await?, Some(old))?;
    }
    let traffic = mesh
        .traffic(60, |number| {
            // Half of it for the one that changes.
            let model = if number % 2 == 0 { 0 } else { number / 2 % 6 };
            Question::mixed(&format!("model-{model:03}"), number / 2)
        })
        .await?;
    traffic.wait_for(60).await?;

    let new = 5_000;
    mesh.replace(changing, &Classifier::new(new))?;
    let replaced = Instant::now();
    until("every copy is the new one", PATIENCE, async || {
        for runtime in mesh.runtimes() {
            let question = Question::new(changing, Wire::Rest, Size::Small);
            question.check(&client::send(runtime.address(), question.request()).await?, Some(new))?;
        }
        Ok(())
    })
    .await?;
    let took = replaced.elapsed();
    ensure!(took < LATEST, "the old version was gone after {took:?}, expected {LATEST:?} at the latest");
    traffic.wait_for(60).await?;

    let asked = traffic.finish().await?;
    let (of_changing, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|asked| asked.question.model == changing);
    mesh.all_answered(&others)?;
    let mut seen = [0, 0];
    for asked in &of_changing {
        match asked.tag {
            Ok(tag) if tag == old => {
                seen[0] += 1;
                let late = asked.sent.saturating_duration_since(replaced);
                ensure!(late <= took, "the old version answered a request sent {late:?} after the change");
            }
            Ok(tag) if tag == new => seen[1] += 1,
            _ => anyhow::bail!("{asked:?}"),
        }
    }
    ensure!(seen.iter().all(|count| *count > 20), "old and new answered {seen:?}");
    println!("replaced: the old version was gone everywhere after {took:?}, polled every {POLL:?}");
    Ok(())
}
