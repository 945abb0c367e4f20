//! GGUF files against transformers, llama.cpp, and whoever means harm.

mod files;
mod hostile;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use modelway_kernels::argmax;
use serde::Deserialize;
use serde_json::{Map, json};

use self::files::Written;
use super::{Answer, TOLERANCE, difference, floats, scores, scores_of};
use crate::Catalogue;
use crate::formats::language::adapter::Adapter;
use crate::formats::language::compute::Processor;
use crate::formats::language::config::Config;
use crate::formats::language::gguf::Gguf;
use crate::formats::language::tokens::Tokens;
use crate::formats::language::{Core, LanguageFormat, settings};
use crate::formats::sklearn::SklearnFormat;
use crate::formats::{Format, ModelFiles};
use crate::model::Context;
use crate::text::{Prompt, TextEvent, TextRequest};

#[derive(Deserialize)]
struct Golden {
    models: BTreeMap<String, Model>,
    splits: BTreeMap<String, Vec<Text>>,
}

#[derive(Deserialize)]
struct Model {
    architecture: String,
    answers: BTreeMap<String, Answer>,
    tokens: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

fn file(name: &str) -> PathBuf {
    super::folder("../gguf").join(format!("{name}.gguf"))
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(super::folder("../gguf").join("golden.json")).unwrap()).unwrap()
}

fn load(path: &Path, weights: settings::Weights) -> Core {
    Core::load(path, weights, &Processor::Host).unwrap()
}

/// The greatest difference of scores, and what they range over.
fn distance(core: &Core, answer: &Answer) -> (f32, f32) {
    let theirs = floats(&answer.logits);
    let range = theirs.iter().copied().fold(f32::MIN, f32::max) - theirs.iter().copied().fold(f32::MAX, f32::min);
    (difference(&scores(core, None, &answer.ids, usize::MAX), &theirs), range)
}

#[test]
fn every_architecture_answers_as_transformers_does_of_the_same_values() {
    let golden = golden();
    for (name, model) in &golden.models {
        // Blocks of few bits mean these values, which are kept in 8 bits unless it is said otherwise.
        let core = load(&file(name), settings::Weights::F32);
        for (length, answer) in &model.answers {
            let (difference, _) = distance(&core, answer);
            assert!(difference < TOLERANCE, "{name}, {length} tokens: {difference}");
            let mut ids = answer.ids.clone();
            for token in &answer.generated {
                let next = scores_of(&core.decoder, None, &ids, 7);
                assert_eq!(argmax(&next).unwrap() as u32, *token, "{name}, {length} tokens");
                ids.push(*token);
            }
        }
    }
    let served: Vec<_> = golden.models.values().map(|model| model.architecture.as_str()).collect();
    for architecture in ["bloom", "gemma", "gemma2", "gemma3", "llama", "phi2", "phi3", "qwen2", "qwen3"] {
        assert!(served.contains(&architecture), "{architecture} is tried");
    }
}

#[test]
fn weights_are_kept_as_the_file_has_them_and_blocks_in_eight_bits() {
    let golden = golden();
    let bytes = |name: &str, weights| load(&file(name), weights).decoder.size_bytes();
    for name in ["llama", "qwen2", "llama-biases"] {
        let core = load(&file(name), settings::Weights::Auto);
        for answer in golden.models[name].answers.values() {
            assert!(distance(&core, answer).0 < TOLERANCE, "{name}");
        }
        let (auto, all) = (bytes(name, settings::Weights::Auto), bytes(name, settings::Weights::F32));
        assert_eq!(auto * 10 < all * 7, name != "llama-biases", "{name}: {auto} of {all} bytes");
    }
    for name in ["llama-blocks", "llama-k"] {
        let core = load(&file(name), settings::Weights::Auto);
        for answer in golden.models[name].answers.values() {
            let (difference, range) = distance(&core, answer);
            assert!(difference < 0.15 * range, "{name}: {difference} of {range}");
        }
        let (auto, int8) = (bytes(name, settings::Weights::Auto), bytes(name, settings::Weights::Int8));
        assert_eq!(auto, int8, "{name}");
        assert!(bytes(name, settings::Weights::F16) > auto);
    }
}

#[test]
fn texts_become_the_ids_that_the_model_was_trained_with() {
    let golden = golden();
    for (name, model) in &golden.models {
        let core = load(&file(name), settings::Weights::Auto);
        assert!(model.tokens.len() >= 12, "{name}");
        for Text { text, ids } in &model.tokens {
            assert_eq!(&core.tokens.encode(text).unwrap(), ids, "{name}: {text:?}");
            if !text.contains('<') {
                assert_eq!(&core.tokens.decode(ids).unwrap(), text, "{name}");
            }
        }
    }
}

#[test]
fn a_split_that_has_only_a_name_splits_as_llama_cpp_does() {
    let golden = golden();
    let mut different = HashSet::new();
    for (name, texts) in &golden.splits {
        let path = Written::of(&file("splits")).with("tokenizer.ggml.pre", json!(name)).written();
        let mut gguf = Gguf::open(&path.file).unwrap();
        let config = Config::of_gguf(&mut gguf).unwrap();
        let tokens = Tokens::of_gguf(&gguf, config.vocabulary).unwrap();
        for Text { text, ids } in texts {
            assert_eq!(&tokens.encode(text).unwrap(), ids, "{name}: {text:?}");
        }
        different.insert(texts.iter().map(|text| text.ids.clone()).collect::<Vec<_>>());
    }
    assert!(golden.splits.len() >= 8 && different.len() >= 6, "{} are different", different.len());
}

#[test]
fn tokens_of_control_are_not_written_and_end_texts() {
    let core = load(&file("llama"), settings::Weights::Auto);
    let id = |text: &str| *core.tokens.encode_rendered(text).unwrap().first().unwrap();
    let config = core.decoder.config();
    assert_eq!(config.ends, [id("</s>"), id("<|end|>")]);
    assert_eq!(config.context, Some(128));
    let ids = core.tokens.encode_rendered("<|user|>Hi<|end|>").unwrap();
    assert_eq!(core.tokens.decode(&ids).unwrap(), "<|user|>Hi");
}

#[test]
fn the_chat_template_is_the_files_unless_one_stands_beside_it() {
    let chat = |path: &Path| {
        let core = load(path, settings::Weights::Auto);
        let messages = vec![json!({"role": "user", "content": "Hi"})];
        core.template.unwrap().render(messages, Map::new()).unwrap()
    };
    assert_eq!(chat(&file("llama")), "<s><|user|>user: Hi<|end|><|user|>assistant:");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file("llama"), folder.path().join("some.gguf")).unwrap();
    std::fs::write(folder.path().join("chat_template.jinja"), "own").unwrap();
    assert_eq!(chat(folder.path()), "own");
}

#[test]
fn a_tokenizer_beside_the_file_goes_before_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let unknown = Written::of(&file("llama")).with("tokenizer.ggml.pre", json!("nobody-knows"));
    std::fs::copy(unknown.written().file, folder.path().join("some.gguf")).unwrap();
    let error = Core::load(folder.path(), settings::Weights::Auto, &Processor::Host).err().unwrap().to_string();
    assert!(error.contains("tokenizer.ggml.pre: expected one of gpt-2, phi-2,"), "{error}");
    assert!(error.ends_with("got 'nobody-knows'; put the model's tokenizer.json beside the file"), "{error}");
    std::fs::copy(super::folder("base/tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let core = load(folder.path(), settings::Weights::Auto);
    let ids = super::core().tokens.encode("Every day").unwrap();
    assert_eq!(core.tokens.encode("Every day").unwrap(), ids);
}

#[test]
fn a_model_in_several_files_is_that_model_and_none_if_one_is_missing() {
    let golden = golden();
    let folder = Written::of(&file("qwen2")).in_parts(3);
    let first = folder.path().join("tiny-00001-of-00003.gguf");
    for path in [folder.path(), &first] {
        let core = load(path, settings::Weights::Auto);
        for answer in golden.models["qwen2"].answers.values() {
            assert!(distance(&core, answer).0 < TOLERANCE);
        }
    }
    let last = folder.path().join("tiny-00003-of-00003.gguf");
    let error = Core::load(&last, settings::Weights::Auto, &Processor::Host).err().unwrap().to_string();
    assert!(error.ends_with("it is not the first of its files; name that one"), "{error}");
    std::fs::remove_file(&last).unwrap();
    let error = Core::load(folder.path(), settings::Weights::Auto, &Processor::Host).err().unwrap().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", last.display())), "{error}");
}

#[test]
fn an_adapter_changes_a_base_that_is_a_file_as_it_does_elsewhere() {
    // The same weights as safetensors have them, and the adapter that was made for these.
    let families = super::folder("../families");
    let folder = Written::of_safetensors(&families.join("llama"), "llama");
    let core = load(&folder.file, settings::Weights::Auto);
    let adapter = Adapter::load(&families.join("llama-lora"), &core.decoder).unwrap();
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(families.join("golden.json")).unwrap()).unwrap();
    let answers = golden["adapters"]["llama-lora"]["answers"].clone();
    let answers: BTreeMap<String, Answer> = serde_json::from_value(answers).unwrap();
    for answer in answers.values() {
        let ours = scores_of(&core.decoder, Some(&adapter), &answer.ids, usize::MAX);
        assert!(difference(&ours, &floats(&answer.logits)) < TOLERANCE);
    }
    assert!(answers.len() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_a_model_by_its_ending_in_a_folder_and_where_settings_name_it() {
    let golden = golden();
    let models = tempfile::tempdir().unwrap();
    let at = |path: &str| {
        let path = models.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    std::fs::copy(file("qwen2"), at("bare.gguf")).unwrap();
    std::fs::copy(file("qwen2"), at("folder/any-name.gguf")).unwrap();
    std::fs::write(at("folder/mmproj-F16.gguf"), "").unwrap();
    std::fs::write(at("folder/README.md"), "").unwrap();
    std::fs::copy(file("qwen2"), at("blob/sha256-0123")).unwrap();
    let settings = json!({
        "name": "blob", "implementation": "mlserver_huggingface.HuggingFaceRuntime",
        "parameters": {"uri": "sha256-0123", "extra": {"weights": "f32"}},
    });
    std::fs::write(at("blob/model-settings.json"), settings.to_string()).unwrap();
    std::fs::copy(file("qwen2"), at("two/a.gguf")).unwrap();
    std::fs::copy(file("qwen2"), at("two/b.gguf")).unwrap();
    let catalogue = Catalogue::scan(models.path(), vec![Arc::new(LanguageFormat::default())]).unwrap();
    assert_eq!(catalogue.names(), ["bare", "blob", "folder", "two"]);
    let answer = &golden.models["qwen2"].answers["5"];
    for name in ["bare", "folder", "blob"] {
        let loaded = catalogue.find(name, None).await.unwrap();
        let model = loaded.model().clone().text().unwrap();
        let request = TextRequest {
            max_new_tokens: Some(answer.generated.len()),
            ignore_end: true,
            ..TextRequest::new(Prompt::Tokens(answer.ids.clone()))
        };
        let events: Vec<_> = model.generate(request, Context::default()).collect().await;
        let tokens: Vec<u32> = events
            .into_iter()
            .filter_map(|event| match event.unwrap() {
                TextEvent::Token(piece) => Some(piece.token),
                _ => None,
            })
            .collect();
        assert_eq!(tokens, answer.generated, "{name}");
    }
    let error = catalogue.find("two", None).await.err().unwrap();
    assert!(error.message().contains("two has 2 model files, expected one"), "{}", error.message());
}

#[test]
fn yarn_in_a_file_is_what_config_json_says_elsewhere() {
    let families = super::folder("../families");
    let folder = tempfile::tempdir().unwrap();
    for (family, name) in [("qwen3-yarn", "config.json"), ("qwen3", "model.safetensors")] {
        std::fs::copy(families.join(family).join(name), folder.path().join(name)).unwrap();
    }
    let written = Written::of_safetensors(folder.path(), "qwen3");
    let core = load(&written.file, settings::Weights::Auto);
    assert_eq!(core.decoder.config().positions, Config::read(folder.path()).unwrap().positions);
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(families.join("golden.json")).unwrap()).unwrap();
    let answers: BTreeMap<String, Answer> =
        serde_json::from_value(golden["models"]["qwen3-yarn"]["answers"].clone()).unwrap();
    assert!(answers.len() >= 4);
    for answer in answers.values() {
        assert!(distance(&core, answer).0 < TOLERANCE);
    }
}

#[tokio::test]
async fn a_file_of_another_format_goes_before_one_that_stands_beside_it() {
    let models = folder_of(&[
        ("svc/model.joblib", "noise"),
        ("svc/any.gguf", ""),
        ("named/svc.pkl", "noise"),
        ("named/model.gguf", ""),
        ("two/svc.pkl", "noise"),
        ("two/a.gguf", ""),
        ("two/b.gguf", ""),
        ("told/model.joblib", "noise"),
        ("told/model-settings.json", r#"{"implementation": "mlserver_huggingface.HuggingFaceRuntime"}"#),
        ("told/any.gguf", "noise"),
    ]);
    let formats: Vec<Arc<dyn Format>> = vec![Arc::new(LanguageFormat::default()), Arc::<SklearnFormat>::default()];
    let catalogue = Catalogue::scan(models.path(), formats).unwrap();
    let files =
        [("svc", "svc/model.joblib"), ("named", "named/svc.pkl"), ("two", "two/svc.pkl"), ("told", "told/any.gguf")];
    for (name, file) in files {
        let error = catalogue.find(name, None).await.err().unwrap();
        assert!(error.message().contains(&format!("{}: ", models.path().join(file).display())), "{}", error.message());
    }
}

#[tokio::test]
async fn one_of_several_files_is_a_model_in_a_folder_only() {
    let uri = r#"{"implementation": "huggingface", "parameters": {"uri": "parts/a-00001-of-00002.gguf"}}"#;
    let models = folder_of(&[
        ("bare-00001-of-00002.gguf", ""),
        ("bare-00002-of-00002.gguf", ""),
        ("uri/model-settings.json", uri),
        ("uri/parts/a-00001-of-00002.gguf", ""),
        ("uri/parts/a-00002-of-00002.gguf", ""),
    ]);
    let catalogue = Catalogue::scan(models.path(), vec![Arc::new(LanguageFormat::default())]).unwrap();
    assert_eq!(catalogue.names(), ["bare-00001-of-00002", "uri"]);
    for (name, stem) in [("bare-00001-of-00002", "bare"), ("uri", "a")] {
        let error = catalogue.find(name, None).await.err().unwrap();
        let expected =
            format!("is one of 2 files: put all of them, and no other model, into a folder such as {stem}, ");
        assert!(error.message().contains(&expected), "{}", error.message());
    }
    let whole = Written::of(&file("qwen2")).in_parts(2);
    let format = LanguageFormat::default();
    format.load(&ModelFiles { path: whole.path().to_owned(), ..ModelFiles::default() }).unwrap();
    // Nor as the base of another.
    let named = json!({"pretrained_model_path": whole.path().join("tiny-00001-of-00002.gguf")});
    let parameters = Some(Arc::new(named.as_object().unwrap().clone()));
    let path = super::folder("../families/llama-lora");
    let error = format.load(&ModelFiles { path, parameters, ..ModelFiles::default() }).err().unwrap().to_string();
    assert!(error.contains("tiny-00001-of-00002.gguf is one of 2 files"), "{error}");
}

fn folder_of(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn a_file_is_the_base_of_an_adapter_by_its_path() {
    let base = Written::of_safetensors(&super::folder("../families/llama"), "llama");
    let named = json!({"pretrained_model_path": base.file});
    let parameters = Some(Arc::new(named.as_object().unwrap().clone()));
    let format = LanguageFormat::default();
    let adapter = ModelFiles { path: super::folder("../families/llama-lora"), parameters, ..ModelFiles::default() };
    let (model, base) =
        (format.load(&adapter).unwrap(), ModelFiles { path: base.file.clone(), ..ModelFiles::default() });
    let base = format.load(&base).unwrap();
    assert!(Arc::ptr_eq(&model.shared().unwrap(), &base.shared().unwrap()));
}

#[test]
fn room_is_made_for_what_a_file_of_few_bits_takes_in_memory() {
    let format = LanguageFormat::default();
    let expected = |name: &str, weights: Option<&str>| {
        let parameters = weights.map(|weights| Arc::new(json!({"weights": weights}).as_object().unwrap().clone()));
        let files = ModelFiles { path: name.into(), parameters, ..ModelFiles::default() };
        format.expected_bytes(&files, 9_600)
    };
    assert_eq!(expected("nowhere/llama-Q4_K_M.gguf", None), 17_000);
    assert_eq!(expected("nowhere/llama-Q4_K_M.gguf", Some("f16")), 32_000);
    assert_eq!(expected("nowhere/llama-F16.gguf", None), 9_600);
    assert_eq!(expected("nowhere/llama.gguf", None), 9_600);
    assert_eq!(expected("nowhere", None), 9_600);
    let files = [("config.json", "{}"), ("model.safetensors", ""), ("llama-Q4_K_M.gguf", "")];
    let both = folder_of(&files);
    assert_eq!(expected(both.path().to_str().unwrap(), None), 9_600);
    let one = folder_of(&files[2..]);
    assert_eq!(expected(one.path().to_str().unwrap(), None), 17_000);
}
