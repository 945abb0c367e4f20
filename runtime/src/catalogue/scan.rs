//! What models stand in storage.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalogue::settings::{self, Settings};
use crate::catalogue::triton::{self, Config};
use crate::fingerprint::Fingerprint;
use crate::formats::{Format, ModelFiles};
use crate::model::Signature;
use crate::storage::{Entry, Stored, Tree};

/// A model in storage.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) version: Option<String>,
    /// The entry that it was found at, for the log.
    pub(super) path: PathBuf,
    /// What to load, or why nothing can be.
    pub(super) files: Result<Stored, String>,
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

/// What somebody says is a model.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    /// Its format, where no settings say.
    pub(super) format: Option<String>,
}

/// A model that stands directly in a folder, and what its settings say.
struct Located {
    name: Option<String>,
    version: Option<String>,
    files: Result<Stored, String>,
    lacks_implementation: bool,
    signature: Option<Arc<Signature>>,
}

/// Files that the text about a folder without a model file names.
const FILES_TOLD: usize = 4;

// === impl Found ===

impl Found {
    /// A model file without settings.
    fn bare(tree: &dyn Tree, name: String, path: PathBuf, files: Result<Stored, String>) -> Self {
        Self {
            name,
            version: None,
            fingerprint: tree.fingerprint(&[&path]),
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

/// Looks through the entries of storage, in order of their names. A place that is one file is that model.
pub(super) fn scan(tree: &dyn Tree, formats: &[Arc<dyn Format>]) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    if let Some(path) = tree.only_file() {
        scan_entry(tree, Entry { path, is_folder: false }, formats, &mut found);
        return Ok(found);
    }
    // As MLServer is started inside of a model's folder.
    let is_a_model = has_settings(tree, tree.root());
    if is_a_model {
        found.push(scan_own_settings(tree, formats));
    }
    for entry in tree.entries(tree.root())? {
        if !is_a_model || entry.is_folder && has_settings(tree, &entry.path) {
            scan_entry(tree, entry, formats, &mut found);
        }
    }
    Ok(found)
}

/// Looks at one model, which most of the time stands in a folder of its own name; nothing where it does not.
pub(super) fn scan_folder_of(tree: &dyn Tree, name: &str, formats: &[Arc<dyn Format>]) -> Vec<Found> {
    let mut found = Vec::new();
    let path = tree.root().join(name);
    // As in a look at everything: the folders of a model are no models without settings of their own.
    if has_settings(tree, tree.root()) && !has_settings(tree, &path) {
        return found;
    }
    if is_plain(name) && tree.is_folder(&path).unwrap_or(false) {
        scan_entry(tree, Entry { path, is_folder: true }, formats, &mut found);
    }
    found.retain(|found| found.name == name);
    found
}

/// Whether an entry could be called so.
pub(super) fn is_plain(name: &str) -> bool {
    let is_of_a_name = |sign: char| sign != '/' && !sign.is_control();
    !name.is_empty() && name.chars().all(is_of_a_name) && !name.starts_with('.') && name != "lost+found"
}

/// Looks at what somebody says is a model: the place itself, a file or folder of any name.
pub(super) fn scan_place(tree: &dyn Tree, place: &Place, formats: &[Arc<dyn Format>]) -> Vec<Found> {
    let Place { name, format } = place;
    let mut found = Vec::new();
    let path = tree.only_file().unwrap_or_else(|| tree.root().to_owned());
    match tree.is_folder(&path) {
        Ok(true) => scan_model_folder(tree, name, &path, formats, &mut found),
        Ok(false) => {
            let files = tree.stored(&path, None);
            found.push(Found::bare(tree, name.clone(), path, Ok(files)));
        }
        Err(error) => {
            let reason = format!("cannot read {}: {error}", path.display());
            found.push(Found::bare(tree, name.clone(), path, Err(reason)));
        }
    }
    for found in &mut found {
        found.name.clone_from(name);
        if let Ok(files) = &mut found.files {
            files.or_of_format(format.as_deref());
        }
    }
    found
}

fn scan_entry(tree: &dyn Tree, entry: Entry, formats: &[Arc<dyn Format>], found: &mut Vec<Found>) {
    let Entry { path, is_folder } = entry;
    if is_folder {
        if let Some(name) = text_of(path.file_name()) {
            scan_model_folder(tree, &name, &path, formats, found);
        }
        return;
    }
    match text_of(path.file_stem()) {
        Some(name) if is_recognised(&path, formats) => {
            let files = tree.stored(&path, None);
            found.push(Found::bare(tree, name, path, Ok(files)));
        }
        _ => tracing::debug!(path = %path.display(), "no model, skipped"),
    }
}

fn scan_model_folder(tree: &dyn Tree, name: &str, folder: &Path, formats: &[Arc<dyn Format>], found: &mut Vec<Found>) {
    let config = Config::read(tree, folder);
    let (config, fault) = match config {
        Ok(config) => (config, None),
        Err(reason) => (Config::default(), Some(reason)),
    };
    let name = config.name.as_deref().unwrap_or(name);
    let mut add = |name: String, version: Option<String>, path: &Path, located: Located| {
        let files = fault.clone().map_or(located.files, Err);
        let fingerprint = fingerprint(tree, folder, path, files.as_ref().ok());
        found.push(Found {
            name,
            version,
            path: path.to_owned(),
            files,
            fingerprint,
            max_batch_size: config.max_batch_size,
            has_policy: config.policy.is_some(),
            lacks_implementation: located.lacks_implementation,
            signature: located.signature.or_else(|| config.signature.clone()),
        });
    };
    let whole = locate(tree, folder, formats);
    let has_model = whole.is_some();
    // Then a folder in it is a version only where it has settings, too: others are the model's files.
    let is_settled = has_settings(tree, folder);
    if let Some(mut whole) = whole {
        let (own_name, version) = (whole.name.take(), whole.version.take());
        add(own_name.unwrap_or_else(|| name.to_owned()), version, folder, whole);
    }
    let mut versions: Vec<String> = Vec::new();
    for entry in tree.entries(folder).unwrap_or_default() {
        if !entry.is_folder || is_settled && !has_settings(tree, &entry.path) {
            continue;
        }
        versions.extend(text_of(entry.path.file_name()));
    }
    if let Some(policy) = &config.policy {
        policy.select(&mut versions);
    }
    let mut has_versions = false;
    for version in versions {
        let is_number = version.bytes().all(|byte| byte.is_ascii_digit());
        let path = folder.join(&version);
        let located = match locate(tree, &path, formats) {
            Some(located) => located,
            None if is_number => Located::failed(nothing_in(tree, &path)),
            None => continue,
        };
        has_versions = true;
        add(name.to_owned(), Some(version), &path, located);
    }
    if !has_model && !has_versions {
        add(name.to_owned(), None, folder, Located::failed(nothing_in(tree, folder)));
    }
}

/// The model whose settings stand in the models folder itself; other entries of the folder are its files.
fn scan_own_settings(tree: &dyn Tree, formats: &[Arc<dyn Format>]) -> Found {
    let folder = tree.root();
    let located = locate(tree, folder, formats).unwrap_or_else(|| Located::failed(nothing_in(tree, folder)));
    // `.` has no name before it is resolved; a place in a store is none of this machine's.
    let own_name = || text_of(folder.canonicalize().as_deref().unwrap_or(folder).file_name());
    Found {
        name: located.name.or_else(own_name).unwrap_or_default(),
        version: located.version,
        path: folder.to_owned(),
        fingerprint: fingerprint(tree, folder, folder, located.files.as_ref().ok()),
        files: located.files,
        max_batch_size: None,
        has_policy: false,
        lacks_implementation: located.lacks_implementation,
        signature: located.signature,
    }
}

/// Of the model's files and of what says how to read them; of the whole folder when nothing can be loaded.
fn fingerprint(tree: &dyn Tree, folder: &Path, own: &Path, files: Option<&Stored>) -> Fingerprint {
    let (settings, config) = (own.join(settings::FILE), folder.join(triton::FILE));
    tree.fingerprint(&[files.map_or(own, Stored::path), &settings, &config])
}

/// The model that stands directly in this folder, if one does.
fn locate(tree: &dyn Tree, folder: &Path, formats: &[Arc<dyn Format>]) -> Option<Located> {
    let settings = match Settings::read(tree, folder) {
        Ok(Some(settings)) => settings,
        Ok(None) => {
            let picked = pick(tree, folder, formats).transpose()?;
            let files = picked.map(|path| tree.stored(&path, None));
            return Some(Located { name: None, version: None, files, lacks_implementation: false, signature: None });
        }
        Err(reason) => return Some(Located::failed(reason)),
    };
    let target = settings.uri().map_or_else(|| folder.to_owned(), |uri| folder.join(uri));
    let format = settings.implementation.as_deref().map(|named| settings::format_of(named, formats)).transpose();
    let files = format.and_then(|format| {
        let is_meant = |own: &&Arc<dyn Format>| format.as_deref().is_none_or(|named| own.is_called(named));
        let meant: Vec<_> = formats.iter().filter(is_meant).cloned().collect();
        let path = match (pick(tree, &target, &meant)?, format.as_deref()) {
            (Some(path), _) => path,
            (None, Some(format)) if settings::is_of_folders(format, formats) => target.clone(),
            (None, _) => return Err(nothing_in(tree, &target)),
        };
        Ok(tree.stored(&path, format).with_parameters(settings.parameters()))
    });
    Some(Located {
        version: settings.version().map(str::to_owned),
        files,
        lacks_implementation: settings.implementation.is_none(),
        signature: settings.signature(),
        name: settings.name,
    })
}

/// The file to load: the path itself, the folder if a format takes such folders, or the model file in it. A folder that
/// one file makes a model, whatever it is called, comes after files that are models in all folders.
fn pick(tree: &dyn Tree, path: &Path, formats: &[Arc<dyn Format>]) -> Result<Option<PathBuf>, String> {
    let cannot_read = |error: io::Error| format!("cannot read {}: {error}", path.display());
    if !tree.is_folder(path).map_err(cannot_read)? {
        return Ok(Some(path.to_owned()));
    }
    let mut files = tree.entries(path).map_err(cannot_read)?;
    files.retain(|entry| !entry.is_folder);
    let names: Vec<&str> = files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
    let parts: Vec<&str> = names.iter().copied().filter(|name| !is_recognised(Path::new(name), formats)).collect();
    if formats.iter().any(|format| format.recognises_folder(&parts)) {
        return Ok(Some(path.to_owned()));
    }
    let of_files: Vec<_> = formats.iter().filter(|format| !format.is_of_folders()).cloned().collect();
    if files.iter().any(|file| is_recognised(&file.path, &of_files)) {
        files.retain(|file| is_recognised(&file.path, &of_files));
    } else if formats.iter().any(|format| format.recognises_folder(&names)) {
        return Ok(Some(path.to_owned()));
    } else {
        files.retain(|file| is_recognised(&file.path, formats));
    }
    let is_well_known = |file: &&Entry| file.path.file_stem().is_some_and(|stem| stem == "model");
    let mut well_known = files.iter().filter(is_well_known);
    match (well_known.next(), well_known.next(), files.as_slice()) {
        (Some(file), None, _) | (None, _, [file]) => Ok(Some(file.path.clone())),
        (None, _, []) => Ok(None),
        _ => Err(format!(
            "{} has {} model files, expected one, or parameters.uri in model-settings.json to name it",
            path.display(),
            files.len()
        )),
    }
}

/// What is there instead is mostly a model of another kind.
fn nothing_in(tree: &dyn Tree, folder: &Path) -> String {
    let mut others = tree.entries(folder).unwrap_or_default();
    others.retain(|entry| !entry.is_folder);
    let names: Vec<_> = others.iter().take(FILES_TOLD).filter_map(|entry| text_of(entry.path.file_name())).collect();
    let text = format!("no model file in {}, expected for instance model.joblib", folder.display());
    match (names.as_slice(), others.len().saturating_sub(names.len())) {
        ([], _) => text,
        (names, 0) => format!("{text}; it has {}", names.join(", ")),
        (names, more) => format!("{text}; it has {} and {more} more", names.join(", ")),
    }
}

/// Whether MLServer's settings stand in this folder.
fn has_settings(tree: &dyn Tree, folder: &Path) -> bool {
    tree.is_folder(&folder.join(settings::FILE)).is_ok_and(|is_folder| !is_folder)
}

fn is_recognised(path: &Path, formats: &[Arc<dyn Format>]) -> bool {
    let files = ModelFiles { path: path.to_owned(), ..ModelFiles::default() };
    formats.iter().any(|format| format.recognises(&files))
}

fn text_of(name: Option<&OsStr>) -> Option<String> {
    let text = name?.to_str();
    if text.is_none() {
        tracing::debug!(?name, "name is not UTF-8, skipped");
    }
    text.map(str::to_owned)
}
