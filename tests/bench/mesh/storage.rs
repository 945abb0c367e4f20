//! What it costs to know what stands in storage, as bare files and as folders.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::time::sleep;

use modelway_bench::raw::{Row, Side};

use crate::models::Models;
use crate::runtime::Program;

const STARTS: usize = 3;
/// New files of which it is taken how long they go unnoticed.
const FILES: usize = 3;
const INTERVAL: &str = "1s";
/// How long an idle runtime is watched.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(program: &Program, models: &Arc<Models>) -> Result<Vec<Row>> {
    let folders = folders_of(models)?;
    let mut rows = of_folder(program, models, "bare files", &models.folder()).await?;
    rows.extend(of_folder(program, models, "folders", folders.path()).await?);
    Ok(rows)
}

async fn of_folder(program: &Program, models: &Models, layout: &str, folder: &Path) -> Result<Vec<Row>> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let runtime = program.serve(folder, &["--poll-interval", "0"]).await?;
        starts.push(runtime.started_in().as_secs_f64() * 1e3);
    }
    let mut runtime = program.serve(folder, &["--poll-interval", INTERVAL]).await?;
    let before = runtime.looks().len();
    sleep(IDLE).await;
    let looks = runtime.looks();
    let looks: Vec<f64> = looks.iter().skip(before).map(|took| took.as_secs_f64() * 1e3).collect();
    ensure!(!looks.is_empty(), "no look through storage in {IDLE:?}");
    let mut noticed = Vec::new();
    for number in 0..FILES {
        let name = format!("new{number}");
        let file = folder.join(&name).with_extension("joblib");
        std::fs::copy(models.large_file(), &file)?;
        let began = Instant::now();
        let is_noticed = runtime.until_ready(&format!("/v2/models/{name}/ready")).await;
        noticed.push(began.elapsed().as_secs_f64() * 1e3);
        std::fs::remove_file(&file)?;
        is_noticed?;
    }
    let name = |what: &str| format!("mesh storage: {} models as {layout}, {what}", models.count());
    let at_interval = format!("--poll-interval {INTERVAL}, a file counts when two looks agree");
    Ok(vec![
        Row::alone(&name("start until ready"), "ms", Side::new("the process's start until it says ready", starts)),
        Row::alone(&name("one look, time"), "ms", Side::new(&at_interval, looks)),
        Row::alone(&name("a new file is noticed"), "ms", Side::new(&at_interval, noticed)),
    ])
}

/// The same models, each in a folder of its own.
fn folders_of(models: &Models) -> Result<TempDir> {
    let files = models.folder();
    let folders = TempDir::new_in(files.parent().context("the models stand in no folder")?)?;
    for name in (0..models.count()).map(|model| models.name(model)) {
        let folder = folders.path().join(name);
        std::fs::create_dir(&folder)?;
        std::fs::hard_link(files.join(name).with_extension("joblib"), folder.join("model.joblib"))?;
    }
    Ok(folders)
}
