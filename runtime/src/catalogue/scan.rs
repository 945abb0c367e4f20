//! What stands in a models folder.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::settings::{self, Settings};
use crate::catalogue::triton::{self, Config};
use crate::fingerprint::Fingerprint;
use crate::formats::{Format, ModelFiles};
use crate::model::Signature;

/// A model in storage.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// The entry that it was found at, for the log.
    pub(super) path: PathBuf,
    /// What to load, or why nothing can be.
    pub(super) files: Result<ModelFiles, String>,
    pub(super) fingerprint: Fingerprint,
    /// Rows that a request may have, if the settings limit them.
    pub(super) max_batch_size: Option<u64>,
    /// The settings say which versions are served.
    pub(super) has_policy: bool,
    /// Its settings say which file to serve and not what kind it is.
    pub(super) lacks_implementation: bool,
    /// Inputs and outputs as the settings declare them.
    pub(super) signature: Option<Arc<Signature>>,
}

/// Where somebody says that a model stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Its format, where no settings say.
    pub(super) format: Option<String>,
}

/// A model that stands directly in a folder, and what its settings say.
struct Located {
    name: Option<String>,
    version: Option<String>,
    files: Result<ModelFiles, String>,
    lacks_implementation: bool,
    signature: Option<Arc<Signature>>,
}

/// Files that the text about a folder without a model file names.
const FILES_TOLD: usize = 4;

// === impl Found ===

impl Found {
    /// A model file without settings.
    fn bare(name: String, path: PathBuf, files: Result<ModelFiles, String>) -> Self {
        Self {
            name,
            version: None,
            fingerprint: Fingerprint::of([path.as_path()]),
            path,
            files,
            max_batch_size: None,
            has_policy: false,
            lacks_implementation: false,
            signature: None,
        }
    }
}

// === impl Located ===

impl Located {
    fn failed(reason: String) -> Self {
        Self { name: None, version: None, files: Err(reason), lacks_implementation: false, signature: None }
    }
}

/// Looks through the entries of the folder, in order of their names.
pub(super) fn scan(folder: &Path, formats: &[Arc<dyn Format>]) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    // As MLServer is started inside of a model's folder.
    let is_a_model = folder.join(settings::FILE).is_file();
    if is_a_model {
        found.push(scan_own_settings(folder, formats));
    }
    for path in visible_entries(folder)? {
        if !is_a_model || path.is_dir() && path.join(settings::FILE).is_file() {
            scan_entry(path, formats, &mut found);
        }
    }
    Ok(found)
}

/// Looks at one model. Most stand in an entry of their own name; only the settings of another entry
/// can say otherwise, and then all are looked through.
pub(super) fn scan_model(folder: &Path, name: &str, formats: &[Arc<dyn Format>]) -> io::Result<Vec<Found>> {
    let is_an_entry = !name.is_empty() && !name.contains(['/', '\0']) && !is_hidden(OsStr::new(name));
    let mut found = Vec::new();
    if is_an_entry && folder.join(name).is_dir() {
        scan_entry(folder.join(name), formats, &mut found);
    }
    if !found.iter().any(|found| found.name == name) {
        found = scan(folder, formats)?;
    }
    found.retain(|found| found.name == name);
    Ok(found)
}

/// Looks at what somebody says is a model: a file or folder of any name.
pub(super) fn scan_place(place: &Place, formats: &[Arc<dyn Format>]) -> Vec<Found> {
    let Place { name, path, format } = place;
    let mut found = Vec::new();
    if path.is_dir() {
        scan_model_folder(name, path, formats, &mut found);
    } else {
        let files = match fs::metadata(path) {
            Ok(_) => Ok(ModelFiles { path: path.clone(), format: None }),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        };
        found.push(Found::bare(name.clone(), path.clone(), files));
    }
    for found in &mut found {
        found.name.clone_from(name);
        if let Ok(files) = &mut found.files {
            files.format = files.format.take().or_else(|| format.clone());
        }
    }
    found
}

fn scan_entry(path: PathBuf, formats: &[Arc<dyn Format>], found: &mut Vec<Found>) {
    if path.is_dir() {
        if let Some(name) = text_of(path.file_name()) {
            scan_model_folder(&name, &path, formats, found);
        }
        return;
    }
    let files = ModelFiles { path: path.clone(), format: None };
    match text_of(path.file_stem()) {
        Some(name) if is_recognised(&files, formats) => {
            found.push(Found::bare(name, path, Ok(files)));
        }
        _ => tracing::debug!(path = %path.display(), "no model, skipped"),
    }
}

fn scan_model_folder(name: &str, folder: &Path, formats: &[Arc<dyn Format>], found: &mut Vec<Found>) {
    let config = Config::read(folder);
    let (config, fault) = match config {
        Ok(config) => (config, None),
        Err(reason) => (Config::default(), Some(reason)),
    };
    let name = config.name.as_deref().unwrap_or(name);
    let mut add = |name: String, version: Option<String>, path: &Path, located: Located| {
        let files = fault.clone().map_or(located.files, Err);
        let fingerprint = fingerprint(folder, path, files.as_ref().ok());
        found.push(Found {
            name,
            version,
            path: path.to_owned(),
            files,
            fingerprint,
            max_batch_size: config.max_batch_size,
            has_policy: config.policy.is_some(),
            lacks_implementation: located.lacks_implementation,
            signature: located.signature,
        });
    };
    let whole = locate(folder, formats);
    let has_model = whole.is_some();
    // Then a folder in it is a version only where it has settings, too: others are the model's files.
    let has_settings = folder.join(settings::FILE).is_file();
    if let Some(mut whole) = whole {
        let (own_name, version) = (whole.name.take(), whole.version.take());
        add(own_name.unwrap_or_else(|| name.to_owned()), version, folder, whole);
    }
    let mut versions: Vec<String> = Vec::new();
    for path in visible_entries(folder).unwrap_or_default() {
        if !path.is_dir() || has_settings && !path.join(settings::FILE).is_file() {
            continue;
        }
        versions.extend(text_of(path.file_name()));
    }
    if let Some(policy) = &config.policy {
        policy.select(&mut versions);
    }
    let mut has_versions = false;
    for version in versions {
        let is_number = version.bytes().all(|byte| byte.is_ascii_digit());
        let path = folder.join(&version);
        let located = match locate(&path, formats) {
            Some(located) => located,
            None if is_number => Located::failed(nothing_in(&path)),
            None => continue,
        };
        has_versions = true;
        add(name.to_owned(), Some(version), &path, located);
    }
    if !has_model && !has_versions {
        add(name.to_owned(), None, folder, Located::failed(nothing_in(folder)));
    }
}

/// The model whose settings stand in the models folder itself; other entries of the folder are its files.
fn scan_own_settings(folder: &Path, formats: &[Arc<dyn Format>]) -> Found {
    let located = locate(folder, formats).unwrap_or_else(|| Located::failed(nothing_in(folder)));
    // `.` has no name before it is resolved.
    let own_name = || text_of(folder.canonicalize().ok()?.file_name());
    Found {
        name: located.name.or_else(own_name).unwrap_or_default(),
        version: located.version,
        path: folder.to_owned(),
        fingerprint: fingerprint(folder, folder, located.files.as_ref().ok()),
        files: located.files,
        max_batch_size: None,
        has_policy: false,
        lacks_implementation: located.lacks_implementation,
        signature: located.signature,
    }
}

/// Of the model's files and of what says how to read them; of the whole folder when nothing can be loaded.
fn fingerprint(folder: &Path, own: &Path, files: Option<&ModelFiles>) -> Fingerprint {
    let (settings, config) = (own.join(settings::FILE), folder.join(triton::FILE));
    Fingerprint::of([files.map_or(own, |files| &files.path), &settings, &config])
}

/// The model that stands directly in this folder, if one does.
fn locate(folder: &Path, formats: &[Arc<dyn Format>]) -> Option<Located> {
    let settings = match Settings::read(folder) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            let picked = pick(folder, formats).transpose()?;
            let files = picked.map(|path| ModelFiles { path, format: None });
            return Some(Located { name: None, version: None, files, lacks_implementation: false, signature: None });
        }
        Err(reason) => return Some(Located::failed(reason)),
    };
    let target = settings.uri().map_or_else(|| folder.to_owned(), |uri| folder.join(uri));
    let format = settings.implementation.as_deref().map(|named| settings::format_of(named, formats)).transpose();
    let files = format.and_then(|format| {
        let path = pick(&target, formats)?.ok_or_else(|| nothing_in(&target))?;
        Ok(ModelFiles { path, format })
    });
    Some(Located {
        version: settings.version().map(str::to_owned),
        files,
        lacks_implementation: settings.implementation.is_none(),
        signature: settings.signature(),
        name: settings.name,
    })
}

/// The file to load: the path itself, the folder if a format takes folders, or the model file in it.
fn pick(path: &Path, formats: &[Arc<dyn Format>]) -> Result<Option<PathBuf>, String> {
    let cannot_read = |error: io::Error| format!("cannot read {}: {error}", path.display());
    if !fs::metadata(path).map_err(cannot_read)?.is_dir() {
        return Ok(Some(path.to_owned()));
    }
    let is_model = |path: &PathBuf| is_recognised(&ModelFiles { path: path.clone(), format: None }, formats);
    if is_model(&path.to_owned()) {
        return Ok(Some(path.to_owned()));
    }
    let mut files = visible_entries(path).map_err(cannot_read)?;
    files.retain(|file| file.is_file() && is_model(file));
    let is_well_known = |file: &&PathBuf| file.file_stem().is_some_and(|stem| stem == "model");
    let mut well_known = files.iter().filter(is_well_known);
    match (well_known.next(), well_known.next(), files.as_slice()) {
        (Some(file), None, _) | (None, _, [file]) => Ok(Some(file.clone())),
        (None, _, []) => Ok(None),
        _ => Err(format!(
            "{} has {} model files, expected one, or parameters.uri in model-settings.json to name it",
            path.display(),
            files.len()
        )),
    }
}

/// What is there instead is mostly a model of another kind.
fn nothing_in(folder: &Path) -> String {
    let mut others: Vec<_> = visible_entries(folder).unwrap_or_default();
    others.retain(|path| path.is_file());
    let names: Vec<_> = others.iter().take(FILES_TOLD).filter_map(|path| text_of(path.file_name())).collect();
    let text = format!("no model file in {}, expected for instance model.joblib", folder.display());
    match (names.as_slice(), others.len().saturating_sub(names.len())) {
        ([], _) => text,
        (names, 0) => format!("{text}; it has {}", names.join(", ")),
        (names, more) => format!("{text}; it has {} and {more} more", names.join(", ")),
    }
}

fn is_recognised(files: &ModelFiles, formats: &[Arc<dyn Format>]) -> bool {
    formats.iter().any(|format| format.recognises(files))
}

/// The entries in order, without hidden ones (a mounted ConfigMap has such) and `lost+found`.
fn visible_entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_hidden(&name) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || name == "lost+found"
}

fn text_of(name: Option<&OsStr>) -> Option<String> {
    let text = name?.to_str();
    if text.is_none() {
        tracing::debug!(?name, "name is not UTF-8, skipped");
    }
    text.map(str::to_owned)
}
