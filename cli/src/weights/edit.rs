//! Weights in the text of a file: each is replaced, or put beside the variant's name, where it stands.
//!
//! Everything else, comments, order and spacing, stays as it is; what comes out is read again and
//! must be the same configuration but for the weights.

#[cfg(test)]
mod tests;

use std::ops::Range;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::source::{Section, Source};
use crate::yaml::{Entry, Kind, Node, Path, Style};

/// What replaces these bytes of the text.
struct Replacement {
    bytes: Range<usize>,
    by: String,
}

/// The text with other weights, by the variants' positions in the model of this number.
pub(super) fn with_weights(
    source: &Source,
    section: &Section,
    model: usize,
    weights: &[(usize, f64)],
) -> anyhow::Result<String> {
    let mut replacements = Vec::with_capacity(weights.len());
    let mut expected = section.routing.clone();
    for (position, weight) in weights {
        let path = Path::default().key("models").index(model).key("variants").index(*position);
        let in_file = section.path_in_file(&path);
        let as_alias =
            || format!("{in_file} is written as an alias or an anchor: write it out to change its weight here");
        let node = section.tree.find(&in_file).with_context(as_alias)?;
        replacements.push(replacement(&source.text, node, *weight).with_context(as_alias)?);
        let variant = expected.pointer_mut(&format!("/models/{model}/variants/{position}"));
        variant.and_then(Value::as_object_mut).context("no such variant")?.insert("weight".to_owned(), number(*weight));
    }
    replacements.sort_by_key(|replacement| std::cmp::Reverse(replacement.bytes.start));
    let mut text = source.text.clone();
    for Replacement { bytes, by } in replacements {
        ensure!(text.get(bytes.clone()).is_some(), "the file's structure could not be followed");
        text.replace_range(bytes, &by);
    }
    let edited = Source::parse(&source.file, text)?;
    let routing = &edited.only_section()?.routing;
    if !is_same(routing, &expected) {
        bail!(
            "the weights cannot be changed without changing something else, such as an anchor's other uses: edit the file by hand"
        );
    }
    Ok(edited.text)
}

fn replacement(text: &str, variant: &Node, weight: f64) -> Option<Replacement> {
    let by = weight.to_string();
    if let Some(entry) = variant.get("weight") {
        return matches!(entry.value.kind, Kind::Scalar(_))
            .then(|| Replacement { bytes: entry.value.bytes.clone(), by });
    }
    let Kind::Object(style, entries) = &variant.kind else { return None };
    match style {
        Style::Flow => in_braces(text, entries.last()?, &by),
        Style::Block => on_a_line_of_its_own(text, variant.get("name")?, &by),
    }
}

/// Behind the last member.
fn in_braces(text: &str, last: &Entry, weight: &str) -> Option<Replacement> {
    let is_json = text.get(last.key.bytes.clone())?.starts_with('"');
    let key = if is_json { "\"weight\"" } else { "weight" };
    let end = last.value.bytes.end.max(last.key.bytes.end);
    Some(Replacement { bytes: end..end, by: format!(", {key}: {weight}") })
}

/// Below the name's line, as far right as the name.
fn on_a_line_of_its_own(text: &str, name: &Entry, weight: &str) -> Option<Replacement> {
    let end = name.value.bytes.end;
    let rest = text.get(end..)?;
    let line_end = end + rest.find('\n').unwrap_or(rest.len());
    let line_break = if text.get(..line_end)?.ends_with('\r') { "\r\n" } else { "\n" };
    let at = if line_break == "\r\n" { line_end - 1 } else { line_end };
    let indent = " ".repeat(name.key.column.checked_sub(1)?);
    Some(Replacement { bytes: at..at, by: format!("{line_break}{indent}weight: {weight}") })
}

fn number(weight: f64) -> Value {
    if weight.fract() == 0.0 && weight < 1e15 { Value::from(weight as u64) } else { Value::from(weight) }
}

/// Whether two configurations say the same: `1` is `1.0`.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| is_same(left, right)))
        }
        _ => left == right,
    }
}
