//! The hits of four runtimes behind a gateway, against one ideal cache of all their memory.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use modelway_bench::progress::Progress;
use modelway_bench::raw::{Of, Row, Side};
use modelway_tests::ideal_lru::IdealLru;
use modelway_tests::mesh::classifier::FEATURES;
use modelway_tests::mesh::{Classifier, Mesh, Setup};
use modelway_tests::random::Random;
use modelway_tests::zipf::Zipf;

use crate::load::Load;
use crate::question::{Question, Rows};
use crate::runtime::Program;

const MODELS: usize = 1000;
/// The largest is so many times the smallest; the logarithm of the size is drawn evenly.
const SIZES: f64 = 128.0;
const RUNTIMES: usize = 4;
/// Of the models' bytes, what there is room for in all runtimes together.
const ROOM: f64 = 0.25;
const EXPONENT: f64 = 1.0;
const WARM_UP: usize = 15_000;
const ROUNDS: usize = 5;
const ROUND: usize = 6000;

/// One mesh under one load.
struct Case {
    name: &'static str,
    in_flight: usize,
    goal: &'static str,
}

const CASES: [Case; 2] = [
    Case { name: "32 in flight", in_flight: 32, goal: ">= 0.95" },
    Case { name: "one after another", in_flight: 1, goal: ">= 0.98" },
];

pub(crate) async fn measure(program: &Program, progress: &Progress) -> Result<Vec<Row>> {
    let models = models();
    let bytes = Arc::new(bytes_in_memory(program, &models).await?);
    let mut rows = Vec::new();
    for case in &CASES {
        progress.say(&format!("hits of {RUNTIMES} runtimes, {}", case.name));
        rows.push(of_case(case, &models, &bytes).await?);
    }
    Ok(rows)
}

fn models() -> Vec<(String, Classifier)> {
    let mut random = Random::new(11);
    let sized = (0..MODELS).map(|number| {
        let pairs = SIZES.powf(random.fraction()).round() as usize;
        (format!("model-{number}"), Classifier::new(u32::try_from(number).unwrap_or_default()).sized(pairs))
    });
    sized.collect()
}

/// Of each model, as a runtime with room for all measures it.
async fn bytes_in_memory(program: &Program, models: &[(String, Classifier)]) -> Result<Vec<u64>> {
    let folder = tempfile::TempDir::new()?;
    for (name, classifier) in models {
        classifier.write(folder.path(), name)?;
    }
    let series = models.len().to_string();
    let arguments = ["--memory", "4GiB", "--preload", "--poll-interval", "0", "--model-series", &series];
    let runtime = program.serve(folder.path(), &arguments).await?;
    let bytes = runtime.bytes_by_model().await?;
    let of = |name: &String| bytes.get(name).copied().with_context(|| format!("{name} is not in memory"));
    models.iter().map(|(name, _)| of(name)).collect()
}

async fn of_case(case: &Case, models: &[(String, Classifier)], bytes: &Arc<Vec<u64>>) -> Result<Row> {
    let room = (bytes.iter().sum::<u64>() as f64 * ROOM) as u64;
    let memory = (room / RUNTIMES as u64).to_string();
    let setup = Setup { runtimes: RUNTIMES, ..Setup::default() }.serve(&["--memory", &memory, "--poll-interval", "0"]);
    let mesh = Mesh::start(setup, models).await?;
    let trace = Zipf::new(models.len(), EXPONENT, 5);
    let mut load = Load::connect(mesh.gateway(), case.in_flight, &rows(), trace, Box::new(questions(models))).await?;
    let mut ideal = IdealLru::new(room);
    let (mut ours, mut peer, mut loads) = (Vec::new(), Vec::new(), 0.0);
    for round in 0..=ROUNDS {
        let run = load.ask(if round == 0 { WARM_UP } else { ROUND }).await?;
        let before = loads;
        loads = mesh.total("modelway_model_load_seconds_count").await;
        ideal.count_from_here();
        for &model in &run.asked {
            ideal.ask(model, bytes.get(model).copied().unwrap_or_default());
        }
        if round > 0 {
            ours.push(1.0 - (loads - before) / run.asked.len() as f64);
            peer.push(ideal.hit_ratio());
        }
    }
    let name =
        format!("mesh hits: {RUNTIMES} runtimes, {MODELS} models, {}, hit ratio against one ideal LRU", case.name);
    let what = format!(
        "sizes over {SIZES}×, room for {:.0} % of the bytes in all, Zipf {EXPONENT}, rendered Envoy; requests without a load",
        ROOM * 100.0
    );
    let peer = Side::new("one LRU with all of the memory, the same trace", peer);
    Ok(Row::against(&name, "of requests", Of::OursToPeer, Side::new(what, ours), peer).goal(case.goal))
}

/// The sign of the first feature decides.
fn rows() -> Arc<Rows> {
    let row = |first: f32| std::iter::once(first).chain(std::iter::repeat_n(0.5, FEATURES - 1)).collect();
    Arc::new(Rows::new(&[row(-1.0), row(1.0)]))
}

fn questions(models: &[(String, Classifier)]) -> impl Fn(usize, usize) -> Option<Question> + Send + use<> {
    let models = models.to_vec();
    move |model, drawn| {
        let (name, classifier) = models.get(model)?;
        let row = drawn % 2;
        Some(Question { model: name.clone(), row, answer: Classifier::class(classifier.tag, row == 1) })
    }
}
