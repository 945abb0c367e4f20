//! Every family with what transformers and PEFT answer: logits within 1e-4, and the same ids.
//!
//! By ids alone: the fixtures have no tokenizer.

use std::collections::BTreeMap;
use std::path::PathBuf;

use modelway_kernels::argmax;
use serde::Deserialize;
use serde_json::json;

use super::{Answer, TOLERANCE, difference, floats, scores_of};
use crate::formats::language::adapter::Adapter;
use crate::formats::language::compute::Processor;
use crate::formats::language::config::Config;
use crate::formats::language::decoder::{Decoder, New, Row};
use crate::formats::language::weights::{Kept, Weights};

#[derive(Deserialize)]
pub(super) struct Golden {
    pub(super) models: BTreeMap<String, Family>,
    pub(super) adapters: BTreeMap<String, Adapted>,
}

#[derive(Deserialize)]
pub(super) struct Family {
    /// The folder whose weights it has.
    pub(super) weights: String,
    pub(super) answers: BTreeMap<String, Answer>,
}

#[derive(Deserialize)]
pub(super) struct Adapted {
    pub(super) base: String,
    pub(super) answers: BTreeMap<String, Answer>,
}

pub(super) fn folder(name: &str) -> PathBuf {
    super::folder("../families").join(name)
}

pub(super) fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(folder("golden.json")).unwrap()).unwrap()
}

fn decoder(name: &str, weights: &str) -> Decoder {
    decoder_on(Processor::Host, name, weights, Kept::AsStored)
}

pub(super) fn decoder_on(processor: Processor, name: &str, weights: &str, kept: Kept) -> Decoder {
    let config = Config::read(&folder(name)).unwrap();
    let mut weights = Weights::of_model(&folder(weights)).unwrap().on(processor);
    Decoder::new(config, &mut weights, kept).unwrap()
}

/// What follows greedily, position by position behind a prompt that is read at once.
pub(super) fn go_on(decoder: &Decoder, adapter: Option<&Adapter>, ids: &[u32], count: usize) -> Vec<u32> {
    let mut cache = adapter.map_or_else(|| decoder.cache_shape().empty(), |adapter| adapter.cache(decoder));
    let mut new = ids.to_vec();
    let mut said = Vec::new();
    while said.len() < count {
        let low_rank = adapter.and_then(Adapter::low_rank);
        let row = Row { new: New::Tokens(&new), cache: &mut cache, low_rank, wants_scores: true };
        let scores = decoder.step(&mut [row]).unwrap();
        let token = argmax(scores.rows().next().unwrap()).unwrap() as u32;
        said.push(token);
        new = vec![token];
    }
    said
}

/// The last scores of all texts in one step.
pub(super) fn together(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    answers: &BTreeMap<String, Answer>,
) -> Vec<Vec<f32>> {
    let empty = || adapter.map_or_else(|| decoder.cache_shape().empty(), |adapter| adapter.cache(decoder));
    let mut caches: Vec<_> = answers.iter().map(|_| empty()).collect();
    let low_rank = adapter.and_then(Adapter::low_rank);
    let mut rows: Vec<Row<'_>> = answers
        .values()
        .zip(&mut caches)
        .map(|(answer, cache)| Row { new: New::Tokens(&answer.ids), cache, low_rank, wants_scores: true })
        .collect();
    let scores = decoder.step(&mut rows).unwrap();
    scores.rows().map(<[f32]>::to_vec).collect()
}

fn check(name: &str, decoder: &Decoder, adapter: Option<&Adapter>, answers: &BTreeMap<String, Answer>) {
    assert!(answers.len() >= 4, "{name} has answers");
    let in_company = together(decoder, adapter, answers);
    for (answer, in_company) in answers.values().zip(in_company) {
        let length = answer.ids.len();
        let whole = scores_of(decoder, adapter, &answer.ids, usize::MAX);
        let difference = difference(&whole, &floats(&answer.logits));
        assert!(difference < TOLERANCE, "{name}, {length} tokens: {difference}");
        assert_eq!(go_on(decoder, adapter, &answer.ids, answer.generated.len()), answer.generated, "{name}, {length}");
        for piece in [1, 7, 16] {
            assert_eq!(scores_of(decoder, adapter, &answer.ids, piece), whole, "{name}, {length} in pieces of {piece}");
        }
        assert_eq!(in_company, whole, "{name}, {length} in company");
    }
}

#[test]
fn every_family_answers_as_transformers_does_whole_in_pieces_and_in_company() {
    let golden = golden();
    for (name, family) in &golden.models {
        check(name, &decoder(name, &family.weights), None, &family.answers);
    }
    assert!(golden.models.len() >= 18);
}

#[test]
fn adapters_of_llama_answer_as_peft_does_whole_in_pieces_and_in_company() {
    let golden = golden();
    for (kind, adapted) in &golden.adapters {
        let decoder = decoder(&adapted.base, &adapted.base);
        let adapter = Adapter::load(&folder(kind), &decoder).unwrap();
        check(kind, &decoder, Some(&adapter), &adapted.answers);
    }
    assert!(golden.adapters.len() >= 3);
}

#[test]
fn an_option_or_an_adapter_says_something_else_than_its_weights_alone() {
    let golden = golden();
    let said = |answers: &BTreeMap<String, Answer>| -> Vec<Vec<u32>> {
        answers.values().map(|answer| answer.generated.clone()).collect()
    };
    for (name, family) in golden.models.iter().filter(|(name, family)| **name != family.weights) {
        assert_ne!(said(&family.answers), said(&golden.models[&family.weights].answers), "{name} changes nothing");
    }
    for (kind, adapted) in &golden.adapters {
        assert_ne!(said(&adapted.answers), said(&golden.models[&adapted.base].answers), "{kind} changes nothing");
    }
}

#[test]
fn what_a_configuration_says_is_seen_in_the_scores() {
    let golden = golden();
    let windowed = |kinds: [&str; 2]| json!(kinds.map(|kind| format!("{kind}_attention")));
    let gemma3 = json!({
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 150.0},
    });
    let changes = [
        ("llama", "rope_parameters", json!({"rope_theta": 15_000.0})),
        ("llama-biases", "hidden_act", json!("gelu_new")),
        ("llama-llama3", "rope_parameters", json!({"rope_theta": 100.0})),
        ("mistral", "sliding_window", json!(7)),
        ("qwen2-window", "max_window_layers", json!(0)),
        ("qwen2-window", "layer_types", windowed(["sliding", "full"])),
        ("gemma", "hidden_act", json!("silu")),
        ("gemma2", "attn_logit_softcapping", json!(null)),
        ("gemma2", "final_logit_softcapping", json!(null)),
        ("gemma2", "query_pre_attn_scalar", json!(12)),
        ("gemma2", "layer_types", windowed(["full", "sliding"])),
        ("gemma3", "rope_parameters", gemma3),
        ("gemma3", "query_pre_attn_scalar", json!(12)),
        ("gemma3", "sliding_window", json!(7)),
        ("phi3", "sliding_window", json!(null)),
        ("phi3-longrope", "max_position_embeddings", json!(64)),
        ("phi", "rope_parameters", json!({"partial_rotary_factor": 0.25})),
        (
            "qwen3-yarn",
            "rope_parameters",
            json!({"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0,
            "original_max_position_embeddings": 64, "beta_fast": 4.0, "attention_factor": 1.0}),
        ),
    ];
    for (name, member, value) in changes {
        let family = &golden.models[name];
        let copy = tempfile::tempdir().unwrap();
        let text = std::fs::read(folder(name).join("config.json")).unwrap();
        let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
        if member == "max_window_layers" {
            config["layer_types"] = json!(null);
        }
        assert_ne!(config[member], value, "{name}: {member}");
        config[member] = value;
        std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
        let config = Config::read(copy.path()).unwrap();
        let mut weights = Weights::of_model(&folder(&family.weights)).unwrap();
        let changed = Decoder::new(config, &mut weights, Kept::AsStored).unwrap();
        let answer = &family.answers["40"];
        let difference = difference(&scores_of(&changed, None, &answer.ids, usize::MAX), &floats(&answer.logits));
        assert!(difference > 5.0 * TOLERANCE, "{name}: {member} changes scores by {difference} only");
    }
}

#[test]
fn weights_in_eight_bits_are_nearly_the_same_model_in_every_family() {
    for (name, family) in &golden().models {
        let config = Config::read(&folder(name)).unwrap();
        let mut weights = Weights::of_model(&folder(&family.weights)).unwrap();
        let kept = Kept::As(modelway_kernels::Precision::Int8);
        let small = Decoder::new(config, &mut weights, kept).unwrap();
        for answer in family.answers.values() {
            let theirs = floats(&answer.logits);
            let range =
                theirs.iter().copied().fold(f32::MIN, f32::max) - theirs.iter().copied().fold(f32::MAX, f32::min);
            let difference = difference(&scores_of(&small, None, &answer.ids, usize::MAX), &theirs);
            assert!(difference < 0.2 * range, "{name}: {difference} of {range}");
        }
    }
}
