//! What transformers and PEFT answer, answered here: ids exactly, logits within 1e-4.

mod chat;
mod device;
mod embeddings;
mod families;
mod gguf;
mod serving;

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use serde::Deserialize;

use super::adapter::Adapter;
use super::compute::Processor;
use super::decoder::{Decoder, New, Row};
use super::{Core, settings};

#[derive(Deserialize)]
pub(super) struct Golden {
    eos_token_id: u32,
    pub(super) max_new_tokens: usize,
    pub(super) models: BTreeMap<String, BTreeMap<String, Answer>>,
}

#[derive(Clone, Deserialize)]
pub(super) struct Answer {
    ids: Vec<u32>,
    pub(super) generated: Vec<u32>,
    logits: String,
    #[serde(default)]
    text: String,
}

const TOLERANCE: f32 = 1e-4;

pub(super) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/language").join(name)
}

pub(super) fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(folder("golden.json")).unwrap()).unwrap()
}

fn core() -> Core {
    Core::load(&folder("base"), settings::Weights::Auto, &Processor::Host).unwrap()
}

fn adapter(core: &Core, kind: &str) -> Option<Adapter> {
    (kind != "base").then(|| Adapter::load(&folder(kind), &core.decoder).unwrap())
}

fn floats(text: &str) -> Vec<f32> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max)
}

/// The scores behind a prompt that is read in pieces of this length.
fn scores(core: &Core, adapter: Option<&Adapter>, ids: &[u32], piece: usize) -> Vec<f32> {
    scores_of(&core.decoder, adapter, ids, piece)
}

fn scores_of(decoder: &Decoder, adapter: Option<&Adapter>, ids: &[u32], piece: usize) -> Vec<f32> {
    if ids.is_empty() {
        return adapter.unwrap().first_scores().unwrap().to_vec();
    }
    let mut cache = match adapter {
        Some(adapter) => adapter.cache(decoder),
        None => decoder.cache_shape().empty(),
    };
    let mut last = Vec::new();
    for piece in ids.chunks(piece) {
        let low_rank = adapter.and_then(Adapter::low_rank);
        let row = Row { new: New::Tokens(piece), cache: &mut cache, low_rank, wants_scores: true };
        last = decoder.step(&mut [row]).unwrap().rows().next().unwrap().to_vec();
    }
    last
}

#[test]
fn texts_become_the_ids_that_the_tokenizer_of_transformers_gives() {
    let (golden, core) = (golden(), core());
    for answer in golden.models.values().flatten().map(|(_, answer)| answer) {
        let text = core.tokens.decode(&[answer.ids.clone(), answer.generated.clone()].concat()).unwrap();
        assert_eq!(text, answer.text);
        assert_eq!(core.tokens.encode(&core.tokens.decode(&answer.ids).unwrap()).unwrap(), answer.ids);
    }
}

#[test]
fn logits_are_those_of_transformers_and_peft() {
    let (golden, core) = (golden(), core());
    let mut count = 0;
    for (kind, answers) in &golden.models {
        let adapter = adapter(&core, kind);
        for (name, answer) in answers {
            let ours = scores(&core, adapter.as_ref(), &answer.ids, usize::MAX);
            let difference = difference(&ours, &floats(&answer.logits));
            assert!(difference < TOLERANCE, "{kind}, {name}: {difference}");
            count += 1;
        }
    }
    assert!(count >= 37, "{count} answers");
}

#[test]
fn a_prompt_read_in_pieces_has_the_same_scores_to_the_bit() {
    let (golden, core) = (golden(), core());
    for (kind, answers) in &golden.models {
        let adapter = adapter(&core, kind);
        for answer in answers.values() {
            let whole = scores(&core, adapter.as_ref(), &answer.ids, usize::MAX);
            for piece in [1, 7, 16, 33] {
                assert_eq!(scores(&core, adapter.as_ref(), &answer.ids, piece), whole, "{kind}, pieces of {piece}");
            }
        }
    }
}

#[test]
fn without_its_adapter_a_model_says_something_else() {
    let golden = golden();
    let base = &golden.models["base"];
    for (kind, answers) in golden.models.iter().filter(|(kind, _)| *kind != "base") {
        let differs = |name: &&str| answers[*name].generated != base[*name].generated;
        assert!(["short", "one", "emoji"].iter().all(differs), "{kind} changes nothing");
    }
}

#[test]
fn weights_in_half_floats_in_several_files_or_in_torchs_own_are_the_same_model() {
    let golden = golden();
    let with = |files: &[&str], kept| {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder("base").join("tokenizer.json"), copy.path().join("tokenizer.json")).unwrap();
        for name in files {
            std::fs::copy(folder("variants").join(name), copy.path().join(name)).unwrap();
        }
        Core::load(copy.path(), kept, &Processor::Host).unwrap()
    };
    let index = "model.safetensors.index.json";
    let files = ["config.json", index, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let indexed = with(&files, settings::Weights::Auto);
    let torch = with(&["config.json", "pytorch_model.bin"], settings::Weights::F16);
    for answer in golden.models["base"].values() {
        let ours = scores(&torch, None, &answer.ids, usize::MAX);
        assert_eq!(scores(&indexed, None, &answer.ids, usize::MAX), ours);
        assert!(difference(&ours, &floats(&answer.logits)) < 0.05);
    }
}

#[test]
fn weights_in_eight_bits_are_nearly_the_same_model() {
    let golden = golden();
    let small = Core::load(&folder("base"), settings::Weights::Int8, &Processor::Host).unwrap();
    let whole = core();
    assert!(small.decoder.size_bytes() * 2 < whole.decoder.size_bytes());
    for answer in golden.models["base"].values() {
        let theirs = floats(&answer.logits);
        let range = theirs.iter().copied().fold(f32::MIN, f32::max) - theirs.iter().copied().fold(f32::MAX, f32::min);
        let difference = difference(&scores(&small, None, &answer.ids, usize::MAX), &theirs);
        assert!(difference < 0.1 * range, "{difference} of {range}");
    }
}

#[test]
fn files_that_do_not_fit_are_named_with_what_does_not_fit() {
    let whole = folder("base");
    let failure = |change: &dyn Fn(&std::path::Path)| {
        let copy = tempfile::tempdir().unwrap();
        for name in ["config.json", "model.safetensors", "tokenizer.json"] {
            std::fs::copy(whole.join(name), copy.path().join(name)).unwrap();
        }
        change(copy.path());
        let error = Core::load(copy.path(), settings::Weights::Auto, &Processor::Host).err().unwrap().to_string();
        error.replace(&copy.path().display().to_string(), "MODEL")
    };
    let rewrite = |path: PathBuf, from: &str, to: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    };

    let size = std::fs::metadata(whole.join("model.safetensors")).unwrap().len();
    let cut = |length: u64| {
        failure(&|copy| {
            let file = std::fs::File::options().write(true).open(copy.join("model.safetensors")).unwrap();
            file.set_len(length).unwrap();
        })
    };
    let expected =
        format!("MODEL/model.safetensors: the file is cut off: it has {} bytes, its header tells of {size}", size - 1);
    assert_eq!(cut(size - 1), expected);
    for length in [0, 4, 100] {
        assert!(cut(length).starts_with("MODEL/model.safetensors: the file is cut off: it has"), "{}", cut(length));
    }
    let text = failure(&|copy| rewrite(copy.join("config.json"), "\"vocab_size\": 320", "\"vocab_size\": 300"));
    assert_eq!(text, "MODEL/tokenizer.json: its ids go to 319, the model's vocab_size is 300: it is another model's");
    let text = failure(&|copy| rewrite(copy.join("config.json"), "\"n_layer\": 3", "\"n_layer\": 4"));
    assert!(text.starts_with("MODEL/model.safetensors: the tensor 'h.3."), "{text}");
    let text = failure(&|copy| rewrite(copy.join("config.json"), "\"n_layer\": 3", "\"n_layer\": 2"));
    assert!(text.contains("is none of bloom's with 2 layers"), "{text}");
    let text = failure(&|copy| std::fs::remove_file(copy.join("tokenizer.json")).unwrap());
    assert!(text.starts_with("cannot read MODEL/tokenizer.json: "), "{text}");
}

#[test]
fn an_adapter_that_does_not_fit_its_base_is_refused_with_what_does_not_fit() {
    let core = core();
    let failure = |kind: &str, file: &str, from: &str, to: &str| {
        let copy = tempfile::tempdir().unwrap();
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            std::fs::copy(folder(kind).join(name), copy.path().join(name)).unwrap();
        }
        let path = copy.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Adapter::load(copy.path(), &core.decoder).err().unwrap().to_string();
        error.replace(&copy.path().display().to_string(), "ADAPTER")
    };
    let config = "adapter_config.json";
    let text = failure("prompt-tuning", config, "\"num_virtual_tokens\": 8", "\"num_virtual_tokens\": 9");
    assert_eq!(
        text,
        "ADAPTER/adapter_model.safetensors: the tensor 'prompt_embeddings' has the shape [8, 48], expected [9, 48]"
    );
    let text = failure("prompt-tuning", config, "PROMPT_TUNING", "ADALORA");
    assert!(text.starts_with("ADAPTER/adapter_config.json: peft_type: expected PROMPT_TUNING,"), "{text}");
}
