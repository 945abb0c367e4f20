//! From the values of a pickle to a checked [`Svc`].
//!
//! What later code relies on, the shapes and the finiteness of every array, is checked here once. The names
//! of attributes changed over the years; each is looked for under all names that scikit-learn 0.20 to 1.9 use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::classes::Classes;
use super::kernel::{Kernel, SupportVectors};
use super::probability::PairSigmoids;
use super::{DecisionShape, Svc};
use crate::formats::LoadError;
use crate::formats::sklearn::array::{Array, Numbers};
use crate::formats::sklearn::value::{Global, Heap, Id, Value};
use crate::formats::sklearn::{compression, pickle};
use crate::model::{ModelMetadata, TensorSpec};
use crate::tensor::DataType;

/// The attributes of a fitted estimator.
struct Attributes<'h, 'a> {
    heap: &'h Heap<'a>,
    state: Id,
    estimator: &'static str,
}

pub(super) fn from_path(path: &Path, max_bytes: u64) -> Result<Svc, LoadError> {
    let unreadable = |error: std::io::Error| LoadError::Read { path: path.to_owned(), reason: error.to_string() };
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(unreadable)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    from_bytes(&bytes, max_bytes)
}

pub(super) fn from_bytes(file: &[u8], max_bytes: u64) -> Result<Svc, LoadError> {
    if u64::try_from(file.len()).unwrap_or(u64::MAX) > max_bytes {
        return Err(LoadError::Unsupported(format!("larger than {max_bytes} bytes, the most that is read")));
    }
    let pickled = compression::inflate(file, max_bytes)?;
    let (heap, root) = pickle::load(&pickled)?;
    from_value(&heap, root)
}

fn from_value(heap: &Heap<'_>, root: Id) -> Result<Svc, LoadError> {
    let Value::Object(object) = heap.get(root) else {
        return Err(LoadError::Unsupported(format!(
            "the file holds {}, expected a fitted scikit-learn SVC or NuSVC",
            heap.describe(root)
        )));
    };
    let estimator = estimator(object.class)?;
    let not_fitted = || LoadError::Unsupported(format!("the {estimator} is not fitted: it has no 'support_vectors_'"));
    let attributes = Attributes { heap, state: object.state.ok_or_else(not_fitted)?, estimator };
    attributes.optional(&["support_vectors_"]).ok_or_else(not_fitted)?;
    attributes.classifier()
}

/// The module's path moved between releases; the class's name did not.
fn estimator(class: Global<'_>) -> Result<&'static str, LoadError> {
    match (class.module, class.name) {
        ("sklearn.svm._classes" | "sklearn.svm.classes" | "sklearn.svm", "SVC") => Ok("SVC"),
        ("sklearn.svm._classes" | "sklearn.svm.classes" | "sklearn.svm", "NuSVC") => Ok("NuSVC"),
        _ => {
            Err(LoadError::Unsupported(format!("the file holds a '{class}'; of scikit-learn SVC and NuSVC are served")))
        }
    }
}

// === impl Attributes ===

impl Attributes<'_, '_> {
    fn classifier(&self) -> Result<Svc, LoadError> {
        self.refuse_sparse()?;
        let kernel = self.kernel()?;
        let vectors = self.matrix(&["support_vectors_"])?;
        let &[count, features] = vectors.shape.as_slice() else {
            return Err(self.shape_error("support_vectors_", &vectors.shape, "two dimensions"));
        };
        if count == 0 || features == 0 {
            return Err(self.shape_error("support_vectors_", &vectors.shape, "at least one vector of one feature"));
        }
        self.check_features(features)?;
        let classes = self.classes()?;
        let class_starts = self.class_starts(classes.len(), count)?;
        let coefficients = self.coefficients(classes.len(), count)?;
        let intercepts = self.intercepts(classes.len())?;
        let shape = self.decision_shape()?;
        let break_ties = self.flag("break_ties")?;
        if break_ties && shape == DecisionShape::OneVsOne {
            return Err(
                self.error("'break_ties' must be False when 'decision_function_shape' is 'ovo', as scikit-learn says")
            );
        }
        let sigmoids = self.sigmoids(intercepts.len())?;
        let metadata = self.metadata(kernel, features, &classes, sigmoids.is_some());
        Ok(Svc {
            estimator: self.estimator,
            kernel,
            vectors: SupportVectors::new(&vectors.values, features),
            class_starts,
            coefficients,
            intercepts,
            classes,
            shape,
            break_ties,
            sigmoids,
            metadata,
        })
    }

    fn refuse_sparse(&self) -> Result<(), LoadError> {
        let sparse_vectors = self
            .optional(&["support_vectors_"])
            .is_some_and(|vectors| matches!(self.heap.get(vectors), Value::Object(_)));
        if sparse_vectors || self.flag("_sparse")? {
            return Err(LoadError::Unsupported(format!(
                "the {} was fitted on a sparse matrix; fit it on a dense one (X.toarray()) to serve it here",
                self.estimator
            )));
        }
        Ok(())
    }

    fn kernel(&self) -> Result<Kernel, LoadError> {
        let kernel = self.required(&["kernel"])?;
        let Some(name) = self.heap.text(kernel) else {
            return Err(LoadError::Unsupported(format!(
                "the {}'s kernel is {}; a kernel that is a Python function cannot be served, \
                 only 'rbf', 'linear', 'poly' and 'sigmoid'",
                self.estimator,
                self.heap.describe(kernel)
            )));
        };
        match name {
            "linear" => Ok(Kernel::Linear),
            "rbf" => Ok(Kernel::Rbf { gamma: self.number(&["_gamma", "gamma"])? }),
            "sigmoid" => {
                Ok(Kernel::Sigmoid { gamma: self.number(&["_gamma", "gamma"])?, coef0: self.number(&["coef0"])? })
            }
            "poly" => Ok(Kernel::Poly {
                gamma: self.number(&["_gamma", "gamma"])?,
                coef0: self.number(&["coef0"])?,
                degree: self.degree()?,
            }),
            other => Err(LoadError::Unsupported(format!(
                "the {} has the kernel '{other}', served are 'rbf', 'linear', 'poly' and 'sigmoid'",
                self.estimator
            ))),
        }
    }

    fn degree(&self) -> Result<u32, LoadError> {
        let degree = self.number(&["degree"])?;
        if degree.fract() != 0.0 || !(0.0..=f64::from(i32::MAX)).contains(&degree) {
            return Err(self.error(&format!("'degree' is {degree}, expected an integer of 0 or more")));
        }
        Ok(degree as u32)
    }

    /// Newer files say twice how many features there are.
    fn check_features(&self, features: usize) -> Result<(), LoadError> {
        let Some(said) = self.optional(&["n_features_in_"]).and_then(|said| self.heap.integer(said)) else {
            return Ok(());
        };
        if usize::try_from(said) == Ok(features) {
            return Ok(());
        }
        Err(self.error(&format!("'n_features_in_' is {said}, and 'support_vectors_' has {features} columns")))
    }

    fn classes(&self) -> Result<Classes, LoadError> {
        let array = self.array(&["classes_"])?;
        let labels = array.elements(self.heap, &self.named("classes_"))?;
        let classes = Classes::new(labels);
        if array.shape.len() != 1 || classes.len() < 2 {
            return Err(self.shape_error("classes_", &array.shape, "one dimension with two classes or more"));
        }
        Ok(classes)
    }

    fn class_starts(&self, classes: usize, vectors: usize) -> Result<Vec<usize>, LoadError> {
        let name = "_n_support";
        let counts = self.array(&[name, "n_support_"])?.integers(self.heap, &self.named(name))?;
        if counts.shape != [classes] {
            return Err(self.shape_error(name, &counts.shape, &format!("[{classes}], one count a class")));
        }
        let mut starts = vec![0];
        let mut end = 0_usize;
        for &count in &counts.values {
            let next = usize::try_from(count).ok().and_then(|count| end.checked_add(count));
            end = next.ok_or_else(|| self.error(&format!("'{name}' holds {count}, which is no count")))?;
            starts.push(end);
        }
        if end != vectors {
            return Err(self.error(&format!("'{name}' sums to {end}, and 'support_vectors_' has {vectors} rows")));
        }
        Ok(starts)
    }

    /// From (classes − 1) × vectors to one run a vector.
    fn coefficients(&self, classes: usize, vectors: usize) -> Result<Vec<f64>, LoadError> {
        let coefficients = self.in_libsvm_sign("_dual_coef_", "dual_coef_", classes)?;
        let others = classes.saturating_sub(1);
        if coefficients.shape != [others, vectors] {
            return Err(self.shape_error("_dual_coef_", &coefficients.shape, &format!("[{others}, {vectors}]")));
        }
        let of_vector = |vector: usize| coefficients.values.iter().skip(vector).step_by(vectors).copied();
        let mut runs = Vec::with_capacity(coefficients.values.len());
        for vector in 0..vectors {
            runs.extend(of_vector(vector));
        }
        Ok(runs)
    }

    fn intercepts(&self, classes: usize) -> Result<Vec<f64>, LoadError> {
        let intercepts = self.in_libsvm_sign("_intercept_", "intercept_", classes)?;
        let pairs = classes.saturating_mul(classes.saturating_sub(1)) / 2;
        if intercepts.shape != [pairs] {
            let expected = format!("[{pairs}], one value for each pair of {classes} classes");
            return Err(self.shape_error("_intercept_", &intercepts.shape, &expected));
        }
        Ok(intercepts.values)
    }

    /// scikit-learn turns the sign of its public attribute where there are two classes.
    fn in_libsvm_sign(&self, internal: &str, public: &str, classes: usize) -> Result<Numbers<f64>, LoadError> {
        if self.optional(&[internal]).is_some() {
            return self.matrix(&[internal]);
        }
        let mut numbers = self.matrix(&[internal, public])?;
        if classes == 2 {
            for value in &mut numbers.values {
                *value = -*value;
            }
        }
        Ok(numbers)
    }

    fn decision_shape(&self) -> Result<DecisionShape, LoadError> {
        let name = "decision_function_shape";
        let Some(shape) = self.optional(&[name]) else {
            return Ok(DecisionShape::OneVsRest);
        };
        match (self.heap.get(shape), self.heap.text(shape)) {
            (Value::None, _) | (_, Some("ovr")) => Ok(DecisionShape::OneVsRest),
            (_, Some("ovo")) => Ok(DecisionShape::OneVsOne),
            (_, found) => {
                Err(self.error(&format!("'{name}' is {}, expected 'ovr' or 'ovo'", found.unwrap_or("no text"))))
            }
        }
    }

    /// Only models that were fitted with `probability=True` have them.
    fn sigmoids(&self, pairs: usize) -> Result<Option<PairSigmoids>, LoadError> {
        let wanted =
            self.optional(&["probability"]).is_some_and(|flag| matches!(self.heap.get(flag), Value::Bool(true)));
        if !wanted || self.optional(&["_probA", "probA_"]).is_none() {
            return Ok(None);
        }
        let a = self.matrix(&["_probA", "probA_"])?;
        let b = self.matrix(&["_probB", "probB_"])?;
        for (name, numbers) in [("_probA", &a), ("_probB", &b)] {
            if numbers.shape != [pairs] {
                return Err(self.shape_error(name, &numbers.shape, &format!("[{pairs}]")));
            }
        }
        Ok(Some(PairSigmoids { a: a.values, b: b.values }))
    }

    fn metadata(&self, kernel: Kernel, features: usize, classes: &Classes, has_probabilities: bool) -> ModelMetadata {
        let columns = i64::try_from(features).unwrap_or(i64::MAX);
        let class_count = i64::try_from(classes.len()).unwrap_or(i64::MAX);
        let spec = |name: &str, datatype, columns| TensorSpec { name: name.into(), datatype, shape: vec![-1, columns] };
        let mut outputs = vec![spec("predict", classes.datatype(), 1)];
        if has_probabilities {
            outputs.push(spec("predict_proba", DataType::Fp64, class_count));
        }
        let mut properties = BTreeMap::new();
        properties.insert("estimator".into(), self.estimator.into());
        properties.insert("kernel".into(), kernel.name().into());
        properties.insert("classes".into(), classes.len().to_string());
        if let Some(version) = self.optional(&["_sklearn_version"]).and_then(|version| self.heap.text(version)) {
            properties.insert("sklearn_version".into(), version.into());
        }
        ModelMetadata {
            platform: "sklearn_joblib".into(),
            inputs: vec![spec("input-0", DataType::Fp64, columns)],
            outputs,
            properties,
        }
    }

    /// The attribute of the first of these names that there is.
    fn optional(&self, names: &[&str]) -> Option<Id> {
        names.iter().find_map(|name| self.heap.entry(self.state, name))
    }

    fn required(&self, names: &[&str]) -> Result<Id, LoadError> {
        self.optional(names).ok_or_else(|| self.error(&format!("there is no attribute '{}'", names.join("' or '"))))
    }

    fn array(&self, names: &[&str]) -> Result<&Array, LoadError> {
        let id = self.required(names)?;
        match self.heap.get(id) {
            Value::Array(array) => Ok(array),
            _ => {
                let name = names.first().copied().unwrap_or_default();
                Err(self.error(&format!("'{name}' is {}, expected an array", self.heap.describe(id))))
            }
        }
    }

    /// An array of finite numbers.
    fn matrix(&self, names: &[&str]) -> Result<Numbers<f64>, LoadError> {
        let name = names.first().copied().unwrap_or_default();
        let numbers = self.array(names)?.floats(self.heap, &self.named(name))?;
        match numbers.values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(self.error(&format!("'{name}' holds {value}, expected finite numbers"))),
            None => Ok(numbers),
        }
    }

    /// A finite number.
    fn number(&self, names: &[&str]) -> Result<f64, LoadError> {
        let id = self.required(names)?;
        let number = match *self.heap.get(id) {
            Value::Float(number) => Some(number),
            Value::Int(number) => Some(number as f64),
            _ => None,
        };
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            let name = names.first().copied().unwrap_or_default();
            self.error(&format!("'{name}' is {}, expected a finite number", self.describe_number(id)))
        })
    }

    fn describe_number(&self, id: Id) -> String {
        match *self.heap.get(id) {
            Value::Float(number) => number.to_string(),
            _ => self.heap.describe(id),
        }
    }

    /// A flag that older releases do not have.
    fn flag(&self, name: &str) -> Result<bool, LoadError> {
        let Some(id) = self.optional(&[name]) else {
            return Ok(false);
        };
        match *self.heap.get(id) {
            Value::Bool(flag) => Ok(flag),
            _ => Err(self.error(&format!("'{name}' is {}, expected True or False", self.heap.describe(id)))),
        }
    }

    fn named(&self, attribute: &str) -> String {
        format!("{}: '{attribute}'", self.estimator)
    }

    fn shape_error(&self, name: &str, found: &[usize], expected: &str) -> LoadError {
        self.error(&format!("'{name}' has the shape {found:?}, expected {expected}"))
    }

    fn error(&self, text: &str) -> LoadError {
        LoadError::Malformed(format!("{}: {text}", self.estimator))
    }
}
