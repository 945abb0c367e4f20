//! MLServer's `model-settings.json`, as far as it says which file to serve under which name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::formats::Format;
use crate::model::{Signature, TensorSpec};
use crate::storage::Tree;
use crate::tensor::DataType;

/// The file's name in a model's folder.
pub(super) const FILE: &str = "model-settings.json";

/// What the file says; members that MLServer has and this server has no use for are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Settings {
    pub(super) name: Option<String>,
    /// A Python class, for instance `mlserver_sklearn.SKLearnModel`.
    pub(super) implementation: Option<String>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(default)]
    inputs: Option<Vec<Declared>>,
    #[serde(default)]
    outputs: Option<Vec<Declared>>,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    uri: Option<String>,
    version: Option<String>,
    /// What MLServer's runtimes take for themselves.
    extra: Option<Map<String, Value>>,
}

/// A tensor as the file describes it.
#[derive(Debug, Deserialize)]
struct Declared {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

// === impl Settings ===

impl Settings {
    /// The settings of this folder, if it has any.
    pub(super) fn read(tree: &dyn Tree, folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(FILE);
        let text = match tree.read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The model's file or folder, relative to the settings.
    pub(super) fn uri(&self) -> Option<&str> {
        let uri = self.parameters.as_ref()?.uri.as_deref()?;
        Some(uri.strip_prefix("file://").unwrap_or(uri))
    }

    pub(super) fn version(&self) -> Option<&str> {
        self.parameters.as_ref()?.version.as_deref()
    }

    /// What the file says to the format itself.
    pub(super) fn parameters(&self) -> Option<Arc<Map<String, Value>>> {
        self.parameters.as_ref()?.extra.clone().map(Arc::new)
    }

    /// What the file says of inputs and outputs. They are for people and clients to read, so one that is not
    /// understood keeps no model from serving: the model's own are shown then.
    pub(super) fn signature(&self) -> Option<Arc<Signature>> {
        let inputs = self.inputs.as_deref().and_then(specs);
        let outputs = self.outputs.as_deref().and_then(specs);
        (inputs.is_some() || outputs.is_some()).then(|| Arc::new(Signature { inputs, outputs, is_fallback: false }))
    }
}

/// The format that an implementation stands for: `mlserver_sklearn.SKLearnModel` is `sklearn`.
pub(super) fn format_of(implementation: &str, formats: &[Arc<dyn Format>]) -> Result<String, String> {
    let module = implementation.split('.').next().unwrap_or_default();
    let name = module.strip_prefix("mlserver_").or_else(|| module.strip_prefix("mlserver-")).unwrap_or(module);
    if formats.iter().any(|format| format.is_called(name)) {
        return Ok(name.to_owned());
    }
    let known: Vec<_> = formats.iter().map(|format| format!("'{}'", format.name())).collect();
    let known = known.join(", ");
    Err(if name == module {
        format!(
            "implementation '{implementation}' is Python, which this server does not run; it has formats of its own: {known}"
        )
    } else {
        format!("implementation '{implementation}' needs the format '{name}', this server has: {known}")
    })
}

/// Whether models of this format are folders, whatever stands in them.
pub(super) fn is_of_folders(name: &str, formats: &[Arc<dyn Format>]) -> bool {
    formats.iter().any(|format| format.is_called(name) && format.is_of_folders())
}

fn specs(declared: &[Declared]) -> Option<Vec<TensorSpec>> {
    let specs = declared.iter().map(|Declared { name, datatype, shape }| {
        // What the adapters of KServe ModelMesh call BYTES in their schema.
        let datatype = if datatype == "STRING" { "BYTES" } else { datatype };
        let spec = |datatype| TensorSpec { name: name.clone(), datatype, shape: shape.clone() };
        DataType::from_name(datatype).map(spec)
    });
    match specs.collect::<Result<Vec<_>, _>>() {
        Ok(specs) => Some(specs),
        Err(error) => {
            tracing::debug!(reason = error.message(), "inputs or outputs of {FILE} are not shown");
            None
        }
    }
}
