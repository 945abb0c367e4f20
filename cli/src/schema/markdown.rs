//! A page of tables from a JSON Schema, one for each type, in the order in which a reader meets them.

use serde_json::Value;

const INTRODUCTION: &str = "# Configuration

One file, two sections: `routing` is the filter's configuration, word for word what a `WasmPlugin` gets as `pluginConfig`;
`deployment` is for `modelway up` and `modelway render`. A field that is not known is refused, with the nearest known name; numbers may arrive as doubles.
A complete file: [tests/demo/mesh.yaml](../tests/demo/mesh.yaml). For editors: [modelway.schema.json](modelway.schema.json).

This page is made from the types by `make docs`.
";

/// The page of a schema.
pub(super) fn page(schema: &Value) -> String {
    let mut page = String::from(INTRODUCTION);
    let mut waiting = vec![("The file".to_owned(), schema.clone())];
    let mut met = vec!["The file".to_owned()];
    while !waiting.is_empty() {
        let (title, definition) = waiting.remove(0);
        page.push_str(&section(&title, &definition));
        let mut named = Vec::new();
        references(&definition, &mut named);
        // What belongs to a section follows it.
        let mut place = 0;
        for name in named {
            if let (false, Some(definition)) = (met.contains(&name), schema.pointer(&format!("/$defs/{name}"))) {
                waiting.insert(place, (name.clone(), definition.clone()));
                met.push(name);
                place += 1;
            }
        }
    }
    page
}

fn section(title: &str, definition: &Value) -> String {
    let mut section = format!("\n## {title}\n");
    if title != "The file" {
        push_paragraph(&mut section, &description(definition));
    }
    if let Some(properties) = definition.get("properties").and_then(Value::as_object) {
        section.push_str("\n| field | type | |\n|---|---|---|\n");
        for (name, property) in properties {
            let required = definition
                .get("required")
                .and_then(Value::as_array)
                .is_some_and(|all| all.contains(&name.as_str().into()));
            let type_text = if required { format!("{}, required", type_of(property)) } else { type_of(property) };
            section.push_str(&format!("| `{name}` | {type_text} | {} |\n", description(property)));
        }
    }
    if let Some(choices) = definition.get("oneOf").and_then(Value::as_array) {
        section.push('\n');
        choices.iter().for_each(|choice| section.push_str(&choice_line(choice)));
    }
    section
}

/// A value of an enumeration: a word, or an object with one field.
fn choice_line(choice: &Value) -> String {
    if let Some(word) = choice.get("const").and_then(Value::as_str) {
        return format!("- `{word}`: {}\n", description(choice));
    }
    let field = choice.get("properties").and_then(Value::as_object).and_then(|properties| properties.iter().next());
    let Some((name, property)) = field else { return String::new() };
    format!("- `{{{name}: …}}` ({}): {}\n", type_of(property), description(choice))
}

fn type_of(property: &Value) -> String {
    if let Some(name) = property.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next())
    {
        return link(name);
    }
    if let Some(any) = property.get("anyOf").or_else(|| property.get("allOf")).and_then(Value::as_array) {
        let types: Vec<String> = any.iter().map(type_of).filter(|name| name != "null").collect();
        return types.join(" or ");
    }
    if let Some(items) = property.get("items") {
        return format!("list of {}", type_of(items));
    }
    if let Some(values) = property.get("additionalProperties").filter(|values| values.is_object()) {
        return format!("map of {}", type_of(values));
    }
    match property.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            names.join(" or ")
        }
        _ => "any".to_owned(),
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_ascii_lowercase())
}

fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn push_paragraph(section: &mut String, text: &str) {
    if !text.is_empty() {
        section.push_str(&format!("\n{text}\n"));
    }
}

/// The names of the types that a schema refers to, in order.
fn references(schema: &Value, into: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => into.extend(reference.rsplit('/').next().map(str::to_owned)),
                    ("$defs", _) => {}
                    (_, value) => references(value, into),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}
