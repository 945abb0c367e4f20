//! JSON as Python's `json.dumps` writes it, blanks and all: models were trained on it.

use serde_json::Value;

use super::text;

/// How it is written.
#[derive(Default)]
pub(super) struct JsonStyle {
    /// Characters beyond ASCII as `\u` escapes.
    pub(super) ensure_ascii: bool,
    /// Blanks for each depth; all in one line without.
    pub(super) indent: Option<usize>,
    /// Between members and behind a name.
    pub(super) separators: Option<[String; 2]>,
    pub(super) sort_keys: bool,
}

// === impl JsonStyle ===

impl JsonStyle {
    pub(super) fn write(&self, value: &Value) -> String {
        let mut written = String::new();
        self.write_at(0, value, &mut written);
        written
    }

    fn write_at(&self, depth: usize, value: &Value, written: &mut String) {
        match value {
            Value::Array(items) if !items.is_empty() => {
                written.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, depth + 1, written);
                    self.write_at(depth + 1, item, written);
                }
                self.end_line(depth, written);
                written.push(']');
            }
            Value::Object(members) if !members.is_empty() => {
                let mut members: Vec<_> = members.iter().collect();
                if self.sort_keys {
                    members.sort_by_key(|(name, _)| *name);
                }
                written.push('{');
                for (index, (name, value)) in members.into_iter().enumerate() {
                    self.separate(index, depth + 1, written);
                    self.quote(name, written);
                    written.push_str(self.separators.as_ref().map_or(": ", |[_, colon]| colon));
                    self.write_at(depth + 1, value, written);
                }
                self.end_line(depth, written);
                written.push('}');
            }
            Value::String(text) => self.quote(text, written),
            Value::Number(number) if number.is_f64() => {
                written.push_str(&number.as_f64().map_or_else(|| number.to_string(), text::float));
            }
            other => written.push_str(&other.to_string()),
        }
    }

    fn separate(&self, index: usize, depth: usize, written: &mut String) {
        if index > 0 {
            // Python's own changes with the indent, so that no line ends in a blank.
            let own = if self.indent.is_some() { "," } else { ", " };
            written.push_str(self.separators.as_ref().map_or(own, |[comma, _]| comma));
        }
        self.end_line(depth, written);
    }

    fn end_line(&self, depth: usize, written: &mut String) {
        if let Some(indent) = self.indent {
            written.push('\n');
            written.extend(std::iter::repeat_n(' ', indent.min(64) * depth));
        }
    }

    fn quote(&self, text: &str, written: &mut String) {
        let quoted = Value::from(text).to_string();
        if !self.ensure_ascii {
            written.push_str(&quoted);
            return;
        }
        for character in quoted.chars() {
            if character.is_ascii() && character != '\u{7f}' {
                written.push(character);
            } else {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    written.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}
