//! The models that stand in storage, and what has become of each.
//!
//! A front end asks [`Catalogue::find`] for a model and cannot tell how it got into memory. Here
//! everything is loaded once, at the start; a model that fails keeps its reason and the others serve.

mod load;
mod names;
mod scan;
mod settings;
mod version;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::HeaderValue;

use crate::error::{Error, ErrorKind};
use crate::formats::{Format, ModelFiles};
pub use crate::listing::{Listing, State};
use crate::metrics::ModelCounters;
use crate::model::Model;

use version::Version;

/// The models by name and version.
pub struct Catalogue {
    models: BTreeMap<String, Versions>,
    formats: Vec<Arc<dyn Format>>,
}

/// A model in memory.
pub struct Loaded {
    name: String,
    version: Option<String>,
    digest: String,
    served: HeaderValue,
    model: Arc<dyn Model>,
    /// Filled by the first request, so that counting needs no look-up.
    pub(crate) counters: OnceLock<ModelCounters>,
}

/// A model's versions, the lowest first; a model without versions has one entry without a name.
type Versions = BTreeMap<Option<Version>, Entry>;

struct Entry {
    /// Absent when there is nothing to load: the outcome was known from the start.
    files: Option<ModelFiles>,
    outcome: OnceLock<Result<Arc<Loaded>, String>>,
}

// === impl Catalogue ===

impl Catalogue {
    /// The models of a folder, not loaded yet. Each entry of the folder is a model:
    ///
    /// - a file: the model's name is the file's, without the extension;
    /// - a folder with a model file, called `model.*` or the only one there, and perhaps MLServer's
    ///   `model-settings.json`;
    /// - a folder with version folders, as Triton has them: `<model>/<version>/model.*`.
    ///
    /// # Errors
    /// The folder cannot be read. What is wrong inside it is the model's own failure.
    pub fn scan(folder: &Path, formats: Vec<Arc<dyn Format>>) -> io::Result<Self> {
        let mut models: BTreeMap<String, Versions> = BTreeMap::new();
        for found in scan::scan(folder, &formats)? {
            let versions = models.entry(found.name.clone()).or_default();
            let version = found.version.clone().map(Version::from);
            if versions.contains_key(&version) {
                tracing::error!(
                    model = found.name,
                    version = found.version,
                    path = %found.path.display(),
                    "model stands in storage twice, this one is not served: rename it"
                );
                continue;
            }
            versions.insert(version, Entry::from(found));
        }
        Ok(Self { models, formats })
    }

    /// Models that a program made itself: name, version if any, and the model.
    pub fn of<N: Into<String>>(models: impl IntoIterator<Item = (N, Option<String>, Arc<dyn Model>)>) -> Self {
        let mut catalogue = Self { models: BTreeMap::new(), formats: Vec::new() };
        for (name, version, model) in models {
            let loaded = Loaded::new(name.into(), version, "-".to_owned(), model);
            let versions = catalogue.models.entry(loaded.name.clone()).or_default();
            let key = loaded.version.clone().map(Version::from);
            versions.insert(key, Entry { files: None, outcome: OnceLock::from(Ok(Arc::new(loaded))) });
        }
        catalogue
    }

    /// The model to ask. Without a version: the highest that is ready, numbers by value.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a model or version that does not stand in storage, with what does;
    /// [`ErrorKind::Unavailable`] for one that is loading or failed, with the reason.
    pub fn find(&self, name: &str, version: Option<&str>) -> Result<Arc<Loaded>, Error> {
        let versions = self.models.get(name).ok_or_else(|| self.unknown_model(name))?;
        match version {
            Some(version) => {
                let key = Some(Version::from(version.to_owned()));
                let entry = versions.get(&key).ok_or_else(|| unknown_version(name, version, versions))?;
                entry.get(name, Some(version))
            }
            None => {
                if let Some(ready) = versions.values().rev().find_map(Entry::ready) {
                    return Ok(ready);
                }
                let (version, entry) = versions.last_key_value().ok_or_else(|| self.unknown_model(name))?;
                entry.get(name, version.as_ref().map(Version::as_str))
            }
        }
    }

    /// The versions of a model that can be asked, the lowest first; none when it has no versions.
    pub fn ready_versions(&self, name: &str) -> Vec<String> {
        let versions = self.models.get(name).into_iter().flatten();
        versions.filter_map(|(version, entry)| entry.ready().and(version.as_ref())).map(ToString::to_string).collect()
    }

    /// The names of all models, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Every model and version with its state, in order.
    pub fn listings(&self) -> impl Iterator<Item = Listing> {
        self.models.iter().flat_map(|(name, versions)| {
            versions.iter().map(move |(version, entry)| Listing {
                name: name.clone(),
                version: version.as_ref().map(ToString::to_string),
                state: entry.state(),
            })
        })
    }

    /// Whether every load was tried.
    pub fn is_settled(&self) -> bool {
        self.models.values().flat_map(BTreeMap::values).all(|entry| entry.outcome.get().is_some())
    }

    fn unknown_model(&self, name: &str) -> Error {
        if name.is_empty() {
            return Error::not_found("the request names no model");
        }
        let near = names::nearest(name, &self.models);
        Error::not_found(match near.as_slice() {
            [] => format!("unknown model '{name}', this server has none"),
            near if near.len() == self.models.len() => format!("unknown model '{name}', known: {}", near.join(", ")),
            near => format!("unknown model '{name}', {} known, nearest: {}", self.models.len(), near.join(", ")),
        })
    }
}

fn unknown_version(name: &str, version: &str, versions: &Versions) -> Error {
    let known: Vec<_> = versions.keys().flatten().map(Version::as_str).collect();
    Error::not_found(if known.is_empty() {
        format!("unknown version '{version}' of model '{name}', which has no versions")
    } else {
        format!("unknown version '{version}' of model '{name}', known: {}", known.join(", "))
    })
}

// === impl Entry ===

impl Entry {
    fn ready(&self) -> Option<Arc<Loaded>> {
        self.outcome.get()?.as_ref().ok().cloned()
    }

    fn get(&self, name: &str, version: Option<&str>) -> Result<Arc<Loaded>, Error> {
        let label = version.map(|version| format!(" version '{version}'")).unwrap_or_default();
        match self.outcome.get() {
            Some(Ok(loaded)) => Ok(loaded.clone()),
            Some(Err(reason)) => {
                Err(Error::new(ErrorKind::Unavailable, format!("model '{name}'{label} failed to load: {reason}")))
            }
            None => Err(Error::new(ErrorKind::Unavailable, format!("model '{name}'{label} is loading, try again"))),
        }
    }

    fn state(&self) -> State {
        match self.outcome.get() {
            Some(Ok(loaded)) => State::Ready { size_bytes: loaded.model.size_bytes() },
            Some(Err(reason)) => State::Failed { reason: reason.clone() },
            None => State::Loading,
        }
    }
}

impl From<scan::Found> for Entry {
    fn from(found: scan::Found) -> Self {
        match found.files {
            Ok(files) => Self { files: Some(files), outcome: OnceLock::new() },
            Err(reason) => {
                tracing::error!(model = found.name, version = found.version, %reason, "model cannot be served");
                Self { files: None, outcome: OnceLock::from(Err(reason)) }
            }
        }
    }
}

// === impl Listing ===

impl Listing {
    /// Whether it can be asked.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// The protocol's word for the state, and why if it is not ready.
    pub(crate) fn state_and_reason(&self) -> (&'static str, Option<&str>) {
        match &self.state {
            State::Ready { .. } => ("READY", None),
            State::Loading => ("LOADING", None),
            State::Failed { reason } => ("UNAVAILABLE", Some(reason)),
        }
    }
}

// === impl Loaded ===

impl Loaded {
    fn new(name: String, version: Option<String>, digest: String, model: Arc<dyn Model>) -> Self {
        let served = served(&name, version.as_deref(), &digest);
        Self { name, version, digest, served, model, counters: OnceLock::new() }
    }

    /// The model's name in storage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version; absent when it has none.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The first 12 hexadecimal digits of the model file's SHA-256; `-` for a model without a file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The value of `x-modelway-served`: `model/version@digest`, with `-` for no version.
    pub fn served(&self) -> &HeaderValue {
        &self.served
    }

    /// The model itself.
    pub fn model(&self) -> &Arc<dyn Model> {
        &self.model
    }
}

/// Percent-encodes what a header or gRPC metadata value cannot carry.
fn served(name: &str, version: Option<&str>, digest: &str) -> HeaderValue {
    let mut text = String::new();
    for byte in format!("{name}/{}@{digest}", version.unwrap_or("-")).bytes() {
        match byte {
            b'%' => text.push_str("%25"),
            byte if byte.is_ascii_graphic() => text.push(char::from(byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}
