//! Writes YAML as a person would: small things on one line, texts of several lines as they are.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::path::{Path, Segment};

/// Longer lines are broken where they can be.
const WIDEST: usize = 110;

/// A remark above the line of a value.
pub(crate) struct Comment {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
}

/// The document of a value, with `comments` above the lines that they are about.
pub(crate) fn write(value: &Value, comments: &[Comment]) -> String {
    let comments = comments.iter().map(|comment| (Path::parse(comment.path), comment.text)).collect();
    let mut writer = Writer { comments, path: Path::default(), text: String::new() };
    match value {
        Value::Object(members) if !members.is_empty() => writer.members(members, 0, false),
        Value::Array(values) if !values.is_empty() => writer.items(values, 0),
        other => {
            writer.text.push_str(&flow(other));
            writer.text.push('\n');
        }
    }
    writer.text
}

/// The same for JSON: small things on one line.
pub(crate) fn json(value: &Value) -> String {
    let mut text = String::new();
    push_json(value, 0, 0, &mut text);
    text.push('\n');
    text
}

/// `before`: how much of the line is taken already.
fn push_json(value: &Value, indent: usize, before: usize, text: &mut String) {
    let flat = flat_json(value);
    let (open, close, members): (char, char, Vec<(String, &Value)>) = match value {
        Value::Array(values) => ('[', ']', values.iter().map(|value| (String::new(), value)).collect()),
        Value::Object(members) => {
            let named = |(key, value): (&String, _)| (format!("{}: ", Value::from(key.as_str())), value);
            ('{', '}', members.iter().map(named).collect())
        }
        _ => (' ', ' ', Vec::new()),
    };
    if members.is_empty() || (depth(value) <= 2 && indent + before + flat.chars().count() < WIDEST) {
        text.push_str(&flat);
        return;
    }
    text.push(open);
    for (position, (key, value)) in members.iter().enumerate() {
        text.push_str(if position == 0 { "\n" } else { ",\n" });
        text.extend(std::iter::repeat_n(' ', indent + 2));
        text.push_str(key);
        push_json(value, indent + 2, key.chars().count(), text);
    }
    text.push('\n');
    text.extend(std::iter::repeat_n(' ', indent));
    text.push(close);
}

fn flat_json(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(flat_json).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let named =
                |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), flat_json(value));
            format!("{{{}}}", members.iter().map(named).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

struct Writer {
    comments: Vec<(Path, &'static str)>,
    path: Path,
    text: String,
}

// === impl Writer ===

impl Writer {
    /// `is_begun`: the first member stands on a line that has begun, behind a dash.
    fn members(&mut self, members: &Map<String, Value>, indent: usize, is_begun: bool) {
        for (position, (key, value)) in members.iter().enumerate() {
            self.path.0.push(Segment::Key(key.clone()));
            if position > 0 || !is_begun {
                self.comment(indent);
                self.indent(indent);
            }
            self.text.push_str(&scalar(key));
            self.text.push(':');
            // Lists stand as far left as their key: two columns more for what matters.
            let inner = if value.is_array() { indent } else { indent + 2 };
            self.value(value, indent, inner);
            self.path.0.pop();
        }
    }

    fn items(&mut self, values: &[Value], indent: usize) {
        for (index, value) in values.iter().enumerate() {
            self.path.0.push(Segment::Index(index));
            self.comment(indent);
            self.indent(indent);
            self.text.push('-');
            match value {
                Value::Object(members) if !members.is_empty() && !self.fits(value, indent) => {
                    self.text.push(' ');
                    self.members(members, indent + 2, true);
                }
                other => self.value(other, indent, indent + 2),
            }
            self.path.0.pop();
        }
    }

    /// Behind a colon or a dash.
    fn value(&mut self, value: &Value, indent: usize, inner: usize) {
        match value {
            Value::Object(members) if !members.is_empty() && !self.fits(value, indent) => {
                self.text.push('\n');
                self.members(members, inner, false);
            }
            Value::Array(values) if !values.is_empty() && !self.fits(value, indent) => {
                self.text.push('\n');
                self.items(values, inner);
            }
            Value::String(text) if can_be_literal(text) => {
                self.text.push_str(" |\n");
                for line in text.lines() {
                    self.indent(indent + 2);
                    self.text.push_str(line);
                    self.text.push('\n');
                }
            }
            other => {
                self.text.push(' ');
                self.text.push_str(&flow(other));
                self.text.push('\n');
            }
        }
    }

    /// Whether a value may stand on one line: a leaf, or a few leaves that nobody remarks upon.
    fn fits(&self, value: &Value, indent: usize) -> bool {
        let is_remarked = self.comments.iter().any(|(path, _)| path.starts_with(&self.path) && *path != self.path);
        let line = self.text.rsplit('\n').next().unwrap_or_default().chars().count().max(indent);
        !is_remarked && depth(value) <= 1 + usize::from(self.path.0.len() > 4) && {
            let written = flow(value);
            !written.contains('\n') && line + written.chars().count() < WIDEST
        }
    }

    fn comment(&mut self, indent: usize) {
        let about = self.comments.iter().filter(|(path, _)| *path == self.path).map(|(_, text)| *text);
        let lines: Vec<&str> = about.flat_map(str::lines).collect();
        for line in lines {
            self.indent(indent);
            self.text.push_str("# ");
            self.text.push_str(line);
            self.text.push('\n');
        }
    }

    fn indent(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }
}

/// How many levels of brackets.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) if !values.is_empty() => 1 + values.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) if !members.is_empty() => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Without quotes where every YAML reader takes it for the same text; a JSON string is YAML, too.
fn scalar(text: &str) -> String {
    let is_plain = is_seconds(text)
        || text.starts_with(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '.' | '_'))
            && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-:@ ".contains(letter))
            && text.chars().any(|letter| letter.is_ascii_alphabetic() || letter == '_')
            && !text.contains(": ")
            && !text.ends_with([':', ' '])
            && !is_word_of_yaml(text)
            && text.parse::<f64>().is_err()
            && !text.starts_with('.');
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// A duration of protobuf's, `30s`.
fn is_seconds(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Words that some YAML reader takes for something else than text.
fn is_word_of_yaml(text: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "y", "n", "null"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn can_be_literal(text: &str) -> bool {
    let is_clean = |letter: char| letter == '\n' || !letter.is_control();
    text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && text.trim() != ""
        && text
            .chars()
            .all(|letter| is_clean(letter) && !matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
}
