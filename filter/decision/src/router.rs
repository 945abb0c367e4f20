//! The decision: from a call to the variant that serves it.

mod compile;
mod entry;
mod stages;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

use self::entry::{Asking, Entry, Variant};

use crate::config::{Admin, ConfigError, Mode, OnPeekLimit, Protocol, Rewrite, Routing, UnknownModels};
use crate::header::Headers;
use crate::message::{Message, Needs};
use crate::nearest::nearest;
use crate::peek::Peek;
use crate::reply::{Reply, shown};
use crate::rewrite::Tail;

/// A configuration, compiled: nothing in it needs checking any more.
#[derive(Debug)]
pub struct Router {
    entries: Vec<Entry>,
    exact: HashMap<Vec<u8>, usize>,
    /// Prefixes of names, the longest first.
    prefixes: Vec<(Vec<u8>, usize)>,
    parameter_names: Vec<Vec<u8>>,
    unknown_models: UnknownModels,
    rewrite: Rewrite,
    admin: Admin,
    peek_limit: usize,
    on_peek_limit: OnPeekLimit,
    mode: Mode,
    path_prefixes: Vec<Vec<u8>>,
}

/// What to do once the headers are there.
// A peek moves once, to where the request waits; a box would be one more piece of memory for each.
#[allow(clippy::large_enum_variant)]
#[derive(Debug)]
pub enum Start<'a> {
    /// The headers tell all.
    Known(Route<'a>),
    /// The body tells the rest: hold the headers and feed the peek.
    Read(Peek),
}

/// Where a request goes.
#[derive(Debug)]
pub enum Route<'a> {
    /// On, as it is: no call for a model, or none whose model could be read.
    Pass,
    /// Nowhere: this is the answer.
    Reply(Reply),
    /// To a model.
    To(Decision<'a>),
}

/// Where a call for a model goes, and what the headers of the contract say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision<'a> {
    /// The model by the name that was asked for.
    pub model: Cow<'a, [u8]>,
    /// The variant chosen; none for a model that is not listed.
    pub variant: Option<&'a [u8]>,
    /// The upstream's name of the model.
    pub target: Cow<'a, [u8]>,
    /// The variant's version, else the one asked for.
    pub version: Option<Cow<'a, [u8]>>,
    /// What the gateway hashes.
    pub affinity: Cow<'a, [u8]>,
    /// What a route may match.
    pub pool: Option<&'a [u8]>,
    /// The path to send on, where it changes.
    pub path: Option<Vec<u8>>,
    /// Whether the name, and the version, that the body tells are to be replaced.
    pub rewrites_message: bool,
    /// What is to be added behind a gRPC message that is not held.
    pub tail: Option<Tail>,
}

/// Model and version as asked for.
#[derive(Clone)]
struct Asked<'a> {
    model: Cow<'a, [u8]>,
    version: Option<Cow<'a, [u8]>>,
}

// === impl Router ===

impl Router {
    /// Reads and compiles a configuration; the error tells every fault with its path.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        Self::new(&Routing::from_json(json)?)
    }

    /// The number of a parameter that rules or keys look at.
    fn parameter_number(&self, name: &[u8]) -> Option<usize> {
        self.parameter_names.iter().position(|known| known == name)
    }

    /// The parameters that can matter for this model, given the headers.
    fn needed(&self, head: &impl Headers, protocol: Protocol, model: &[u8], version: Option<&[u8]>) -> Needs {
        let asking = Asking { head, protocol, version };
        self.entry(model).map(|entry| entry.needed(&asking)).unwrap_or_default()
    }

    fn entry(&self, model: &[u8]) -> Option<&Entry> {
        let by_prefix = || self.prefixes.iter().find(|(prefix, _)| model.starts_with(prefix)).map(|(_, index)| index);
        self.exact.get(model).or_else(by_prefix).and_then(|index| self.entries.get(*index))
    }

    fn decide<'a>(
        &'a self,
        head: &impl Headers,
        protocol: Protocol,
        asked: Asked<'a>,
        message: &Message,
        random: u64,
    ) -> Result<Decision<'a>, Reply> {
        let Some(entry) = self.entry(&asked.model) else {
            return match self.unknown_models {
                UnknownModels::Pass => Ok(Decision::unlisted(asked)),
                UnknownModels::Reject => Err(self.no_such_model(&asked.model)),
            };
        };
        let asking = Asking { head, protocol, version: asked.version.as_deref() };
        match entry.choose(&asking, message, random) {
            Some(variant) => Ok(Decision::listed(asked, entry, variant)),
            None if self.unknown_models == UnknownModels::Pass => Ok(Decision::unlisted(asked)),
            None => Err(Reply::not_found(format!(
                "model '{}' has no version '{}', it has {}",
                shown(&asked.model),
                shown(asked.version.as_deref().unwrap_or_default()),
                entry.versions().map(|version| format!("'{}'", shown(version))).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    fn no_such_model(&self, model: &[u8]) -> Reply {
        /// Comparing is quadratic in the names' lengths: a stranger must not make it expensive.
        const MOST_COMPARED: usize = 256;
        let asked = shown(model);
        let known = self.entries.iter().take(MOST_COMPARED).filter_map(|entry| std::str::from_utf8(&entry.name).ok());
        match nearest(&asked, known) {
            Some(known) => Reply::not_found(format!("model '{asked}' is not known, did you mean '{known}'?")),
            None => Reply::not_found(format!("model '{asked}' is not known")),
        }
    }

    fn rewrites(&self, asked: &Asked<'_>, decision: &Decision<'_>) -> bool {
        match self.rewrite {
            Rewrite::Auto => asked.model != decision.target || asked.version != decision.version,
            Rewrite::Headers => false,
            Rewrite::Always => true,
        }
    }
}

// === impl Decision ===

impl<'a> Decision<'a> {
    /// The name asked for is the upstream's own.
    fn unlisted(asked: Asked<'a>) -> Self {
        Self {
            variant: None,
            target: asked.model.clone(),
            affinity: asked.model.clone(),
            model: asked.model,
            version: asked.version,
            pool: None,
            path: None,
            rewrites_message: false,
            tail: None,
        }
    }

    fn listed(asked: Asked<'a>, entry: &'a Entry, variant: &'a Variant) -> Self {
        let target: Cow<'a, [u8]> = match (&variant.model, entry.is_pattern) {
            (Some(model), _) => model.as_slice().into(),
            (None, true) => asked.model.clone(),
            (None, false) => entry.name.as_slice().into(),
        };
        Self {
            variant: Some(&variant.name),
            affinity: variant.affinity.as_deref().map_or_else(|| target.clone(), Cow::Borrowed),
            target,
            version: variant.version.as_deref().map(Cow::Borrowed).or(asked.version),
            model: asked.model,
            pool: variant.pool.as_deref(),
            path: None,
            rewrites_message: false,
            tail: None,
        }
    }
}
