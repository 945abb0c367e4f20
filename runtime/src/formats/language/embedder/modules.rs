//! What stands behind the encoder: sentence-transformers' modules, by `modules.json`.

use std::path::{Component, Path, PathBuf};

use modelway_kernels::{Activation, ShapeError};
use serde::Deserialize;

use super::MODULES;
use super::pooling::Pooling;
use crate::formats::LoadError;
use crate::formats::language::config::{FILE, members, read_file, wanted};
use crate::formats::language::encoder::{Linear, Norm};
use crate::formats::language::weights::{Kept, Weights};

/// From the vectors of tokens to that of a text.
pub(super) struct Modules {
    /// Of the encoder.
    hidden: usize,
    pooling: Pooling,
    rest: Vec<Module>,
    /// Of a text's vector at the end.
    width: usize,
    is_normalized: bool,
}

enum Module {
    Dense(Linear, Function),
    Norm(Norm),
    /// To the length 1.
    Normalize,
}

/// Behind a dense layer.
enum Function {
    Identity,
    Tanh,
    Kernel(Activation),
}

/// An entry of `modules.json`.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct DenseMembers {
    in_features: Option<usize>,
    out_features: Option<usize>,
    bias: Option<bool>,
    activation_function: Option<String>,
    module_input_name: Option<String>,
    #[serde(default)]
    use_residual: bool,
}

/// Kinds of modules that are served.
const KINDS: &str = "Transformer, Pooling, Dense, LayerNorm, Normalize, Dropout";
/// torch's.
const EPSILON: f32 = 1e-5;
/// What is shorter than this is not brought to the length 1, as in torch.
const SHORTEST: f64 = 1e-12;

// === impl Modules ===

impl Modules {
    /// What sentence-transformers makes of a folder that has none: the mean of all tokens.
    pub(super) fn mean(hidden: usize) -> Self {
        Self { hidden, pooling: Pooling::mean(), rest: Vec::new(), width: hidden, is_normalized: false }
    }

    /// Of the model in this folder, whose encoder gives vectors of this width.
    pub(super) fn read(folder: &Path, hidden: usize) -> Result<Self, LoadError> {
        let path = folder.join(MODULES);
        let entries: Vec<Entry> = read_file(&path, members)?;
        let unsupported = |text: String| LoadError::Unsupported(format!("{}: {text}", path.display()));
        let mut entries = entries.iter();
        match entries.next() {
            Some(first) if first.name() == "Transformer" && first.path.is_empty() => {}
            Some(first) => {
                let text = format!("the first module is '{}' in '{}'", first.kind, first.path);
                return Err(unsupported(format!("{text}, expected a Transformer in the model's folder itself")));
            }
            None => return Err(unsupported("it has no modules".to_owned())),
        }
        let pooling = entries.next().filter(|entry| entry.name() == "Pooling");
        let pooling = pooling.ok_or_else(|| unsupported("expected a Pooling behind the Transformer".to_owned()))?;
        let pooling = read_file(&pooling.folder(folder)?.join(FILE), |config| Pooling::read(config, hidden))?;
        let mut width = pooling.width(hidden);
        let mut rest = Vec::new();
        for entry in entries {
            match entry.name() {
                "Normalize" => rest.push(Module::Normalize),
                // Of training.
                "Dropout" => {}
                "Dense" => {
                    let (dense, outputs) = Module::dense(&entry.folder(folder)?, width)?;
                    rest.push(dense);
                    width = outputs;
                }
                "LayerNorm" => {
                    let mut weights = Weights::of_model(&entry.folder(folder)?)?;
                    rest.push(Module::Norm(Norm::take(&mut weights, "norm", width, true, EPSILON)?));
                }
                _ => return Err(unsupported(format!("type: expected one of {KINDS}, got '{}'", entry.kind))),
            }
        }
        let own = rest.iter().rposition(|module| !matches!(module, Module::Normalize)).map_or(0, |last| last + 1);
        let is_normalized = own < rest.len();
        rest.truncate(own);
        Ok(Self { hidden, pooling, rest, width, is_normalized })
    }

    /// Values of a text's vector.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether vectors are to be brought to the length 1 at the end. That is left to the caller, who may be asked for the
    /// others.
    pub(super) fn is_normalized(&self) -> bool {
        self.is_normalized
    }

    pub(super) fn size_bytes(&self) -> usize {
        let of = |module: &Module| match module {
            Module::Dense(linear, _) => linear.size_bytes(),
            Module::Norm(norm) => norm.size_bytes(),
            Module::Normalize => 0,
        };
        self.rest.iter().map(of).sum()
    }

    /// The vectors of texts that have so many tokens each, none of them none, of `[tokens of all texts, hidden]`.
    pub(super) fn apply(&self, tokens: &[f32], lengths: &[usize]) -> Result<Vec<f32>, ShapeError> {
        let mut vectors = Vec::with_capacity(lengths.len() * self.width);
        let mut rest = tokens;
        for length in lengths {
            let (own, others) = rest.split_at_checked(length * self.hidden).unwrap_or_default();
            self.pooling.apply(own, self.hidden, &mut vectors);
            rest = others;
        }
        for module in &self.rest {
            match module {
                Module::Dense(linear, function) => {
                    vectors = linear.apply(&vectors)?;
                    function.apply(&mut vectors);
                }
                Module::Norm(norm) => vectors = norm.apply(&vectors)?,
                Module::Normalize => {
                    let width = vectors.len() / lengths.len().max(1);
                    vectors.chunks_mut(width.max(1)).for_each(normalize);
                }
            }
        }
        Ok(vectors)
    }
}

/// Brings a vector to the length 1.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt().max(SHORTEST);
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
}

// === impl Module ===

impl Module {
    fn dense(folder: &Path, inputs: usize) -> Result<(Self, usize), LoadError> {
        let path = folder.join(FILE);
        let (members, outputs, function) = read_file(&path, |config| {
            let own: DenseMembers = members(config)?;
            if let Some(stated) = own.in_features.filter(|stated| *stated != inputs) {
                let text = format!("in_features: expected {inputs}, which is what comes in, got {stated}");
                return Err(LoadError::Malformed(text));
            }
            if let Some(name) = own.module_input_name.as_deref().filter(|name| *name != "sentence_embedding") {
                let text = format!("module_input_name: expected sentence_embedding, got '{name}'");
                return Err(LoadError::Unsupported(text));
            }
            if own.use_residual {
                return Err(LoadError::Unsupported("use_residual: expected false".to_owned()));
            }
            let outputs = wanted("out_features", own.out_features)?;
            let function = Function::read(own.activation_function.as_deref())?;
            Ok((own, outputs, function))
        })?;
        let mut weights = Weights::of_model(folder)?;
        let has_bias = members.bias.unwrap_or(true);
        let name = [("linear".to_owned(), outputs)];
        let linear = Linear::take(&mut weights, &name, inputs, has_bias, Kept::AsStored)?;
        Ok((Self::Dense(linear, function), outputs))
    }
}

// === impl Function ===

impl Function {
    fn read(name: Option<&str>) -> Result<Self, LoadError> {
        let class = name.map(|name| name.rsplit('.').next().unwrap_or(name));
        match class {
            Some("Identity") => Ok(Self::Identity),
            // sentence-transformers' own, where the file names none.
            None | Some("Tanh") => Ok(Self::Tanh),
            Some("GELU") => Ok(Self::Kernel(Activation::Gelu)),
            Some("ReLU") => Ok(Self::Kernel(Activation::Relu)),
            Some("SiLU") => Ok(Self::Kernel(Activation::Silu)),
            Some(_) => {
                let (name, all) = (name.unwrap_or_default(), "torch's Identity, Tanh, GELU, ReLU or SiLU");
                Err(LoadError::Unsupported(format!("activation_function: expected {all}, got '{name}'")))
            }
        }
    }

    fn apply(&self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            Self::Tanh => values.iter_mut().for_each(|value| *value = value.tanh()),
            Self::Kernel(activation) => activation.apply(values),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// The class's name, without where it stands: that was another place in every release.
    fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }

    /// Where the module's files are, in the model's folder.
    fn folder(&self, model: &Path) -> Result<PathBuf, LoadError> {
        let is_inside = Path::new(&self.path).components().all(|part| matches!(part, Component::Normal(_)));
        if self.path.is_empty() || !is_inside {
            let path = model.join(MODULES);
            let text = format!("path: expected a folder inside of the model's for {}, got '{}'", self.kind, self.path);
            return Err(LoadError::Malformed(format!("{}: {text}", path.display())));
        }
        Ok(model.join(&self.path))
    }
}
