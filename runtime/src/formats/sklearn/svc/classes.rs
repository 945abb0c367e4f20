//! The labels that a classifier gives.

use bytes::Bytes;

use crate::formats::sklearn::array::Elements;
use crate::tensor::{DataType, TensorData};

/// The labels in the order of the classes, all of one type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Classes {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<Bytes>),
}

// === impl Classes ===

impl Classes {
    pub(super) fn new(labels: Elements) -> Self {
        match labels {
            Elements::Int(labels) => Self::Int(labels),
            Elements::Float(labels) => Self::Float(labels),
            Elements::Bool(labels) => Self::Bool(labels),
            Elements::Text(labels) => Self::Text(labels.into_iter().map(Bytes::from).collect()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Int(labels) => labels.len(),
            Self::Float(labels) => labels.len(),
            Self::Bool(labels) => labels.len(),
            Self::Text(labels) => labels.len(),
        }
    }

    /// The datatype of the labels on the wire.
    pub(super) fn datatype(&self) -> DataType {
        match self {
            Self::Int(_) => DataType::Int64,
            Self::Float(_) => DataType::Fp64,
            Self::Bool(_) => DataType::Bool,
            Self::Text(_) => DataType::Bytes,
        }
    }

    /// The labels of these classes, by index.
    pub(super) fn labels(&self, indices: &[usize]) -> TensorData {
        match self {
            Self::Int(labels) => TensorData::Int64(pick(labels, indices)),
            Self::Float(labels) => TensorData::Fp64(pick(labels, indices)),
            Self::Bool(labels) => TensorData::Bool(pick(labels, indices)),
            Self::Text(labels) => TensorData::Bytes(pick(labels, indices)),
        }
    }

    /// Bytes of memory that the labels keep.
    pub(super) fn size_bytes(&self) -> usize {
        match self {
            Self::Int(labels) => labels.capacity() * 8,
            Self::Float(labels) => labels.capacity() * 8,
            Self::Bool(labels) => labels.capacity(),
            Self::Text(labels) => {
                let texts: usize = labels.iter().map(Bytes::len).sum();
                texts + labels.capacity() * size_of::<Bytes>()
            }
        }
    }
}

fn pick<T: Clone>(labels: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().filter_map(|&index| labels.get(index).cloned()).collect()
}
