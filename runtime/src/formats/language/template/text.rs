//! Values as Python writes them: `True`, `None`, `['a', 1.0]`.

use minijinja::Value;
use minijinja::value::ValueKind;

/// `str(value)`; nothing of what is not defined.
pub(super) fn of(value: &Value) -> String {
    let mut written = String::new();
    match value.as_str() {
        Some(text) => written.push_str(text),
        None => represent(value, &mut written),
    }
    written
}

/// `repr(value)`
fn represent(value: &Value, written: &mut String) {
    match value.kind() {
        ValueKind::Undefined => {}
        ValueKind::None => written.push_str("None"),
        ValueKind::Bool => written.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if !value.is_integer() => match f64::try_from(value.clone()) {
            Ok(number) => written.push_str(&float(number)),
            Err(_) => written.push_str(&value.to_string()),
        },
        ValueKind::String => quote(value.as_str().unwrap_or_default(), written),
        ValueKind::Seq => {
            written.push('[');
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                written.push_str(if index > 0 { ", " } else { "" });
                represent(&item, written);
            }
            written.push(']');
        }
        ValueKind::Map => {
            written.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                written.push_str(if index > 0 { ", " } else { "" });
                represent(&key, written);
                written.push_str(": ");
                represent(&value.get_item(&key).unwrap_or_default(), written);
            }
            written.push('}');
        }
        _ => written.push_str(&value.to_string()),
    }
}

/// The shortest text that means the number, with an exponent outside of 1e-4 to 1e16.
pub(super) fn float(number: f64) -> String {
    // Rust's own changes there, too, but writes `1e16` and not `1e+16`.
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) => format!("{digits}e{exponent:+03}"),
            Err(_) => text,
        },
        None => text,
    }
}

/// `text.title()`: a word is what has letters only, so that `<b>as` has two.
pub(super) fn title(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut is_inside = false;
    for character in text.chars() {
        if is_inside {
            written.extend(character.to_lowercase());
        } else {
            written.extend(character.to_uppercase());
        }
        is_inside = character.is_alphabetic();
    }
    written
}

fn quote(text: &str, written: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    written.push(quote);
    for character in text.chars() {
        match character {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            own if own == quote => written.extend(['\\', quote]),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                written.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => written.push(other),
        }
    }
    written.push(quote);
}
