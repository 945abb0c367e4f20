//! Chat templates: the text that a model was trained to read of a conversation.
//!
//! A template is Jinja, and stands in `chat_template.jinja` or in `tokenizer_config.json`. It sees `messages`, `tools`,
//! `documents`, `add_generation_prompt`, the special tokens by their names (`bos_token` …) and what else a request says.
//! What it writes is what transformers' `apply_chat_template` writes; special tokens are in it already.
//!
//! A template that cannot be used is told to who asks for a chat: the model still goes on with texts.

mod environment;
mod json;
mod text;
mod time;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use minijinja::Environment;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::gguf::Gguf;
use super::tokens;

/// Has the template by itself. It counts more than the other one.
pub(super) const FILE: &str = "chat_template.jinja";
/// The template for conversations with tools, beside that.
pub(super) const TOOLS_FILE: &str = "additional_chat_templates/tool_use.jinja";
/// Has special tokens, and in older models the template.
pub(super) const CONFIG: &str = "tokenizer_config.json";

/// The names of a model's two templates.
const DEFAULT: &str = "default";
const TOOLS: &str = "tool_use";

/// Where a GGUF file has its template, and the names of others, which stand behind a dot.
const GGUF_KEY: &str = "tokenizer.chat_template";
const GGUF_NAMES: &str = "tokenizer.chat_templates";

/// How a model wants conversations written.
pub(super) struct ChatTemplate {
    /// Without those that are malformed.
    environment: Environment<'static>,
    /// Why there is no template of this name, or none at all.
    faults: BTreeMap<String, String>,
    special_tokens: Map<String, Value>,
}

/// `tokenizer_config.json`
#[derive(Default, Deserialize)]
struct Config {
    chat_template: Option<Templates>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Several(Vec<Named>),
}

#[derive(Deserialize)]
struct Named {
    name: String,
    template: String,
}

// === impl ChatTemplate ===

impl ChatTemplate {
    /// Of the model in this folder, if it has one.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let mut faults = BTreeMap::new();
        let config = read_config(folder).unwrap_or_else(|reason| {
            faults.insert(DEFAULT.to_owned(), reason);
            Config::default()
        });
        let mut sources = match config.chat_template {
            None => BTreeMap::new(),
            Some(Templates::One(source)) => BTreeMap::from([(DEFAULT.to_owned(), source)]),
            Some(Templates::Several(several)) => several.into_iter().map(|one| (one.name, one.template)).collect(),
        };
        let files = [(DEFAULT, FILE), (TOOLS, TOOLS_FILE)].map(|(name, file)| (name, read_file(&folder.join(file))));
        if files.iter().any(|(_, read)| read.is_some()) {
            sources.clear();
        }
        for (name, read) in files {
            match read {
                Some(Ok(source)) => drop(sources.insert(name.to_owned(), source)),
                Some(Err(reason)) => drop(faults.insert(name.to_owned(), reason)),
                None => {}
            }
        }
        Self::new(folder, sources, faults, special_tokens(&config.others))
    }

    /// Of a GGUF file, unless the model has one in files beside it.
    pub(super) fn of_gguf(file: &Gguf) -> Option<Self> {
        if let Some(beside) = file.path.parent().and_then(Self::read) {
            return Some(beside);
        }
        let names = file.texts(GGUF_NAMES).ok().flatten().unwrap_or_default();
        let named = names.iter().map(|name| (name.clone(), format!("{GGUF_KEY}.{name}")));
        let keys = [(DEFAULT.to_owned(), GGUF_KEY.to_owned())].into_iter().chain(named);
        let sources = keys.filter_map(|(name, key)| Some((name, file.text(&key)?.to_owned()))).collect();
        let special_tokens = tokens::special_tokens_of_gguf(file).unwrap_or_default();
        Self::new(&file.path, sources, BTreeMap::new(), special_tokens)
    }

    fn new(
        from: &Path,
        sources: BTreeMap<String, String>,
        mut faults: BTreeMap<String, String>,
        special_tokens: Map<String, Value>,
    ) -> Option<Self> {
        if sources.is_empty() && faults.is_empty() {
            return None;
        }
        let mut environment = environment::environment();
        for (name, source) in sources {
            if let Err(error) = environment.add_template_owned(name.clone(), environment::without_generation(&source)) {
                faults.insert(name, environment::reason(&error));
            }
        }
        for (name, reason) in &faults {
            tracing::warn!(from = %from.display(), template = name, reason, "the model has a chat template that cannot be used");
        }
        Some(Self { environment, faults, special_tokens })
    }

    /// What the model reads of these messages.
    ///
    /// # Errors
    /// The template cannot be used, or refuses the messages; the text says why.
    pub(super) fn render(&self, messages: Vec<Value>, variables: Map<String, Value>) -> Result<String, String> {
        let mut seen = self.special_tokens.clone();
        for name in ["tools", "documents"] {
            seen.insert(name.to_owned(), Value::Null);
        }
        seen.insert("add_generation_prompt".to_owned(), Value::Bool(true));
        seen.extend(variables);
        let messages = messages.into_iter().map(plain).collect();
        seen.insert("messages".to_owned(), Value::Array(messages));
        let has_tools = seen.get("tools").is_some_and(|tools| !tools.is_null());
        let is_known = |name: &&str| self.faults.contains_key(*name) || self.environment.get_template(name).is_ok();
        let name = [TOOLS].into_iter().find(|name| has_tools && is_known(name)).unwrap_or(DEFAULT);
        if let Some(reason) = self.faults.get(name) {
            return Err(format!("the model's chat template cannot be used: {reason}; ask it for completions"));
        }
        let template = self.environment.get_template(name).map_err(|_| {
            let names: Vec<_> = self.environment.templates().map(|(name, _)| format!("'{name}'")).collect();
            format!("the model has chat templates called {} and none called '{name}'", names.join(", "))
        })?;
        template.render(minijinja::value::Serde(&seen)).map_err(|error| match environment::raised(&error) {
            Some(message) => format!("the model's chat template refuses the messages: {message}"),
            None => format!("the model's chat template fails: {}", environment::reason(&error)),
        })
    }
}

fn read_config(folder: &Path) -> Result<Config, String> {
    let path = folder.join(CONFIG);
    match read_file(&path) {
        None => Ok(Config::default()),
        Some(text) => serde_json::from_str(&text?).map_err(|error| format!("{}: {error}", path.display())),
    }
}

fn read_file(path: &Path) -> Option<Result<String, String>> {
    match fs::read_to_string(path) {
        Ok(text) => Some(Ok(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(format!("cannot read {}: {error}", path.display()))),
    }
}

/// `bos_token` and its like: a text, or an object with more of it.
fn special_tokens(config: &Map<String, Value>) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(_) => Some(value.clone()),
        Value::Object(token) => token.get("content").filter(|content| content.is_string()).cloned(),
        _ => None,
    };
    let named = config.iter().filter(|(name, _)| name.ends_with("_token"));
    named.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

/// A message as transformers gives it to templates: without members that are null, and what a model thought under the
/// names that templates have for it.
fn plain(message: Value) -> Value {
    let Value::Object(members) = message else { return message };
    let members: Map<String, Value> = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    let thought = ["reasoning_content", "thinking", "reasoning"].iter().find_map(|name| members.get(*name)).cloned();
    let Some(thought) = thought else { return Value::Object(members) };
    let mut named = Map::from_iter([("thinking".to_owned(), thought.clone())]);
    named.extend(members);
    named.insert("reasoning_content".to_owned(), thought);
    Value::Object(named)
}
