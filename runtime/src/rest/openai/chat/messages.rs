//! Messages as chat templates read them: a role and one text.

use serde_json::{Map, Value};

use super::Problem;

/// What stands between two parts of a text: vLLM's choice.
const BETWEEN: &str = "\n";

/// The messages, with the parts of a content made one text and the arguments of calls made objects.
pub(super) fn read(messages: Vec<Map<String, Value>>) -> Result<Vec<Value>, Problem> {
    if messages.is_empty() {
        return Err(Problem::invalid(
            "messages",
            "is missing or empty, expected [{\"role\": \"user\", \"content\": …}, …]",
        ));
    }
    let read = messages.into_iter().enumerate().map(|(index, mut message)| {
        if !message.get("role").is_some_and(Value::is_string) {
            return Err(Problem::invalid(
                format!("messages[{index}].role"),
                "is missing, expected a text such as \"user\"",
            ));
        }
        match message.get_mut("content") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(content) => {
                let Value::Array(parts) = content else {
                    let expected = "expected a text or a list of parts of text";
                    return Err(Problem::invalid(format!("messages[{index}].content"), expected));
                };
                *content = Value::String(join(index, parts)?);
            }
        }
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
            calls.iter_mut().for_each(read_arguments);
        }
        Ok(Value::Object(message))
    });
    read.collect()
}

fn join(message: usize, parts: &[Value]) -> Result<String, Problem> {
    let mut texts = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let text = match part.get("type").and_then(Value::as_str) {
            Some("text" | "input_text" | "output_text") => part.get("text").and_then(Value::as_str),
            Some("refusal") => part.get("refusal").and_then(Value::as_str),
            kind => {
                let text =
                    format!("'{}' is not supported by this server, expected parts of text", kind.unwrap_or("null"));
                return Err(Problem::invalid(format!("messages[{message}].content[{index}].type"), &text));
            }
        };
        let missing = || Problem::invalid(format!("messages[{message}].content[{index}].text"), "expected a text");
        texts.push(text.ok_or_else(missing)?);
    }
    Ok(texts.join(BETWEEN))
}

/// On the wire the arguments are JSON in a text; templates write them as an object.
fn read_arguments(call: &mut Value) {
    let Some(arguments) = call.pointer_mut("/function/arguments") else { return };
    let Some(text) = arguments.as_str() else { return };
    if text.is_empty() {
        *arguments = Value::Object(Map::new());
    } else if let Ok(object @ Value::Object(_)) = serde_json::from_str(text) {
        *arguments = object;
    }
}
