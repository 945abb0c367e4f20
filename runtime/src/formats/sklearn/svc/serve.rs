//! A classifier behind the inference protocol, with the conventions of MLServer's scikit-learn runtime.
//!
//! - The input is one numeric tensor of any name, `[rows, features]`; `[features]` is one row.
//! - `predict` is `[rows, 1]`, in the datatype of the labels; it is the default. `predict_proba`, where the
//!   model has probabilities, is `[rows, classes]` and must be asked for.
//! - NaN and infinities are refused, as scikit-learn does.

use std::borrow::Cow;

use super::Svc;
use crate::error::Error;
use crate::message::InferRequest;
use crate::model::{BatchModel, ModelMetadata};
use crate::parameter::{Parameter, Parameters};
use crate::tensor::{DataType, Tensor, TensorData};

/// Quarter nanoseconds that one support vector costs beside its features, mostly for the exponential.
const VECTOR_OVERHEAD: usize = 32;
/// Bytes that [`Batched`](crate::Batched) adds: two reference counts for each of two pointers, and one of these.
const SHARING: usize = 5 * size_of::<usize>();
/// Under this an async thread may compute the request itself: about 200 µs where it was measured.
const QUICK_WORK: usize = 800_000;

// === impl Svc ===

impl BatchModel for Svc {
    fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    fn size_bytes(&self) -> u64 {
        let numbers = (self.coefficients.capacity() + self.intercepts.capacity()) * size_of::<f64>();
        let starts = self.class_starts.capacity() * size_of::<usize>();
        let sigmoids = self.sigmoids.as_ref().map_or(0, super::PairSigmoids::size_bytes);
        let vectors = self.vectors.size_bytes() + self.classes.size_bytes();
        let all = size_of::<Self>() + SHARING + vectors + numbers + starts + sigmoids + self.metadata.heap_bytes();
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    fn is_quick(&self, request: &InferRequest) -> bool {
        let values = request.inputs.first().map_or(0, |input| input.data().len());
        let rows = values / self.features() + 1;
        let row = self.vectors.count().saturating_mul(self.features().saturating_add(VECTOR_OVERHEAD));
        rows.saturating_mul(row.saturating_add(self.intercepts.len())) < QUICK_WORK
    }

    fn predict(&self, request: &InferRequest) -> Result<(Vec<Tensor>, Parameters), Error> {
        let wanted = self.wanted_outputs(request)?;
        let input = self.only_input(request)?;
        let count = self.row_count_of(input)?;
        let rows = floats(input)?;
        self.refuse_unbounded(&input.name, &rows)?;
        let mut outputs = Vec::with_capacity(wanted.len());
        for output in wanted {
            let (columns, data) = match output {
                Output::Predict => (1, Svc::predict(self, &rows)?),
                Output::PredictProba => {
                    let probabilities = self.predict_proba(&rows)?;
                    (probabilities.columns, TensorData::Fp64(probabilities.values))
                }
            };
            let content_type = if data.datatype() == DataType::Bytes { "str" } else { "np" };
            let parameters = Parameters::from([("content_type".into(), Parameter::String(content_type.into()))]);
            let tensor = Tensor::new(output.name(), vec![count, columns], data)
                .map_err(|error| Error::internal(error.message().to_owned()))?;
            outputs.push(tensor.with_parameters(parameters));
        }
        Ok((outputs, Parameters::new()))
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Output {
    Predict,
    PredictProba,
}

impl Output {
    fn name(self) -> &'static str {
        match self {
            Self::Predict => "predict",
            Self::PredictProba => "predict_proba",
        }
    }
}

impl Svc {
    fn wanted_outputs(&self, request: &InferRequest) -> Result<Vec<Output>, Error> {
        if request.outputs.is_empty() {
            return Ok(vec![Output::Predict]);
        }
        let mut wanted = Vec::new();
        for requested in &request.outputs {
            let output = match requested.name.as_str() {
                "predict" => Output::Predict,
                "predict_proba" if self.has_probabilities() => Output::PredictProba,
                other => return Err(self.unknown_output(other)),
            };
            if !wanted.contains(&output) {
                wanted.push(output);
            }
        }
        Ok(wanted)
    }

    fn unknown_output(&self, name: &str) -> Error {
        let given = if self.has_probabilities() { "'predict' and 'predict_proba'" } else { "'predict'" };
        let why = if name == "predict_proba" { "; it was fitted without probability=True" } else { "" };
        Error::invalid(format!("sklearn {} gives {given}, '{name}' was asked{why}", self.estimator))
    }

    fn only_input<'r>(&self, request: &'r InferRequest) -> Result<&'r Tensor, Error> {
        match request.inputs.as_slice() {
            [input] => Ok(input),
            inputs => Err(Error::invalid(format!(
                "sklearn {} takes one input of shape [rows, {}], got {} inputs",
                self.estimator,
                self.features(),
                inputs.len()
            ))),
        }
    }

    fn row_count_of(&self, input: &Tensor) -> Result<usize, Error> {
        match *input.shape() {
            [features] if features == self.features() => Ok(1),
            [rows, features] if features == self.features() => Ok(rows),
            _ => Err(Error::invalid(format!(
                "input '{}': sklearn {} expects {} features, shape [rows, {}], got shape {:?}",
                input.name,
                self.estimator,
                self.features(),
                self.features(),
                input.shape()
            ))),
        }
    }

    fn refuse_unbounded(&self, name: &str, rows: &[f64]) -> Result<(), Error> {
        let Some(index) = rows.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let what = if rows.get(index).is_some_and(|value| value.is_nan()) { "NaN" } else { "an infinity" };
        Err(Error::invalid(format!(
            "input '{name}' contains {what} at row {}, column {}; sklearn {} takes finite numbers only",
            index / self.features(),
            index % self.features(),
            self.estimator
        )))
    }
}

/// The values as 64-bit floats, which is what scikit-learn casts to.
fn floats(input: &Tensor) -> Result<Cow<'_, [f64]>, Error> {
    Ok(Cow::Owned(match input.data() {
        TensorData::Fp64(values) => return Ok(Cow::Borrowed(values)),
        TensorData::Fp32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Fp16(values) => values.iter().map(|value| value.to_f64()).collect(),
        TensorData::Bf16(values) => values.iter().map(|value| value.to_f64()).collect(),
        TensorData::Bool(values) => values.iter().map(|&value| f64::from(u8::from(value))).collect(),
        TensorData::Uint8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Uint16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Uint32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        // Beyond 2⁵³ these round to the nearest, as NumPy's cast does.
        TensorData::Uint64(values) => values.iter().map(|&value| value as f64).collect(),
        TensorData::Int8(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Int16(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Int32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        TensorData::Int64(values) => values.iter().map(|&value| value as f64).collect(),
        TensorData::Bytes(_) => {
            return Err(Error::invalid(format!("input '{}': expected a numeric datatype, got BYTES", input.name)));
        }
    }))
}
