//! A JSON document with another name of the model.

use super::Prefix;
use crate::read::JsonReader;

/// The document's start with every name of the model that was read replaced: readers that take the
/// first of a repeated key and those that take the last find the same.
pub(crate) fn document_start(read: &[u8], reader: &JsonReader, model: &[u8]) -> Option<Prefix> {
    Prefix::replacing(read, reader.name_values(), |into| put_json_text(model, into))
}

/// A string of JSON; `text` has no control characters, as it may stand in a header.
fn put_json_text(text: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for &byte in text {
        if matches!(byte, b'"' | b'\\') {
            into.push(b'\\');
        }
        into.push(byte);
    }
    into.push(b'"');
}
