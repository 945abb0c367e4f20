//! YAML as people keep it: where each value stands, and how to write what people will read.
//!
//! Values are read by serde; this is for what serde forgets, lines, columns and comments.

mod path;
mod tree;
mod write;

pub(crate) use path::{Path, Segment};
pub(crate) use tree::{Entry, Kind, Node, Style, documents};
pub(crate) use write::{Comment, json, write};
