//! What transformers writes of conversations, written here.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{CONFIG, ChatTemplate, FILE, TOOLS_FILE, environment, time};

#[derive(Deserialize)]
struct Golden {
    configurations: BTreeMap<String, Value>,
    conversations: BTreeMap<String, Vec<Value>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    conversation: String,
    variables: Map<String, Value>,
    text: Option<String>,
    refused: Option<String>,
}

fn of_config(config: &Value) -> ChatTemplate {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    ChatTemplate::read(folder.path()).unwrap()
}

fn of_template(template: &str) -> ChatTemplate {
    of_config(&json!({ "chat_template": template, "bos_token": "<s>" }))
}

fn user(text: &str) -> Vec<Value> {
    vec![json!({ "role": "user", "content": text })]
}

fn render(template: &str) -> Result<String, String> {
    of_template(template).render(user("Hi"), Map::new())
}

fn with_file(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn conversations_become_the_texts_that_transformers_makes_of_them() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/chat/golden.json");
    let golden: Golden = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let templates: BTreeMap<_, _> =
        golden.configurations.iter().map(|(name, config)| (name.as_str(), of_config(config))).collect();
    let (mut texts, mut refusals) = (0, 0);
    for case in &golden.cases {
        let name = format!("{}, {}, {:?}", case.template, case.conversation, case.variables);
        let messages = golden.conversations[&case.conversation].clone();
        let rendered = templates[case.template.as_str()].render(messages, case.variables.clone());
        match (&case.text, &case.refused) {
            (Some(text), _) => {
                assert_eq!(rendered.as_ref(), Ok(text), "{name}");
                texts += 1;
            }
            (_, Some(message)) if message.contains("has no attribute") => {
                assert!(rendered.unwrap_err().starts_with("the model's chat template fails: line "), "{name}");
                refusals += 1;
            }
            (_, message) => {
                let message = message.as_ref().unwrap();
                let expected = format!("the model's chat template refuses the messages: {message}");
                assert_eq!(rendered.unwrap_err(), expected, "{name}");
                refusals += 1;
            }
        }
    }
    assert!(texts >= 90 && refusals >= 15, "{texts} texts, {refusals} refusals");
}

#[test]
fn a_file_counts_more_than_the_configuration_and_tools_have_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    assert!(ChatTemplate::read(folder.path()).is_none());
    with_file(&folder, CONFIG, r#"{"bos_token": {"content": "<s>"}, "eos_token": null}"#);
    assert!(ChatTemplate::read(folder.path()).is_none());
    with_file(&folder, CONFIG, r#"{"bos_token": {"content": "<s>"}, "chat_template": "old"}"#);
    with_file(&folder, FILE, "{{ bos_token }}{{ messages[0].content }}\n");
    with_file(&folder, TOOLS_FILE, "{{ tools | length }} tools");
    let template = ChatTemplate::read(folder.path()).unwrap();
    assert_eq!(template.render(user("Hi"), Map::new()).unwrap(), "<s>Hi");
    let tools = Map::from_iter([("tools".to_owned(), json!([{ "name": "a" }, { "name": "b" }]))]);
    assert_eq!(template.render(user("Hi"), tools).unwrap(), "2 tools");
}

#[test]
fn of_several_templates_without_a_default_the_names_are_said() {
    let several =
        json!({ "chat_template": [{ "name": "rag", "template": "x" }, { "name": "tool_use", "template": "y" }] });
    let error = of_config(&several).render(user("Hi"), Map::new()).unwrap_err();
    assert!(error.contains("'rag'") && error.contains("none called 'default'"), "{error}");
}

#[test]
fn a_template_that_cannot_be_used_is_told_to_who_asks() {
    let error = render("{% if %}").unwrap_err();
    assert!(error.starts_with("the model's chat template cannot be used: line 1: "), "{error}");
    let folder = tempfile::tempdir().unwrap();
    with_file(&folder, CONFIG, "{\"chat_template\": ");
    let error = ChatTemplate::read(folder.path()).unwrap().render(user("Hi"), Map::new()).unwrap_err();
    assert!(error.contains(CONFIG), "{error}");
    let one_of_two = json!({ "chat_template": [{ "name": "default", "template": "fine" }, { "name": "tool_use", "template": "{{" }] });
    let template = of_config(&one_of_two);
    assert_eq!(template.render(user("Hi"), Map::new()).unwrap(), "fine");
    let tools = Map::from_iter([("tools".to_owned(), json!([{}]))]);
    assert!(template.render(user("Hi"), tools).unwrap_err().contains("cannot be used"));
}

#[test]
fn an_error_in_a_template_has_its_line() {
    let error = render("one\n{{ messages[0].content.nothing() }}").unwrap_err();
    assert!(error.starts_with("the model's chat template fails: line 2: "), "{error}");
    let error = render("{% macro no() %}{{ raise_exception('no ' ~ 1) }}{% endmacro %}{{ no() }}").unwrap_err();
    assert_eq!(error, "the model's chat template refuses the messages: no 1");
}

#[test]
fn a_template_without_end_is_stopped() {
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}";
    assert!(render(loops).unwrap_err().starts_with("the model's chat template fails: "));
    let recursion = "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}";
    assert!(render(recursion).unwrap_err().starts_with("the model's chat template fails: "));
}

#[test]
fn marks_around_what_the_model_writes_leave_no_trace() {
    let template = "a {%- generation -%} b {%- endgeneration %} c";
    assert_eq!(environment::without_generation(template), "a {%- if true -%} b {%- endif %} c");
    for template in ["{{ generation }}", "{% set generation = 1 %}", "{% if x == '{% y' %}", "{%", "{% generation", ""]
    {
        assert_eq!(environment::without_generation(template), template);
    }
}

#[test]
fn dates_are_written_as_python_writes_them() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    // datetime(2024, 2, 29, 13, 5, 9, tzinfo=UTC), and the first second of 2001.
    let format = "%d %b %Y|%B %A %a|%-d %y %j|%H:%M:%S %I %p|%Y-%m-%d %F %T %D %R|%u %w %e%%";
    let expected = "29 Feb 2024|February Thursday Thu|29 24 060|13:05:09 01 PM|2024-02-29 2024-02-29 13:05:09 02/29/24 13:05|4 4 29%";
    assert_eq!(time::write(at(1_709_211_909), format).unwrap(), expected);
    assert_eq!(time::write(at(978_307_200), "%d %b %Y %-d %-H %A").unwrap(), "01 Jan 2001 1 0 Monday");
    assert!(time::write(at(0), "%Q").is_err());
    assert_eq!(render("{{ strftime_now('%Y') | length }}").unwrap(), "4");
}
