//! The calls of a pickle that are understood, by name; all others are refused.
//!
//! Understood means: we know what value the function would give, and make it. Functions of scikit-learn,
//! SciPy's sparse matrices and NumPy's random generators become objects without content, so that a model
//! that carries one along can still be read, or refused for a better reason.

use crate::formats::LoadError;
use crate::formats::sklearn::array::{self, Array, Dtype, Kind};
use crate::formats::sklearn::joblib;
use crate::formats::sklearn::value::{Global, Heap, Id, Object, Value};

/// What `function(*arguments)` gives.
pub(super) fn call<'a>(heap: &Heap<'a>, function: Global<'a>, arguments: Id) -> Result<Value<'a>, LoadError> {
    let malformed = || LoadError::Malformed(format!("'{function}' is called with arguments that it does not take"));
    let Value::Tuple(arguments) = heap.get(arguments) else {
        return Err(malformed());
    };
    let argument = |index: usize| arguments.get(index).copied().ok_or_else(malformed);
    match (function.module, function.name) {
        ("_codecs", "encode") => {
            let encoding = heap.text(argument(1)?).ok_or_else(malformed)?;
            match heap.get(argument(0)?) {
                Value::Text(text) if matches!(encoding, "latin1" | "latin-1") => Ok(Value::Latin1(text)),
                _ => Err(malformed()),
            }
        }
        ("builtins" | "__builtin__", "bytes" | "bytearray") => match arguments.first() {
            None => Ok(Value::Bytes(&[])),
            Some(&first) => match *heap.get(first) {
                Value::Bytes(bytes) => Ok(Value::Bytes(bytes)),
                Value::Latin1(text) => Ok(Value::Latin1(text)),
                _ => Err(malformed()),
            },
        },
        ("collections", "OrderedDict") if arguments.is_empty() => Ok(Value::Dict(Vec::new())),
        ("numpy", "dtype") => {
            let name = heap.text(argument(0)?);
            let other = Dtype { kind: Kind::Other, size: 0, big_endian: false, has_object: false };
            // A user's own dtype is given by its class; its arrays cannot be read, and need not be.
            name.map_or(Ok(other), Dtype::parse).map(Value::Dtype)
        }
        ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
            let empty = Dtype { kind: Kind::Other, size: 0, big_endian: false, has_object: false };
            let data = argument(2)?;
            Ok(Value::Array(Box::new(Array { dtype: empty, shape: vec![0], fortran: false, data })))
        }
        ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => match heap.get(argument(0)?) {
            Value::Dtype(dtype) => array::scalar(heap, *dtype, argument(1)?),
            _ => Err(malformed()),
        },
        ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => {
            let &Value::Dtype(dtype) = heap.get(argument(1)?) else {
                return Err(malformed());
            };
            let shape = Array::shape_of(heap, argument(2)?)?;
            let fortran = heap.text(argument(3)?) == Some("F");
            Ok(Value::Array(Box::new(Array { dtype, shape, fortran, data: argument(0)? })))
        }
        ("copyreg" | "copy_reg", "_reconstructor") => match *heap.get(argument(0)?) {
            Value::Global(class) => instance(class),
            _ => Err(malformed()),
        },
        _ => instance(function),
    }
}

/// An instance of a class that is carried along without being understood.
pub(super) fn instance(class: Global<'_>) -> Result<Value<'_>, LoadError> {
    if joblib::is_outdated_wrapper(class) {
        return Err(LoadError::Unsupported(
            "saved by a joblib before 0.10, which puts arrays into files of their own; \
             load it there and save it again with a current joblib.dump"
                .into(),
        ));
    }
    let inert = is_inside(class.module, "sklearn")
        || is_inside(class.module, "scipy.sparse")
        || is_inside(class.module, "numpy.random")
        || joblib::is_wrapper(class)
        || matches!((class.module, class.name), ("builtins" | "__builtin__", "set" | "frozenset" | "slice" | "range"));
    if !inert {
        return Err(LoadError::Unsupported(format!(
            "the pickle refers to '{class}', which this reader does not know; nothing was executed"
        )));
    }
    Ok(Value::Object(Box::new(Object { class, state: None })))
}

/// The array that `ndarray.__setstate__` makes of `(version, shape, dtype, column-major, data)`.
pub(super) fn array_from_state<'a>(heap: &Heap<'a>, state: Id) -> Result<Value<'a>, LoadError> {
    let malformed =
        || LoadError::Malformed("an array's state is not (version, shape, dtype, column-major, data)".into());
    let Some(&[_, shape, dtype, fortran, data]) = heap.items(state) else {
        return Err(malformed());
    };
    let &Value::Dtype(dtype) = heap.get(dtype) else {
        return Err(malformed());
    };
    let shape = Array::shape_of(heap, shape)?;
    let fortran = heap.integer(fortran).ok_or_else(malformed)? != 0;
    Ok(Value::Array(Box::new(Array { dtype, shape, fortran, data })))
}

/// Whether a module is this package or lies in it.
fn is_inside(module: &str, package: &str) -> bool {
    module.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
