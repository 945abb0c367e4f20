//! Names of models on the hub: `owner/name`, of early ones `name`, with `@revision` where it is not `main`.

use std::fmt;

/// What is meant where no revision is said.
const MAIN: &str = "main";

/// A model of the hub at a revision: a branch, a tag or a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::formats::language) struct Id {
    name: String,
    revision: Option<String>,
}

// === impl Id ===

impl Id {
    /// The model that is called so, if that can be a name on the hub.
    pub(in crate::formats::language) fn read(text: &str) -> Option<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let parts: Vec<_> = name.split('/').collect();
        let is_name = parts.len() <= 2 && parts.iter().all(|part| is_part(part));
        let is_id = is_name && revision.is_none_or(is_revision);
        is_id.then(|| Self { name: name.to_owned(), revision: revision.map(str::to_owned) })
    }

    /// At this revision, unless the name has one.
    pub(in crate::formats::language) fn or_at(mut self, revision: Option<&str>) -> Self {
        let is_known = |revision: &&str| is_revision(revision);
        self.revision = self.revision.or_else(|| revision.filter(is_known).map(str::to_owned));
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        match &self.revision {
            Some(revision) => write!(out, "@{revision}"),
            None => Ok(()),
        }
    }
}

/// The hub's rules. `--` would be ambiguous in the cache, a dot in front a path.
fn is_part(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_edge_fine = !part.starts_with(['-', '.']) && !part.ends_with(['-', '.']);
    (1..=96).contains(&part.len())
        && part.bytes().all(is_allowed)
        && is_edge_fine
        && !part.contains("--")
        && !part.contains("..")
}

/// A branch or tag may have slashes. It becomes a path in the cache.
fn is_revision(revision: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_allowed);
    revision.len() <= 200 && revision.split('/').all(is_part)
}
