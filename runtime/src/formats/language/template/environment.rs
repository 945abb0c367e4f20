//! Jinja as transformers sets it up, with what it has of Python.

use std::fmt;
use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat;

use super::json::JsonStyle;
use super::{text, time};

/// Steps of a template, and 64 bytes each of what it writes: a conversation takes thousands, a loop without end stops.
const FUEL: u64 = 20_000_000;

/// What a template says that refuses messages.
#[derive(Debug)]
struct Raised(String);

/// Without templates.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(write);
    environment.set_unknown_method_callback(method);
    environment.add_filter("tojson", |value: &Value, options: Kwargs| to_json(value, &options));
    environment.add_filter("string", |value: &Value| text::of(value));
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", |format: &str| time::write(SystemTime::now(), format));
    environment
}

/// Without the marks around what the model writes itself, which are for training. The blanks around them stay as they
/// are: another block takes their place.
pub(super) fn without_generation(source: &str) -> String {
    let mut written = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, behind)) = rest.split_once("{%") {
        written.push_str(before);
        written.push_str("{%");
        let Some((tag, after)) = behind.split_once("%}") else {
            rest = behind;
            break;
        };
        let is_sign = |sign: char| sign == '-' || sign == '+';
        let word = tag.trim_matches(is_sign).trim();
        match word {
            "generation" => written.push_str(&tag.replace(word, "if true")),
            "endgeneration" => written.push_str(&tag.replace(word, "endif")),
            _ => {
                // Its end may be in a text of the tag, so that the next tag begins in it.
                rest = behind;
                continue;
            }
        }
        written.push_str("%}");
        rest = after;
    }
    written.push_str(rest);
    written
}

/// Why a template cannot be used, with the line.
pub(super) fn reason(error: &Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// What a template said that refused messages.
pub(super) fn raised(error: &Error) -> Option<&str> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(Raised(message)) = error.downcast_ref() {
            return Some(message);
        }
        next = error.source();
    }
    None
}

/// A method that values have in Python.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), name, arguments) {
        (Some(text), "title", []) => Ok(Value::from(text::title(text))),
        _ => pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = message.to_string();
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

fn to_json(value: &Value, options: &Kwargs) -> Result<String, Error> {
    if value.kind() == ValueKind::Undefined {
        return Err(Error::new(ErrorKind::UndefinedError, "tojson of what is not defined"));
    }
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = JsonStyle {
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        indent: options.get("indent")?,
        separators: match separators.map(<[String; 2]>::try_from) {
            None => None,
            Some(Ok(two)) => Some(two),
            Some(Err(_)) => return Err(Error::new(ErrorKind::InvalidOperation, "separators: expected two texts")),
        },
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let value =
        serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(style.write(&value))
}

fn write(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if let Some(text) = value.as_str() {
        return out.write_str(text).map_err(Error::from);
    }
    out.write_str(&text::of(value)).map_err(Error::from)
}

// === impl Raised ===

impl fmt::Display for Raised {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}
