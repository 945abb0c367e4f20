//! Loading: every model once, several at a time.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::catalogue::{Catalogue, Loaded};
use crate::formats::{Format, LoadError, ModelFiles};
use crate::model::Model;

/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;

impl Catalogue {
    /// Loads what is not loaded yet and returns when every load was tried. A failure is the model's
    /// own: it is logged, kept for who asks, and the others go on.
    pub async fn load_all(self: &Arc<Self>) {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = Arc::new(Semaphore::new(at_once));
        let mut loads = JoinSet::new();
        for (name, versions) in &self.models {
            for (version, entry) in versions {
                let (Some(files), None) = (&entry.files, entry.outcome.get()) else { continue };
                let (name, version) = (name.clone(), version.clone());
                let (files, permits, catalogue) = (files.clone(), permits.clone(), self.clone());
                loads.spawn(async move {
                    // The semaphore is never closed; without a permit loading would only be wider.
                    let _permit = permits.acquire_owned().await;
                    let label = version.as_ref().map(ToString::to_string);
                    let outcome = load(&name, label, files, &catalogue.formats).await;
                    if let Some(entry) = catalogue.models.get(&name).and_then(|versions| versions.get(&version)) {
                        // Only this task fills the entry.
                        let _ = entry.outcome.set(outcome);
                    }
                });
            }
        }
        loads.join_all().await;
    }
}

async fn load(
    name: &str,
    version: Option<String>,
    files: ModelFiles,
    formats: &[Arc<dyn Format>],
) -> Result<Arc<Loaded>, String> {
    let path = files.path.clone();
    let started = Instant::now();
    let result = match choose(&files, formats) {
        Ok(format) => {
            let task = tokio::task::spawn_blocking(move || read(format.as_ref(), &files));
            task.await.unwrap_or_else(|fault| Err(format!("the reader stopped: {fault}")))
        }
        Err(reason) => Err(reason),
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok((model, digest)) => {
            tracing::info!(
                model = name,
                version,
                digest,
                bytes = model.size_bytes(),
                milliseconds,
                path = %path.display(),
                "model loaded"
            );
            Ok(Arc::new(Loaded::new(name.to_owned(), version, digest, model)))
        }
        Err(reason) => {
            tracing::error!(
                model = name,
                version,
                reason,
                milliseconds,
                path = %path.display(),
                "model failed to load"
            );
            Err(reason)
        }
    }
}

fn choose(files: &ModelFiles, formats: &[Arc<dyn Format>]) -> Result<Arc<dyn Format>, String> {
    let chosen = match &files.format {
        Some(name) => formats.iter().find(|format| format.name() == name),
        None => formats.iter().find(|format| format.recognises(files)),
    };
    chosen.cloned().ok_or_else(|| {
        let known: Vec<_> = formats.iter().map(|format| format.name()).collect();
        let asked = files.format.as_deref().map(|name| format!("'{name}'")).unwrap_or_else(|| "of its name".to_owned());
        format!("no model format {asked} in this server, it has: {}", known.join(", "))
    })
}

fn read(format: &dyn Format, files: &ModelFiles) -> Result<(Arc<dyn Model>, String), String> {
    let model = format.load(files).map_err(|error| error.to_string())?;
    let digest = digest(&files.path)
        .map_err(|error| LoadError::Read { path: files.path.clone(), reason: error.to_string() }.to_string())?;
    Ok((model, digest))
}

/// Of a file's bytes; of a folder's files, with their names, in order.
fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    add(path, &mut hash)?;
    let digits = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Ok(digits.chars().take(DIGEST_DIGITS).collect())
}

fn add(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            hash.update(entry.file_name().as_encoded_bytes());
            add(&entry.path(), hash)?;
        }
        return Ok(());
    }
    const CHUNK: usize = 1 << 16;
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = file.read(&mut chunk)?;
        let Some(part) = chunk.get(..length).filter(|part| !part.is_empty()) else { return Ok(()) };
        hash.update(part);
    }
}
