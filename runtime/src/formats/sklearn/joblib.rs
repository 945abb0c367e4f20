//! joblib's addition to pickle: the bytes of an array stand between the instructions.
//!
//! Where Python's pickler would put an array, joblib (0.10 and later) puts a `NumpyArrayWrapper` with
//! the shape, the order and the dtype, and writes the elements right behind the BUILD that completes it.
//! Since joblib 1.2 a byte with the length of a padding and the padding itself come first, so that the
//! elements are aligned. Arrays of Python objects follow as a pickle of their own.

use super::array::{Array, Dtype};
use super::pickle::{Arrays, Session};
use super::value::{Global, Heap, Id, Value};
use crate::formats::LoadError;

/// scikit-learn before 0.21 brought its own copy of joblib.
fn is_joblib(module: &str) -> bool {
    matches!(module, "joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle")
}

/// Whether the bytes of an array follow an object of this class.
pub(super) fn is_wrapper(class: Global<'_>) -> bool {
    class.name == "NumpyArrayWrapper" && is_joblib(class.module)
}

/// Whether the class is how joblib announced arrays before 0.10.
pub(super) fn is_outdated_wrapper(class: Global<'_>) -> bool {
    matches!(class.name, "NDArrayWrapper" | "ZNDArrayWrapper") && class.module.contains("joblib.")
}

/// The array of a wrapper with this state; the session's reader stands behind the wrapper's BUILD.
pub(super) fn read_array<'a>(session: &mut Session<'a>, state: Id) -> Result<Value<'a>, LoadError> {
    let dtype = dtype(&session.heap, state)?;
    if dtype.has_object {
        let nested = session.run(Arrays::AreValues)?;
        return match session.heap.get(nested) {
            Value::Array(array) => Ok(Value::Array(Box::new(Array {
                dtype: array.dtype,
                shape: array.shape.clone(),
                fortran: array.fortran,
                data: array.data,
            }))),
            _ => Err(LoadError::Malformed(format!(
                "a joblib array of objects is followed by {}",
                session.heap.describe(nested)
            ))),
        };
    }
    let shape = Array::shape_of(&session.heap, attribute(&session.heap, state, "shape")?)?;
    let fortran = session.heap.text(attribute(&session.heap, state, "order")?) == Some("F");
    let aligned = session
        .heap
        .entry(state, "numpy_array_alignment_bytes")
        .is_some_and(|alignment| session.heap.integer(alignment).is_some());
    if aligned {
        let padding = session.reader.byte()?;
        session.reader.take(usize::from(padding))?;
    }
    let mut array = Array { dtype, shape, fortran, data: state };
    let length = array.count()?.saturating_mul(dtype.size);
    let bytes = session.reader.take(length)?;
    array.data = session.heap.add(Value::Bytes(bytes))?;
    Ok(Value::Array(Box::new(array)))
}

fn dtype(heap: &Heap<'_>, state: Id) -> Result<Dtype, LoadError> {
    match heap.get(attribute(heap, state, "dtype")?) {
        Value::Dtype(dtype) => Ok(*dtype),
        _ => Err(LoadError::Malformed("a joblib array's dtype is none".into())),
    }
}

fn attribute(heap: &Heap<'_>, state: Id, name: &str) -> Result<Id, LoadError> {
    heap.entry(state, name).ok_or_else(|| LoadError::Malformed(format!("a joblib array has no '{name}'")))
}
