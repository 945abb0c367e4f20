//! A whole mesh on this machine: several `modelway serve` processes and a real Envoy with what `modelway render` writes.
//!
//! What the tests prove they prove of the rendered configuration. One thing is changed in it: the runtimes stand in a
//! file that Envoy watches (its endpoint discovery) and not in the configuration, so that runtimes come and go as the
//! pods of a Deployment do.

pub mod ask;
pub mod classifier;
mod discovery;
mod rendered;
mod runtime;
pub mod small_disk;
pub mod stream;
mod traffic;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::envoy::Envoy;
use crate::host::Message;

pub use ask::{Question, Size, Wire};
pub use classifier::Classifier;
pub use runtime::RuntimeProcess;
pub use stream::{Event, OpenStream};
pub use traffic::{Asked, Traffic};
pub use view::Metrics;

use discovery::Endpoints;

/// How often something is looked at that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(25);
/// Longer than anything takes that only has to happen, also on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The rendered `minimum_ring_size`.
const RING_SIZE: u64 = 1024;

/// How a mesh is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Runtimes at the start.
    pub runtimes: usize,
    /// Further arguments of `modelway serve`.
    pub serve: Vec<String>,
    /// The mesh file's `routing`.
    pub routing: Value,
    /// The mesh file's `deployment.gateway`, beside its ports.
    pub gateway: Value,
    /// Whether each runtime has a models folder of its own.
    pub has_folder_each: bool,
    /// The store that the models stand in, a URL, instead of a folder. Then each runtime has a cache of its own.
    pub store: Option<String>,
    /// Models whose file one runtime, by its number, cannot read from the start: of the others' folders it is whole.
    pub broken: Vec<(usize, String)>,
    /// Changes to the rendered configuration, by JSON pointer.
    pub changes: Vec<(String, Value)>,
    /// Envoy's workers.
    pub workers: u32,
}

/// A running mesh; dropped, all its processes end.
pub struct Mesh {
    envoy: Envoy,
    runtimes: Vec<RuntimeProcess>,
    endpoints: Endpoints,
    /// Tags by the models' names.
    tags: BTreeMap<String, u32>,
    setup: Setup,
    started: usize,
    folder: TempDir,
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self {
            runtimes: 4,
            serve: Vec::new(),
            routing: json!({ "models": [] }),
            gateway: json!({}),
            has_folder_each: false,
            store: None,
            broken: Vec::new(),
            changes: Vec::new(),
            workers: 1,
        }
    }
}

impl Setup {
    /// The same with further arguments of `modelway serve`.
    #[must_use]
    pub fn serve(mut self, arguments: &[&str]) -> Self {
        self.serve.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The same with a change to the rendered cluster of the runtimes, below this pointer.
    #[must_use]
    pub fn change_cluster(mut self, below: &str, value: Value) -> Self {
        self.changes.push((format!("/static_resources/clusters/0{below}"), value));
        self
    }
}

// === impl Mesh ===

impl Mesh {
    /// Writes the models, starts the runtimes and Envoy, and waits until requests can be sent.
    pub async fn start(setup: Setup, models: &[(String, Classifier)]) -> Result<Self> {
        let folder = TempDir::new()?;
        let endpoints = Endpoints::new(folder.path());
        let bootstrap = rendered::bootstrap(&setup, folder.path(), endpoints.file())?;
        endpoints.publish(&[])?;
        let mut runtimes = Vec::new();
        for number in 0..setup.runtimes {
            let models_folder = models_folder(folder.path(), &setup, number);
            for (name, classifier) in models {
                classifier.write(&models_folder, name)?;
            }
            for (_, name) in setup.broken.iter().filter(|(of, _)| *of == number) {
                std::fs::write(models_folder.join(format!("{name}.pkl")), b"\x80\x03not a model.")?;
            }
            let (models, cache) = place_of_models(folder.path(), &setup, number);
            let arguments = [cache, setup.serve.clone()].concat();
            runtimes.push(RuntimeProcess::start(number, &models, folder.path(), &[], &arguments)?);
        }
        let addresses: Vec<_> = runtimes.iter().map(RuntimeProcess::address).collect();
        endpoints.publish(&addresses)?;
        let envoy = Envoy::open(&bootstrap, setup.workers).await?;
        let tags = models.iter().map(|(name, classifier)| (name.clone(), classifier.tag)).collect();
        let started = setup.runtimes;
        let mesh = Self { envoy, runtimes, endpoints, tags, setup, started, folder };
        mesh.until_healthy(mesh.runtimes.len()).await?;
        Ok(mesh)
    }

    /// Where clients connect.
    pub fn gateway(&self) -> SocketAddr {
        self.envoy.address()
    }

    /// The gateway.
    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// The runtimes that were started and not removed, the oldest first.
    pub fn runtimes(&self) -> &[RuntimeProcess] {
        &self.runtimes
    }

    /// The runtime at this place, which must be there.
    pub fn runtime(&mut self, place: usize) -> Result<&mut RuntimeProcess> {
        self.runtimes.get_mut(place).with_context(|| format!("there is no runtime {place}"))
    }

    /// The names of the models.
    pub fn models(&self) -> Vec<String> {
        self.tags.keys().cloned().collect()
    }

    /// The tag of a model's answers, as its file was written last.
    pub fn tag(&self, model: &str) -> Option<u32> {
        self.tags.get(model).copied()
    }

    /// The folder that a runtime reads its models from.
    pub fn models_folder(&self, number: usize) -> PathBuf {
        models_folder(self.folder.path(), &self.setup, number)
    }

    /// Puts another file in a model's place, for every runtime, as one step.
    pub fn replace(&mut self, model: &str, classifier: &Classifier) -> Result<()> {
        let numbers = if self.setup.has_folder_each { self.started } else { 1 };
        for number in 0..numbers {
            classifier.write(&self.models_folder(number), model)?;
        }
        self.tags.insert(model.to_owned(), classifier.tag);
        Ok(())
    }

    /// Starts one more runtime, with further arguments, and tells Envoy once it answers.
    pub async fn add(&mut self, arguments: &[&str]) -> Result<()> {
        self.add_within(&[], arguments)
    }

    /// The same, with a disk of so many bytes that has nothing but its cache. [`small_disk::is_possible`] says whether
    /// this machine lets us.
    pub async fn add_with_disk(&mut self, bytes: u64, arguments: &[&str]) -> Result<()> {
        let around = small_disk::around(&cache_folder(self.folder.path(), self.started), bytes)?;
        self.add_within(&around, arguments)
    }

    fn add_within(&mut self, around: &[String], arguments: &[&str]) -> Result<()> {
        let number = self.started;
        let folder = self.models_folder(number);
        if self.setup.has_folder_each {
            copy_files(&self.models_folder(0), &folder)?;
        }
        let (models, cache) = place_of_models(self.folder.path(), &self.setup, number);
        let mut all = [cache, self.setup.serve.clone()].concat();
        all.extend(arguments.iter().map(ToString::to_string));
        let process = RuntimeProcess::start(number, &models, self.folder.path(), around, &all)?;
        self.started += 1;
        self.runtimes.push(process);
        self.publish()
    }

    /// Takes a runtime away, and out of what Envoy discovers. What still runs of it is killed.
    pub fn remove(&mut self, place: usize) -> Result<()> {
        ensure!(place < self.runtimes.len(), "there is no runtime {place}");
        drop(self.runtimes.remove(place));
        self.publish()
    }

    /// Tells Envoy the runtimes.
    fn publish(&self) -> Result<()> {
        let addresses: Vec<_> = self.runtimes.iter().map(RuntimeProcess::address).collect();
        self.endpoints.publish(&addresses)
    }

    /// Waits until Envoy sends requests to so many runtimes, no more and no less.
    pub async fn until_healthy(&self, count: usize) -> Result<()> {
        until(&format!("{count} runtimes on the ring"), PATIENCE, async || {
            let healthy = self.cluster_stat("membership_healthy").await?;
            ensure!(healthy == count as u64, "{healthy} are healthy");
            // The ring is made anew a little later.
            let (entries, each) =
                (RING_SIZE / count as u64, self.cluster_stat("ring_hash_lb.min_hashes_per_host").await?);
            ensure!(each.abs_diff(entries) <= 1, "each has {each} entries on the ring, not yet {entries}");
            Ok(())
        })
        .await
    }

    /// A counter or gauge of Envoy's about the runtimes; 0 while there is no such.
    pub async fn cluster_stat(&self, name: &str) -> Result<u64> {
        Ok(self.envoy.stat(&format!("cluster.runtimes.{name}")).await?.unwrap_or_default())
    }

    /// Which models are in memory, one set a runtime.
    pub async fn resident(&self) -> Result<Vec<BTreeSet<String>>> {
        let mut all = Vec::new();
        for runtime in &self.runtimes {
            all.push(runtime.resident().await?);
        }
        Ok(all)
    }

    /// The places of the runtimes that have this model in memory.
    pub async fn holders(&self, model: &str) -> Result<Vec<usize>> {
        let resident = self.resident().await?;
        let holders = resident.iter().enumerate().filter(|(_, models)| models.contains(model));
        Ok(holders.map(|(place, _)| place).collect())
    }

    /// The sum of a metric over the runtimes that answer; frozen and dead ones count nothing.
    pub async fn total(&self, metric: &str) -> f64 {
        let mut total = 0.0;
        for runtime in &self.runtimes {
            if let Ok(metrics) = runtime.metrics().await {
                total += metrics.sum(metric);
            }
        }
        total
    }

    /// Asks once and checks the answer against the model's tag.
    pub async fn ask(&self, question: &Question) -> Result<()> {
        question.check(&self.answer(question).await?, self.tag(&question.model))
    }

    /// Asks once, and gives whatever is answered.
    pub async fn answer(&self, question: &Question) -> Result<Message> {
        let request = question.request();
        let patience = request.patience;
        let answer = tokio::time::timeout(patience, crate::client::send(self.gateway(), request)).await;
        answer.with_context(|| format!("no answer within {patience:?}"))?
    }

    /// That each of these was answered, and by the model it was put to.
    pub fn all_answered(&self, asked: &[Asked]) -> Result<()> {
        let mut wrong = Vec::new();
        for (number, asked) in asked.iter().enumerate() {
            let expected = self.tag(&asked.question.model);
            if asked.tag.as_ref().ok().copied() != expected {
                let took = asked.answered - asked.sent;
                wrong.push(format!("\n{number} {:?} after {took:?}: {:?}", asked.question, asked.tag));
            }
        }
        ensure!(wrong.is_empty(), "{} of {} failed:{}", wrong.len(), asked.len(), wrong.concat());
        Ok(())
    }

    /// Sends requests at this rate until it is told to stop. `question` makes the question of a number.
    pub async fn traffic(&self, rate: u32, question: impl Fn(u64) -> Question + Send + 'static) -> Result<Traffic> {
        Traffic::start(self.gateway(), rate, question).await
    }
}

/// Runs `look` until it succeeds. Its last error is in the failure.
pub async fn until(what: &str, limit: Duration, look: impl AsyncFn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("not within {limit:?}: {what}")));
            }
            Err(_) => tokio::time::sleep(LOOK_INTERVAL).await,
        }
    }
}

fn models_folder(folder: &Path, setup: &Setup, number: usize) -> PathBuf {
    folder.join(if setup.has_folder_each { format!("models-{number}") } else { "models".to_owned() })
}

fn cache_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("cache-{number}"))
}

/// What a runtime is told to serve, and the arguments about its cache.
fn place_of_models(folder: &Path, setup: &Setup, number: usize) -> (PathBuf, Vec<String>) {
    match &setup.store {
        None => (models_folder(folder, setup, number), Vec::new()),
        Some(store) => {
            let cache = cache_folder(folder, number).display().to_string();
            (store.into(), vec!["--cache".to_owned(), cache])
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
