//! One load: files, format, model, digest.

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

/// Digits of a digest that are shown.
const DIGEST_DIGITS: usize = 12;

/// A model that was read.
pub(super) struct Loadable {
    pub(super) model: Arc<dyn Model>,
    pub(super) digest: String,
}

/// Reads the model of a slot, on one of the loaders' threads. Once the reader has begun it
/// is not interrupted.
pub(super) async fn load(
    slot: &Slot,
    formats: &[Arc<dyn Format>],
    loaders: &Loaders,
    cancelled: &CancellationToken,
) -> Result<Loadable, LoadEnd> {
    let Origin::Files(files) = &slot.description().origin else {
        return Err(LoadEnd::Failed("it has no files".to_owned()));
    };
    if cancelled.is_cancelled() {
        return Err(LoadEnd::Cancelled);
    }
    let format = choose(files, formats).map_err(LoadEnd::Failed)?;
    let files = files.clone();
    let loaded = loaders.run(move || read(format.as_ref(), &files)).await;
    loaded.flatten().map_err(LoadEnd::Failed)
}

/// Where the model will compute, as far as its format knows before it is loaded.
pub(super) fn device(about: &Description, formats: &[Arc<dyn Format>]) -> Device {
    let Origin::Files(files) = &about.origin else { return Device::Cpu };
    choose(files, formats).map_or(Device::Cpu, |format| format.device(files))
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

fn read(format: &dyn Format, files: &ModelFiles) -> Result<Loadable, String> {
    let model = format.load(files).map_err(|error| error.to_string())?;
    let digest = digest(&files.path)
        .map_err(|error| LoadError::Read { path: files.path.clone(), reason: error.to_string() }.to_string())?;
    Ok(Loadable { model, digest })
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
