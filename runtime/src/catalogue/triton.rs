//! Triton's `config.pbtxt`, as far as it says what is served under which name.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::catalogue::text_proto::{Message, Value};
use crate::model::{Signature, TensorSpec};
use crate::storage::Tree;
use crate::tensor::DataType;

#[cfg(test)]
mod tests;

/// The file's name in a model's folder.
pub(super) const FILE: &str = "config.pbtxt";

/// What the file says; what else it holds is for other servers.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Config {
    pub(super) name: Option<String>,
    /// Rows that a request may have; absent when the file does not limit them.
    pub(super) max_batch_size: Option<u64>,
    /// Absent when the file does not say.
    pub(super) policy: Option<Policy>,
    /// Inputs and outputs, for models that do not know their own.
    pub(super) signature: Option<Arc<Signature>>,
}

/// Which of the version folders are served.
#[derive(Debug, PartialEq)]
pub(super) enum Policy {
    All,
    /// So many, the highest numbers.
    Latest(usize),
    Specific(BTreeSet<i64>),
}

// === impl Config ===

impl Config {
    /// The configuration in this folder; one that says nothing if there is none.
    pub(super) fn read(tree: &dyn Tree, folder: &Path) -> Result<Self, String> {
        let path = folder.join(FILE);
        let text = match tree.read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        let text = String::from_utf8(text).map_err(|_| format!("{}: not UTF-8", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let message = Message::parse(text)?;
        let name = message.last("name").and_then(Value::text).filter(|name| !name.is_empty()).map(str::to_owned);
        let max_batch_size = match message.last("max_batch_size") {
            None => None,
            Some(value) => {
                let size = value.integer().and_then(|size| u64::try_from(size).ok());
                let size = size.ok_or("max_batch_size is no number of rows, expected for instance 8")?;
                // Triton's zero: the model's first dimension is no batch.
                Some(size).filter(|&size| size > 0)
            }
        };
        let policy = match message.last("version_policy") {
            None => None,
            Some(value) => Some(Policy::parse(value).ok_or(
                "version_policy is not understood, expected all {}, latest { num_versions: 2 } or specific { versions: [1, 2] }",
            )?),
        };
        let inputs = specs(&message, "input", max_batch_size.is_some());
        let outputs = specs(&message, "output", max_batch_size.is_some());
        let signature =
            (inputs.is_some() || outputs.is_some()).then(|| Arc::new(Signature { inputs, outputs, is_fallback: true }));
        Ok(Self { name, max_batch_size, policy, signature })
    }
}

/// The tensors of a field, `input` or `output`. They are for people and clients to read, so that one that is not
/// understood keeps no model from serving. With a batch its dimension is not among the file's.
fn specs(message: &Message, field: &str, has_batch: bool) -> Option<Vec<TensorSpec>> {
    let spec = |value: &Value| {
        let tensor = value.message()?;
        let name = tensor.last("name").and_then(Value::text)?.to_owned();
        let datatype = match tensor.last("data_type").and_then(Value::text)?.strip_prefix("TYPE_")? {
            "STRING" => DataType::Bytes,
            name => DataType::from_name(name).ok()?,
        };
        let dimensions = tensor.all("dims").map(Value::integer).collect::<Option<Vec<i64>>>()?;
        let batch = has_batch.then_some(-1);
        Some(TensorSpec { name, datatype, shape: batch.into_iter().chain(dimensions).collect() })
    };
    let specs: Option<Vec<TensorSpec>> = message.all(field).map(spec).collect();
    if specs.is_none() {
        tracing::debug!(field, "of {FILE} is not shown");
    }
    specs.filter(|specs| !specs.is_empty())
}

// === impl Policy ===

impl Policy {
    fn parse(value: &Value) -> Option<Self> {
        let policy = value.message()?;
        if let Some(latest) = policy.last("latest") {
            let count = latest.message()?.last("num_versions").map_or(Some(1), Value::integer)?;
            return usize::try_from(count).ok().filter(|&count| count > 0).map(Self::Latest);
        }
        if let Some(specific) = policy.last("specific") {
            let versions: Option<BTreeSet<i64>> = specific.message()?.all("versions").map(Value::integer).collect();
            return versions.map(Self::Specific);
        }
        policy.last("all").map(|_| Self::All)
    }

    /// Of these version folders, those that are served. A name that is no number is not Triton's:
    /// only `all` has it.
    pub(super) fn select(&self, versions: &mut Vec<String>) {
        match self {
            Self::All => {}
            Self::Specific(wanted) => {
                versions.retain(|version| version.parse().is_ok_and(|number| wanted.contains(&number)));
            }
            Self::Latest(count) => {
                let mut numbers: Vec<u64> = versions.iter().filter_map(|version| version.parse().ok()).collect();
                numbers.sort_unstable_by(|left, right| right.cmp(left));
                numbers.truncate(*count);
                versions.retain(|version| version.parse().is_ok_and(|number| numbers.contains(&number)));
            }
        }
    }
}
