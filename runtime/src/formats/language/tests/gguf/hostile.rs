//! Files that are cut, changed, or not served: a text that names the file and what is wrong, never a panic.

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use super::file;
use super::files::Written;
use crate::formats::language::compute::Processor;
use crate::formats::language::{Core, settings};

fn load(path: &Path) -> Result<Core, String> {
    Core::load(path, settings::Weights::Auto, &Processor::Host)
        .map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
}

fn failure(written: &Written) -> String {
    load(&written.written().file).err().unwrap_or_else(|| panic!("it is loaded"))
}

fn tiny() -> Written {
    Written::of(&file("llama-k"))
}

#[test]
fn every_prefix_of_a_file_is_told_to_be_cut() {
    let bytes = Written::of(&file("qwen2")).bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    // All of the header's small parts, and some of what are long lists.
    let lengths = (0..2048).chain((2048..bytes.len()).step_by(311)).chain(bytes.len() - 40..bytes.len());
    for length in lengths {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let text = load(&path).err().unwrap_or_else(|| panic!("{length} bytes are loaded"));
        assert!(text.starts_with("FILE: "), "{length}: {text}");
        assert!(text.contains("cut off"), "{length}: {text}");
    }
}

#[test]
fn a_file_with_changes_at_random_is_an_error_or_a_model() {
    let bytes = Written::of(&file("gemma3")).bytes();
    let size = bytes.len();
    // Most changes in values change nothing else, so that most are made in the header.
    let place = prop_oneof![4 => 0..2500_usize, 2 => 0..size.min(40_000), 1 => 0..size];
    let byte = prop_oneof![any::<u8>(), Just(0), Just(255), Just(1)];
    let changes = proptest::collection::vec((place, byte), 1..4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&changes, |changes| {
            let mut changed = bytes.clone();
            for (place, byte) in changes {
                changed[place % size] = byte;
            }
            std::fs::write(&path, changed).unwrap();
            if let Err(text) = load(&path) {
                prop_assert!(text.contains("FILE"), "{}", text);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_number_that_claims_much_takes_no_memory() {
    let header = |tail: &[u8]| [b"GGUF".as_slice(), &3_u32.to_le_bytes(), tail].concat();
    let huge = u64::MAX.to_le_bytes();
    let none = 0_u64.to_le_bytes();
    let one = 1_u64.to_le_bytes();
    let text = |text: &str| [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat();
    let list = |kind: u32, count: u64| {
        [&text("k")[..], &9_u32.to_le_bytes(), &kind.to_le_bytes(), &count.to_le_bytes()].concat()
    };
    let tensor = |dimensions: &[u64], at: u64| {
        let sizes: Vec<u8> = dimensions.iter().flat_map(|dimension| dimension.to_le_bytes()).collect();
        let count = (dimensions.len() as u32).to_le_bytes();
        [&text("t")[..], &count, &sizes, &0_u32.to_le_bytes(), &at.to_le_bytes()].concat()
    };
    let files = [
        header(&[&huge[..], &none].concat()),
        header(&[&none[..], &huge].concat()),
        header(&[&none[..], &one, &huge].concat()),
        header(&[&none[..], &one, &list(8, u64::MAX)].concat()),
        header(&[&none[..], &one, &list(12, 1 << 60)].concat()),
        header(&[&none[..], &one, &list(9, 1)].concat()),
        header(&[&one[..], &none, &tensor(&[1 << 40, 1 << 40], 0)].concat()),
        header(&[&one[..], &none, &tensor(&[u64::MAX], 0)].concat()),
        header(&[&one[..], &none, &tensor(&[1], u64::MAX)].concat()),
        header(&[&one[..], &none, &tensor(&[1, 1, 1, 1, 1], 0)].concat()),
        header(&[&one[..], &none, &tensor(&[1 << 62, 4, 0], 0)].concat()),
        header(&[&one[..], &none, &tensor(&[0, 1 << 62, 4], 0)].concat()),
        header(&[&one[..], &none, &tensor(&[0], 0)].concat()),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    for (number, bytes) in files.iter().enumerate() {
        std::fs::write(&path, bytes).unwrap();
        let text = load(&path).err().unwrap();
        assert!(text.starts_with("FILE: "), "{number}: {text}");
    }
    assert_eq!(
        load(&path).err().unwrap(),
        "FILE: the tensor 't': dimensions [0], expected at least one value and less than 2^64"
    );
    // All of them are there, and would take eight times as much in memory.
    let numbers = [&header(&[&none[..], &one, &list(0, 4_000_001)].concat())[..], &vec![0; 4_000_001]].concat();
    std::fs::write(&path, numbers).unwrap();
    assert_eq!(load(&path).err().unwrap(), "FILE: k: a list of 4000001 values, expected at most 4000000");
}

#[test]
fn what_is_not_served_is_told_with_what_is() {
    let with = |key: &str, value: Json| failure(&tiny().with(key, value));
    assert_eq!(
        with("general.architecture", json!("mamba")),
        "FILE: general.architecture: expected one of bloom, gemma, gemma2, gemma3, llama, phi2, phi3, qwen2, qwen3, got 'mamba'"
    );
    assert_eq!(with("general.type", json!("adapter")), "FILE: general.type: expected model, got 'adapter'");
    assert_eq!(
        with("llama.expert_count", json!(8)),
        "FILE: llama.expert_count: expected 0, mixtures of experts are not served"
    );
    assert_eq!(
        with("llama.rope.scaling.type", json!("dynamic")),
        "FILE: llama.rope.scaling.type: expected none, linear or yarn, or for phi3 longrope, got 'dynamic'"
    );
    let yarn = || tiny().with("llama.rope.scaling.type", json!("yarn"));
    assert_eq!(failure(&yarn()), "FILE: llama.rope.scaling.factor is missing");
    let yarn = || yarn().with("llama.rope.scaling.factor", json!(4.0));
    assert_eq!(failure(&yarn()), "FILE: llama.rope.scaling.original_context_length is missing");
    assert_eq!(
        failure(&yarn().with("llama.rope.scaling.yarn_log_multiplier", json!(0.1))),
        "FILE: llama.rope.scaling.yarn_log_multiplier: expected 0, got 0.1"
    );
    assert_eq!(
        with("llama.attention.head_count_kv", json!([2, 1])),
        "FILE: llama.attention.head_count_kv: expected the same number for all layers"
    );
    assert_eq!(
        with("llama.rope.dimension_count", json!(32)),
        "FILE: rope.dimension_count: expected 64, as wide as a head"
    );
    let text = with("tokenizer.ggml.model", json!("rwkv"));
    assert_eq!(
        text,
        "FILE: tokenizer.ggml.model: expected gpt2 or llama, got 'rwkv'; tokenizer.json beside the file goes before it"
    );
    let text = failure(&tiny().of_kind("blk.0.ffn_up.weight", 23));
    assert_eq!(
        text,
        "FILE: the tensor 'blk.0.ffn_up.weight': IQ4_XS, expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, \
         Q2_K, Q3_K, Q4_K, Q5_K, Q6_K"
    );
}

#[test]
fn what_does_not_fit_is_told_by_its_name() {
    let with = |key: &str, value: Json| failure(&tiny().with(key, value));
    assert_eq!(with("llama.block_count", Json::Null), "FILE: llama.block_count is missing");
    assert_eq!(with("llama.block_count", json!("two")), "FILE: llama.block_count: expected a whole number");
    assert_eq!(with("llama.embedding_length", json!(-4)), "FILE: llama.embedding_length: expected at least 0, got -4");
    assert_eq!(
        with("llama.context_length", json!(1_i64 << 40)),
        "FILE: llama.context_length: expected at most 16777216, got 1099511627776"
    );
    let text = with("llama.block_count", json!(2));
    assert_eq!(text, "FILE: the tensor 'layers.1.input_layernorm.weight' is missing");
    let text = failure(&tiny().renamed("blk.0.attn_q.weight", Some("blk.0.attn_sinks.weight")));
    assert_eq!(text, "FILE: the tensor 'layers.0.self_attn.q_proj.weight' is missing");
    let text = failure(&tiny().renamed("token_embd.weight", None));
    assert_eq!(text, "FILE: the tensor 'token_embd.weight' is missing");
    let text = with("tokenizer.ggml.scores", json!([0.5]));
    assert!(text.starts_with("FILE: tokenizer.ggml.scores: expected 440 of them, got 1"), "{text}");
    let text = with("tokenizer.ggml.tokens", json!(["a", "a"]));
    assert!(text.starts_with("FILE: tokenizer.ggml."), "{text}");
    let text = with("tokenizer.ggml.bos_token_id", json!(440));
    assert_eq!(text, "FILE: tokenizer.ggml.bos_token_id: 440 is none of the 440 tokens");
    let extra = Written::of(&file("llama")).renamed("rope_freqs.weight", Some("rope_other.weight"));
    let text = failure(&extra);
    assert_eq!(text, "FILE: the tensor 'rope_other.weight' is none of llama's with 2 layers");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    std::fs::write(&path, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    assert_eq!(load(&path).err().unwrap(), "FILE: no GGUF file: it does not begin with GGUF");
}
