//! Conversations, from the template to the tokens.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use serde_json::{Map, json};

use super::folder;
use crate::error::{Error, ErrorKind};
use crate::formats::language::LanguageFormat;
use crate::formats::{Format, ModelFiles};
use crate::model::Context;
use crate::text::{Prompt, TextEvent, TextModel, TextRequest};

/// The base with this template, and with a tokenizer that puts `<s>` before every text.
fn with_template(place: &Path, template: &str) -> Arc<dyn TextModel> {
    for name in ["config.json", "model.safetensors", "tokenizer_config.json"] {
        fs::copy(folder("base").join(name), place.join(name)).unwrap();
    }
    let text = fs::read_to_string(folder("base").join("tokenizer.json")).unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&text).unwrap();
    tokenizer["post_processor"] = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } }
    });
    fs::write(place.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    fs::write(place.join("chat_template.jinja"), template).unwrap();
    let files = ModelFiles { path: place.to_owned(), ..ModelFiles::default() };
    LanguageFormat::default().load(&files).unwrap().text().unwrap()
}

fn chat(content: &str) -> Prompt {
    Prompt::Chat { messages: vec![json!({ "role": "user", "content": content })], variables: Map::new() }
}

/// Tokens of the prompt, and what is new.
async fn ask(model: &Arc<dyn TextModel>, prompt: Prompt) -> Result<(usize, Vec<u32>), Error> {
    let request = TextRequest { max_new_tokens: Some(6), ignore_end: true, ..TextRequest::new(prompt) };
    let mut events = model.clone().generate(request, Context::default());
    let (mut prompt_tokens, mut tokens) = (0, Vec::new());
    while let Some(event) = events.next().await {
        match event? {
            TextEvent::Begun { prompt_tokens: count, .. } => prompt_tokens = count,
            TextEvent::Token(piece) => tokens.push(piece.token),
            TextEvent::Ended { .. } => {}
        }
    }
    Ok((prompt_tokens, tokens))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_read_as_its_template_writes_it_with_special_tokens_once() {
    let place = tempfile::tempdir().unwrap();
    let model = with_template(
        place.path(),
        "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}\n",
    );
    let own = ask(&model, chat("Hi 😀")).await.unwrap();
    assert_eq!(own, ask(&model, Prompt::Text("user: Hi 😀</s>".to_owned())).await.unwrap());
    assert_ne!(own, ask(&model, chat("Hi")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_template_refuses_is_the_clients_fault_and_texts_go_on_without_one() {
    let place = tempfile::tempdir().unwrap();
    let refuses = with_template(place.path(), "{{ raise_exception('No users, please') }}");
    let error = ask(&refuses, chat("Hi")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "the model's chat template refuses the messages: No users, please");
    let place = tempfile::tempdir().unwrap();
    let malformed = with_template(place.path(), "{% for %}");
    let error = ask(&malformed, chat("Hi")).await.unwrap_err();
    assert!(error.message().contains("cannot be used"), "{}", error.message());
    assert_eq!(ask(&malformed, Prompt::Text("Hi".to_owned())).await.unwrap().1.len(), 6);
}
