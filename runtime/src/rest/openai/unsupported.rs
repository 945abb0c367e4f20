//! Members that clients know and this server does not serve: refused by name where they ask for something, because an
//! answer that passes over them would be a wrong one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::problem::Problem;

/// The members of a request that are not served and ask for something.
#[derive(Debug)]
pub(super) struct Unsupported(Vec<&'static str>);

/// OpenAI's, then vLLM's.
const MEMBERS: [&str; 27] = [
    "suffix",
    "logit_bias",
    "response_format",
    "functions",
    "audio",
    "prediction",
    "web_search_options",
    "allowed_token_ids",
    "bad_words",
    "chat_template",
    "continue_final_message",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "logits_processors",
    "min_p",
    "min_tokens",
    "mm_processor_kwargs",
    "prompt_embeds",
    "prompt_logprobs",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "stop_token_ids",
    "structured_outputs",
    "truncate_prompt_tokens",
    "use_beam_search",
];

// === impl Unsupported ===

impl Unsupported {
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some(name) => Err(Problem::invalid(*name, "is not supported by this server, leave it out")),
        }
    }
}

impl<'de> Deserialize<'de> for Unsupported {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Unsupported;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unsupported, A::Error> {
                let mut found = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let Some(name) = MEMBERS.into_iter().find(|name| *name == key) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if asks(name, &map.next_value()?) {
                        found.push(name);
                    }
                }
                Ok(Unsupported(found))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Whether the value asks for anything but what is done without it.
fn asks(name: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        // No log probabilities of the prompt are some.
        Value::Number(number) => name == "prompt_logprobs" || number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) if name == "response_format" => members.get("type").is_some_and(|kind| kind != "text"),
        Value::Object(members) => !members.is_empty(),
    }
}
