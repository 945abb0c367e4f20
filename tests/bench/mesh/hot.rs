//! What cold loads do to the requests for a model that is in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::task::JoinSet;

use modelway_bench::raw::{Of, Row, Side};

use crate::client::Client;
use crate::load::quantile;
use crate::models::Models;
use crate::runtime::{Program, Runtime};

const LOADS: usize = 50;
const ROUNDS: usize = 40;
const HOT: &str = "hot";
/// About as long as the loads take.
const QUIET: Duration = Duration::from_millis(400);

/// The hot model's only client.
struct Hot {
    client: Client,
    models: Arc<Models>,
    asked: usize,
}

pub(crate) async fn measure(program: &Program, models: &Arc<Models>) -> Result<Vec<Row>> {
    let folder = links_to(&models.large_file())?;
    let runtime = program.serve(folder.path(), &["--memory", "1GiB", "--poll-interval", "0"]).await?;
    let mut hot =
        Hot { client: Client::rest(runtime.address(), models.rows()).await?, models: models.clone(), asked: 0 };
    let mut cold = Vec::new();
    for _ in 0..LOADS {
        cold.push(Client::grpc(runtime.address(), models.rows()).await?);
    }
    hot.ask().await?;
    let (mut quiet, mut busy, mut loads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        quiet.push(hot.p99_while(|| Ok(began.elapsed() < QUIET)).await?);
        let mut asking = ask_all(std::mem::take(&mut cold), models)?;
        let began = Instant::now();
        let p99 = hot.p99_while(|| {
            while let Some(ended) = asking.try_join_next() {
                cold.push(ended??);
            }
            Ok(cold.len() < LOADS)
        });
        busy.push(p99.await?);
        loads.push(began.elapsed().as_secs_f64() * 1e3);
        unload_all(&runtime).await?;
    }
    let what = "one connection, REST; a load reads 1.2 MB with 1,797 support vectors";
    Ok(vec![
        Row::against(
            "mesh hot: p99 of a hot model during 50 cold loads, against without",
            "µs",
            Of::OursToPeer,
            Side::new(what, busy),
            Side::new("the same without loads", quiet),
        )
        .goal("<= 2"),
        Row::alone("mesh hot: the 50 cold loads, asked for at once", "ms", Side::new(what, loads)),
    ])
}

/// A folder with the hot model and the cold ones: all of one content, since it is not what is measured.
fn links_to(file: &Path) -> Result<TempDir> {
    let folder = TempDir::new_in(file.parent().context("the model stands in no folder")?)?;
    for name in (0..LOADS).map(cold_name).chain([HOT.to_owned()]) {
        std::fs::hard_link(file, folder.path().join(name).with_extension("joblib"))?;
    }
    Ok(folder)
}

fn cold_name(number: usize) -> String {
    format!("cold{number}")
}

/// Each client asks another cold model, all at once; gives the clients back.
fn ask_all(clients: Vec<Client>, models: &Arc<Models>) -> Result<JoinSet<Result<Client>>> {
    let mut asking = JoinSet::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        let question = models.large_question(cold_name(number), 0).context("no picture")?;
        asking.spawn(async move {
            client.ask(&question).await?;
            Ok(client)
        });
    }
    Ok(asking)
}

async fn unload_all(runtime: &Runtime) -> Result<()> {
    for number in 0..LOADS {
        runtime.post(&format!("/v2/repository/models/{}/unload", cold_name(number))).await?;
    }
    Ok(())
}

// === impl Hot ===

impl Hot {
    async fn ask(&mut self) -> Result<Duration> {
        let picture = self.asked % self.models.pictures();
        let question = self.models.large_question(HOT.to_owned(), picture).context("no picture")?;
        self.asked += 1;
        let began = Instant::now();
        self.client.ask(&question).await?;
        Ok(began.elapsed())
    }

    /// Asks again and again as long as this holds; in microseconds.
    async fn p99_while(&mut self, mut holds: impl FnMut() -> Result<bool>) -> Result<f64> {
        let mut times = Vec::new();
        while holds()? {
            times.push(self.ask().await?);
        }
        times.sort_unstable();
        Ok(quantile(&times, 0.99).as_secs_f64() * 1e6)
    }
}
