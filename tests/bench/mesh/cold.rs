//! How long a request takes whose model is not in memory.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};

use modelway_bench::raw::{Row, Side};
use modelway_tests::random::Random;

use crate::client::Client;
use crate::load::quantile;
use crate::models::Models;
use crate::runtime::Program;

/// Cold requests, one after another, each of another model.
const REQUESTS: usize = 4000;
/// Of these there is room.
const ROOM: usize = 500;

pub(crate) async fn measure(program: &Program, models: &Arc<Models>) -> Result<Vec<Row>> {
    let mean = models.file_bytes().iter().sum::<u64>() / models.count() as u64;
    let memory = (mean * ROOM as u64).to_string();
    let runtime = program.serve(&models.folder(), &["--memory", &memory]).await?;
    let order = Random::new(3).order_of(models.count());
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    let mut clients =
        [Client::rest(runtime.address(), models.rows()).await?, Client::grpc(runtime.address(), models.rows()).await?];
    for (number, &model) in order.iter().take(REQUESTS).enumerate() {
        let Some(question) = models.question(model, number % models.pictures()) else { continue };
        for client in &mut clients {
            let began = Instant::now();
            client.ask(&question).await?;
            // The other protocol finds it in memory.
            let times = if cold.len() > number { &mut warm } else { &mut cold };
            times.push(began.elapsed());
        }
        clients.reverse();
    }
    let loads = runtime.loads().await?;
    ensure!(loads == cold.len() as f64, "{loads} loads for {} cold requests", cold.len());
    cold.sort_unstable();
    warm.sort_unstable();
    let one =
        |part, of: &[_]| Side::one("one after another, REST and gRPC in turn", quantile(of, part).as_secs_f64() * 1e6);
    Ok(vec![
        Row::alone("mesh cold: a request that loads its model, median", "µs", one(0.5, &cold)),
        Row::alone("mesh cold: a request that loads its model, p99", "µs", one(0.99, &cold)),
        Row::alone("mesh cold: the same request with the model in memory, median", "µs", one(0.5, &warm)),
        Row::alone("mesh cold: the same request with the model in memory, p99", "µs", one(0.99, &warm)),
    ])
}
