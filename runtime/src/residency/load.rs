//! One load: files, made local, format, model, digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::formats::{Format, LoadError, ModelFiles};
use crate::model::{Device, Model};
use crate::residency::loaders::Loaders;
use crate::residency::room::LoadEnd;
use crate::residency::slot::{Description, Origin, Slot};
use crate::storage::{Hold, Local};

/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;

/// A model that was read.
pub(super) struct Loadable {
    pub(super) model: Arc<dyn Model>,
    pub(super) digest: String,
    /// Of the files, if the model still reads them.
    pub(super) hold: Option<Hold>,
}

/// Makes the files of a slot local, and reads the model on one of the loaders' threads. Once the reader has begun it is
/// not interrupted.
pub(super) async fn load(
    slot: &Slot,
    formats: &[Arc<dyn Format>],
    loaders: &Loaders,
    cancelled: &CancellationToken,
) -> Result<Loadable, LoadEnd> {
    let Origin::Files(stored) = &slot.description().origin else {
        return Err(LoadEnd::Failed("it has no files".to_owned()));
    };
    if cancelled.is_cancelled() {
        return Err(LoadEnd::Cancelled);
    }
    // Before anything is downloaded for nothing.
    if let Some(name) = stored.format() {
        named(name, formats).map_err(LoadEnd::Failed)?;
    }
    if let Ok(format) = choose(stored.named(), formats) {
        format.check(stored.named()).map_err(|error| LoadEnd::Failed(error.to_string()))?;
    }
    let local = tokio::select! {
        biased;
        local = stored.fetch() => local.map_err(LoadEnd::Failed)?,
        () = cancelled.cancelled() => return Err(LoadEnd::Cancelled),
    };
    let (formats, cancelled) = (formats.to_vec(), cancelled.clone());
    let loaded = loaders.run(slot.description().fingerprint.bytes(), move || {
        // Downloads that have ended may have waited for a thread.
        if cancelled.is_cancelled() { Err(LoadEnd::Cancelled) } else { read(&formats, local).map_err(LoadEnd::Failed) }
    });
    loaded.await.unwrap_or_else(|reason| Err(LoadEnd::Failed(reason)))
}

/// Where the model will compute, as far as its format knows before it is loaded.
pub(super) fn device(about: &Description, formats: &[Arc<dyn Format>]) -> Device {
    let Origin::Files(stored) = &about.origin else { return Device::Cpu };
    choose(stored.named(), formats).map_or(Device::Cpu, |format| format.device(stored.named()))
}

/// Bytes that it will take in memory, as far as its format knows before it is loaded.
pub(super) fn expected_bytes(about: &Description, formats: &[Arc<dyn Format>]) -> u64 {
    let stored = about.fingerprint.bytes();
    let Origin::Files(files) = &about.origin else { return stored };
    choose(files.named(), formats).map_or(stored, |format| format.expected_bytes(files.named(), stored))
}

fn named(name: &str, formats: &[Arc<dyn Format>]) -> Result<Arc<dyn Format>, String> {
    let chosen = formats.iter().find(|format| format.is_called(name)).cloned();
    chosen.ok_or_else(|| unknown(&format!("'{name}'"), formats))
}

fn choose(files: &ModelFiles, formats: &[Arc<dyn Format>]) -> Result<Arc<dyn Format>, String> {
    if let Some(name) = &files.format {
        return named(name, formats);
    }
    if let Some(format) = formats.iter().find(|format| format.recognises(files)) {
        return Ok(format.clone());
    }
    let names = names_in(&files.path);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of_folder = formats.iter().find(|format| !names.is_empty() && format.recognises_folder(&names));
    of_folder.cloned().ok_or_else(|| unknown("of its name", formats))
}

fn unknown(asked: &str, formats: &[Arc<dyn Format>]) -> String {
    let known: Vec<_> = formats.iter().map(|format| format.name()).collect();
    format!("no model format {asked} in this server, it has: {}", known.join(", "))
}

/// Of the files in a folder.
fn names_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn read(formats: &[Arc<dyn Format>], local: Local) -> Result<Loadable, String> {
    let Local { files, hold } = local;
    let model = choose(&files, formats)?.load(&files).map_err(|error| error.to_string())?;
    let digest = digest(&files.path)
        .map_err(|error| LoadError::Read { path: files.path.clone(), reason: error.to_string() }.to_string())?;
    let hold = hold.filter(|_| model.keeps_files());
    Ok(Loadable { model, digest, hold })
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
