//! Files that hold a routing: a mesh file, a bare routing, or a manifest that carries one.

mod manifest;
#[cfg(test)]
mod tests;

use std::path::{Path as FilePath, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::yaml::{self, Node, Path};

/// A file, read but not checked.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) sections: Vec<Section>,
}

/// A routing, and where it stands.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) form: Form,
    /// The whole document.
    pub(crate) document: Value,
    /// The same with places.
    pub(crate) tree: Node,
    /// From the document to the routing.
    pub(crate) path: Path,
    /// The routing, read from the text that holds it where that is a string of JSON.
    pub(crate) routing: Value,
}

/// What carries the routing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// `routing` beside `deployment`.
    MeshFile,
    /// The routing itself, which is the filter's configuration.
    Routing,
    /// `spec.pluginConfig`.
    WasmPlugin,
    /// The configuration of the Wasm filter that a patch adds, a string of JSON.
    EnvoyFilter,
}

// === impl Source ===

impl Source {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(file: &FilePath) -> anyhow::Result<Self> {
        let text = if file == FilePath::new("-") {
            std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
        } else {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        };
        Self::parse(file, text)
    }

    /// The sections of a text; the error says where it is no YAML.
    pub(crate) fn parse(file: &FilePath, text: String) -> anyhow::Result<Self> {
        // A mesh of 10,000 models is no attack: how often aliases may repeat things stays limited.
        let options = serde_saphyr::options! { budget: None };
        let values: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)?;
        let trees = yaml::documents(&text)?;
        let sections =
            values.into_iter().zip(trees).filter_map(|(document, tree)| Section::of(document, tree)).collect();
        Ok(Self { file: file.to_owned(), text, sections })
    }

    /// The one routing of a file, for commands that need exactly one.
    pub(crate) fn only_section(&self) -> anyhow::Result<&Section> {
        match self.sections.as_slice() {
            [section] => Ok(section),
            [] => anyhow::bail!("{} holds no routing: expected a mesh file with `routing:`", self.file.display()),
            several => anyhow::bail!("{} holds {} routings: expected one", self.file.display(), several.len()),
        }
    }
}

// === impl Section ===

impl Section {
    /// `None` for a manifest of something else, such as a Service.
    fn of(document: Value, tree: Node) -> Option<Self> {
        let (form, path) = manifest::locate(&document)?;
        let found = path.find(&document).cloned();
        let routing = match (form, found) {
            // A text that is no JSON stays a text, and is refused as such.
            (Form::EnvoyFilter, Some(Value::String(text))) => {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            }
            (_, None | Some(Value::Null)) => Value::Object(serde_json::Map::new()),
            (_, Some(value)) => value,
        };
        Some(Self { form, document, tree, path, routing })
    }

    /// A path in the routing as a path in the file.
    pub(crate) fn path_in_file(&self, path: &Path) -> Path {
        self.path.join(path)
    }

    /// Line and column of a path in the file, or of what is nearest.
    pub(crate) fn place(&self, path_in_file: &Path) -> (usize, usize) {
        let node = self.tree.nearest(path_in_file);
        (node.line, node.column)
    }
}
