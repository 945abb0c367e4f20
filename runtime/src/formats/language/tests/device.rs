//! What a device would compute: the same model code over candle's tensors, here on the CPU. A CUDA device runs other
//! kernels below the same operations, see `make gpu-test`.

use std::collections::BTreeMap;

use super::families::{self, decoder_on, go_on, together};
use super::{Answer, TOLERANCE, difference, floats, folder, scores_of};
use crate::formats::language::adapter::Adapter;
use crate::formats::language::compute::Processor;
use crate::formats::language::config::Config;
use crate::formats::language::decoder::Decoder;
use crate::formats::language::weights::{Kept, Weights};

/// The device that tests compute on: `MODELWAY_TEST_CUDA` names one by its number.
pub(super) fn device() -> Processor {
    match std::env::var("MODELWAY_TEST_CUDA") {
        Ok(number) => Processor::Device(candle_core::Device::new_cuda_with_stream(number.parse().unwrap()).unwrap()),
        Err(_) => Processor::Device(candle_core::Device::Cpu),
    }
}

fn check(name: &str, decoder: &Decoder, adapter: Option<&Adapter>, answers: &BTreeMap<String, Answer>) {
    let near = |scores: &[f32], answer: &Answer, how: &str| {
        let difference = difference(scores, &floats(&answer.logits));
        assert!(difference < TOLERANCE, "{name}, {} tokens {how}: {difference}", answer.ids.len());
    };
    let answers: BTreeMap<_, _> = answers.iter().filter(|(_, answer)| !answer.ids.is_empty()).collect();
    assert!(answers.len() >= 4, "{name} has answers");
    for answer in answers.values() {
        near(&scores_of(decoder, adapter, &answer.ids, usize::MAX), answer, "at once");
        near(&scores_of(decoder, adapter, &answer.ids, 7), answer, "in pieces");
        assert_eq!(go_on(decoder, adapter, &answer.ids, answer.generated.len()), answer.generated, "{name}");
    }
    let owned = answers.into_iter().map(|(name, answer)| (name.clone(), answer.clone())).collect();
    for (scores, answer) in together(decoder, adapter, &owned).iter().zip(owned.values()) {
        near(scores, answer, "in company");
    }
}

#[test]
fn tensors_answer_as_transformers_does_in_every_family_and_with_every_adapter() {
    let golden = families::golden();
    for (name, family) in &golden.models {
        // In the floats of the goldens: on a device products are computed in the precision of the weights.
        let kept = Kept::As(modelway_kernels::Precision::F32);
        check(name, &decoder_on(device(), name, &family.weights, kept), None, &family.answers);
    }
    for (kind, adapted) in &golden.adapters {
        let decoder = decoder_on(device(), &adapted.base, &adapted.base, Kept::AsStored);
        let adapter = Adapter::load(&families::folder(kind), &decoder).unwrap();
        check(kind, &decoder, Some(&adapter), &adapted.answers);
    }
    let config = Config::read(&folder("base")).unwrap();
    let mut weights = Weights::of_model(&folder("base")).unwrap().on(device());
    let bloom = Decoder::new(config, &mut weights, Kept::AsStored).unwrap();
    for (kind, answers) in super::golden().models {
        let adapter = (kind != "base").then(|| Adapter::load(&folder(&kind), &bloom).unwrap());
        check(&kind, &bloom, adapter.as_ref(), &answers);
    }
}

#[test]
fn a_text_that_goes_on_from_another_ones_positions_leaves_them_as_they_are() {
    let golden = families::golden();
    let (name, family) = golden.models.iter().next().unwrap();
    let decoder = decoder_on(device(), name, &family.weights, Kept::AsStored);
    let answer = family.answers.values().max_by_key(|answer| answer.ids.len()).unwrap();
    let (begin, rest) = answer.ids.split_at(answer.ids.len() / 2);
    let step = |cache: &mut _, tokens: &[u32]| {
        let new = super::New::Tokens(tokens);
        let row = super::Row { new, cache, low_rank: None, wants_scores: true };
        decoder.step(&mut [row]).unwrap().rows().next().unwrap().to_vec()
    };
    let mut first = decoder.cache_shape().empty();
    step(&mut first, begin);
    let size = first.size_bytes();
    assert_eq!(size, decoder.cache_shape().bytes(begin.len()));
    let mut second = first.fork(begin.len());
    step(&mut second, &[1, 2, 3]);
    let mut third = first.fork(begin.len());
    assert!(difference(&step(&mut first, rest), &floats(&answer.logits)) < TOLERANCE);
    assert!(difference(&step(&mut third, rest), &floats(&answer.logits)) < TOLERANCE);
}

#[test]
fn tensors_of_eight_bits_and_of_half_floats_are_nearly_the_same_model() {
    use modelway_kernels::Precision::{Bf16, F16, Int8};
    let golden = families::golden();
    for (name, family) in &golden.models {
        for (precision, share) in [(Int8, 0.2), (F16, 0.02), (Bf16, 0.2)] {
            let small = decoder_on(device(), name, &family.weights, Kept::As(precision));
            for answer in family.answers.values() {
                let theirs = floats(&answer.logits);
                let range =
                    theirs.iter().copied().fold(f32::MIN, f32::max) - theirs.iter().copied().fold(f32::MAX, f32::min);
                let difference = difference(&scores_of(&small, None, &answer.ids, usize::MAX), &theirs);
                assert!(difference < share * range, "{name}, {precision:?}: {difference} of {range}");
            }
        }
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_program_without_cuda_computes_on_the_host_unless_it_is_told_not_to() {
    use crate::model::{Device, DeviceChoice};
    let chosen = |text: &str| Processor::choose(text.parse::<DeviceChoice>().unwrap());
    for text in ["auto", "cpu"] {
        assert_eq!(chosen(text).unwrap().device(), Device::Cpu);
    }
    for (text, name) in [("cuda", "cuda:0"), ("cuda:3", "cuda:3")] {
        let error = chosen(text).unwrap_err().to_string();
        assert!(error.contains(&format!("built without CUDA, so nothing can compute on {name}")), "{error}");
    }
    for text in ["gpu", "cuda:", "cuda:x", "CPU", ""] {
        assert_eq!(text.parse::<DeviceChoice>().unwrap_err(), "expected auto, cpu, cuda or cuda:NUMBER");
    }
}
