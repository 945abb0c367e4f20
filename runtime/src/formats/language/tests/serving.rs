//! Texts in company: what one is answered does not depend on who else asks, or when.

use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};

use super::{Golden, folder, golden};
use crate::error::ErrorKind;
use crate::formats::language::LanguageFormat;
use crate::formats::language::base::Bases;
use crate::formats::{Format, ModelFiles};
use crate::message::InferRequest;
use crate::model::{Context, Model};
use crate::parameter::{Parameter, Parameters};
use crate::tensor::{Tensor, TensorData};
use crate::text::{Finish, Prompt, Sampling, TextEvent, TextModel, TextRequest};

fn load(format: &LanguageFormat, name: &str, settings: serde_json::Value) -> Arc<dyn Model> {
    let serde_json::Value::Object(mut parameters) = settings else { panic!("{settings}") };
    parameters.insert("pretrained_model_path".to_owned(), "base".into());
    let parameters = Some(Arc::new(parameters));
    format.load(&ModelFiles { path: folder(name), parameters, ..ModelFiles::default() }).unwrap()
}

fn models(format: &LanguageFormat, golden: &Golden, settings: &serde_json::Value) -> Vec<(String, Arc<dyn Model>)> {
    golden.models.keys().map(|kind| (kind.clone(), load(format, kind, settings.clone()))).collect()
}

fn text_of(model: &Arc<dyn Model>) -> Arc<dyn TextModel> {
    model.clone().text().unwrap()
}

/// The tokens and the text that a model goes on with, and why it ended.
async fn go_on(model: Arc<dyn TextModel>, request: TextRequest) -> (Vec<u32>, String, Finish) {
    let mut events = model.generate(request, Context::default());
    let (mut tokens, mut text) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        match event.unwrap() {
            TextEvent::Begun { .. } => {}
            TextEvent::Token(piece) => {
                tokens.push(piece.token);
                text.push_str(&piece.text);
            }
            TextEvent::Ended { reason, text: rest, new_tokens } => {
                assert_eq!(new_tokens, tokens.len());
                return (tokens, text + &rest, reason);
            }
        }
    }
    panic!("the stream ended without an end")
}

fn request(tokens: &[u32], golden: &Golden) -> TextRequest {
    TextRequest { max_new_tokens: Some(golden.max_new_tokens), ..TextRequest::new(Prompt::Tokens(tokens.to_vec())) }
}

/// Every golden text of every adapter at once, several times over.
async fn all_at_once(format: LanguageFormat, settings: serde_json::Value) {
    let golden = golden();
    let eos = serde_json::json!({ "eos_token_id": golden.eos_token_id });
    let mut settings = settings;
    settings.as_object_mut().unwrap().extend(eos.as_object().unwrap().clone());
    let models = models(&format, &golden, &settings);
    let asked = (0..4).flat_map(|_| &models).flat_map(|(kind, model)| {
        golden.models[kind].iter().map(move |(name, answer)| (kind, name, answer, text_of(model)))
    });
    let answers = join_all(asked.map(|(kind, name, answer, model)| {
        let request = request(&answer.ids, &golden);
        async move {
            let (tokens, ..) = go_on(model, request).await;
            assert_eq!(tokens, answer.generated, "{kind}, {name}");
        }
    }));
    assert!(answers.await.len() > 140);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_all_adapters_at_once_go_on_as_in_transformers() {
    all_at_once(LanguageFormat::default(), serde_json::json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_do_so_where_there_is_room_for_hardly_one_and_others_give_way() {
    // A position takes 1,728 bytes in blocks of 16: room for twelve blocks, the longest text needs ten.
    let settings = serde_json::json!({ "cache_bytes": 12 * 16 * 3 * 2 * 6 * 16 * 4, "max_step_tokens": 24 });
    all_at_once(LanguageFormat::default(), settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_on_a_device_do_so_where_there_is_room_for_two() {
    let format = LanguageFormat { bases: Bases::on(super::device::device()), ..LanguageFormat::default() };
    // There are blocks of 64 positions: the longest text needs three, and there is room for seven.
    let settings = serde_json::json!({ "cache_bytes": 7 * 64 * 3 * 2 * 6 * 16 * 4, "max_step_tokens": 24 });
    all_at_once(format, settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_one_base_share_its_memory() {
    let format = LanguageFormat::default();
    let none = serde_json::json!({});
    let (one, other) = (load(&format, "prompt-tuning", none.clone()), load(&format, "lora", none.clone()));
    let base = load(&format, "base", none.clone());
    let shared = one.shared().unwrap();
    assert!(Arc::ptr_eq(&shared, &other.shared().unwrap()) && Arc::ptr_eq(&shared, &base.shared().unwrap()));
    assert!(shared.bytes() > 300_000 && one.size_bytes() < 100_000 && base.size_bytes() < 10_000);
    drop((one, other, base));
    assert_eq!(Arc::strong_count(&shared), 1);
    assert!(!Arc::ptr_eq(&shared, &load(&format, "base", none).shared().unwrap()));
}

fn tensor_request(texts: &[&str], parameters: Parameters) -> InferRequest {
    let values = texts.iter().map(|text| bytes::Bytes::from(text.to_string())).collect();
    let input = Tensor::new("content", vec![texts.len()], TensorData::Bytes(values)).unwrap();
    InferRequest { inputs: vec![input], parameters, ..InferRequest::default() }
}

async fn answers(model: &Arc<dyn Model>, request: InferRequest) -> Result<Vec<Vec<String>>, crate::Error> {
    let responses: Vec<_> = model.clone().infer(request, Context::default()).collect().await;
    let texts = |response: crate::InferResponse| match response.outputs[0].data() {
        TensorData::Bytes(values) => values.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect(),
        other => panic!("{other:?}"),
    };
    responses.into_iter().map(|response| response.map(texts)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_the_example_has_the_answer_of_the_example() {
    let golden = golden();
    let format = LanguageFormat::default();
    let settings = serde_json::json!({ "dataset_text_column_name": "Tweet text" });
    let model = load(&format, "prompt-tuning", settings);
    let answer = &golden.models["prompt-tuning"]["tweet"];
    let tweet = answer.text.split_once(" : ").unwrap().1.split_once(" Label : ").unwrap().0;
    let answered = answers(&model, tensor_request(&[tweet, tweet], Parameters::new())).await.unwrap();
    assert_eq!(answered, [[answer.text.clone(), answer.text.clone()]]);
    let base = load(&format, "base", serde_json::json!({ "dataset_text_column_name": "Tweet text" }));
    let without = answers(&base, tensor_request(&[tweet], Parameters::new())).await.unwrap();
    assert_ne!(without[0][0], answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_streams_as_tensors_that_together_are_the_answer() {
    let format = LanguageFormat::default();
    let model = load(&format, "base", serde_json::json!({ "return_full_text": false }));
    let whole = answers(&model, tensor_request(&["Hi"], Parameters::new())).await.unwrap();
    let stream = Parameters::from([("stream".to_owned(), Parameter::Bool(true))]);
    let pieces = answers(&model, tensor_request(&["Hi"], stream)).await.unwrap();
    assert!(pieces.len() > 1);
    assert_eq!(pieces.concat().concat(), whole[0][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
    let format = LanguageFormat::default();
    let model = text_of(&load(&format, "prompt-tuning", serde_json::json!({ "context_length": 40 })));
    let of_length = |length: usize| TextRequest::new(Prompt::Tokens(vec![30; length]));
    let (tokens, _, reason) = go_on(model.clone(), TextRequest { ignore_end: true, ..of_length(31) }).await;
    assert_eq!((tokens.len(), reason), (1, Finish::Length));
    let error = model.generate(of_length(32), Context::default()).next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let text = "the prompt has 32 tokens and the adapter 8, the model has room for 40 with at least one new token";
    assert_eq!(error.message(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_ends_before_a_stop_text_and_at_the_token_that_ends_texts() {
    let golden = golden();
    let format = LanguageFormat::default();
    let model =
        load(&format, "base", serde_json::json!({ "eos_token_id": golden.models["base"]["tweet"].generated[2] }));
    let answer = &golden.models["base"]["tweet"];
    let (tokens, _, reason) = go_on(text_of(&model), request(&answer.ids, &golden)).await;
    let first = answer.generated.iter().position(|token| *token == answer.generated[2]).unwrap();
    assert_eq!((tokens.as_slice(), reason), (&answer.generated[..=first], Finish::Stop));

    let model = text_of(&load(&format, "base", serde_json::json!({ "eos_token_id": 319 })));
    let (_, whole, _) = go_on(model.clone(), request(&answer.ids, &golden)).await;
    let stop: String = whole.chars().skip(2).take(2).collect();
    let stopped = TextRequest { stop: vec![stop.clone()], ..request(&answer.ids, &golden) };
    let (_, text, reason) = go_on(model, stopped).await;
    assert_eq!((text.as_str(), reason), (whole.split_once(&stop).unwrap().0, Finish::Stop));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_begins_as_an_earlier_one_is_not_computed_again() {
    let format = LanguageFormat::default();
    let model = text_of(&load(&format, "prompt-tuning", serde_json::json!({})));
    let prompt: Vec<u32> = (0..50).map(|number| 40 + number % 37).collect();
    let request = |extra: u32| TextRequest {
        max_new_tokens: Some(4),
        ignore_end: true,
        ..TextRequest::new(Prompt::Tokens([prompt.clone(), vec![extra]].concat()))
    };
    let begun = |model: Arc<dyn TextModel>, request| async move {
        let events: Vec<_> = model.generate(request, Context::default()).map(Result::unwrap).collect().await;
        events.iter().find_map(|event| match event {
            TextEvent::Begun { prompt_tokens, cached_tokens } => Some((*prompt_tokens, *cached_tokens)),
            _ => None,
        })
    };
    assert_eq!(begun(model.clone(), request(5)).await, Some((51, 0)));
    assert_eq!(begun(model.clone(), request(6)).await, Some((51, 50)));
    let other = text_of(&load(&format, "p-tuning", serde_json::json!({})));
    assert_eq!(begun(other, request(6)).await, Some((51, 0)));
    let fresh = text_of(&load(&LanguageFormat::default(), "prompt-tuning", serde_json::json!({})));
    assert_eq!(go_on(model, request(7)).await, go_on(fresh, request(7)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_nobody_wants_any_more_leaves_its_place() {
    let format = LanguageFormat::default();
    let one_place =
        serde_json::json!({ "max_batch": 1, "max_queue": 1, "context_length": 100_000, "cache_bytes": 1 << 30 });
    let model = text_of(&load(&format, "base", one_place));
    let endless = || TextRequest { ignore_end: true, ..TextRequest::new(Prompt::Tokens(vec![40, 41])) };
    let mut first = model.clone().generate(endless(), Context::default());
    assert!(matches!(first.next().await.unwrap().unwrap(), TextEvent::Begun { .. }));
    let mut second = model.clone().generate(TextRequest { max_new_tokens: Some(2), ..endless() }, Context::default());
    assert!(second.next().now_or_never().is_none(), "it waits, in the only place of the queue");
    let refused = model.clone().generate(endless(), Context::default()).next().await.unwrap().unwrap_err();
    assert_eq!(refused.refusal(), Some(crate::Refusal::QueueFull));
    drop(first);
    assert!(matches!(second.next().await.unwrap().unwrap(), TextEvent::Begun { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_gives_the_same_text_in_any_company() {
    let format = LanguageFormat::default();
    let model = text_of(&load(&format, "base", serde_json::json!({})));
    let sampled = |seed| TextRequest {
        sampling: Sampling { temperature: 1.0, seed: Some(seed), ..Sampling::default() },
        max_new_tokens: Some(20),
        ..TextRequest::new(Prompt::Text("Hi".to_owned()))
    };
    let alone = go_on(model.clone(), sampled(1)).await;
    let company = join_all((0..8).map(|seed| go_on(model.clone(), sampled(seed)))).await;
    assert_eq!(company[1], alone);
    assert_ne!(company[2], alone);
}

/// For `MODELWAY_STORM_SECONDS`: with random lengths, adapters and seeds, some leave before the end.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_clients_get_what_each_would_get_alone_while_others_leave() {
    let seconds = std::env::var("MODELWAY_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let golden = golden();
    let format = LanguageFormat::default();
    // Room for about a third of the clients' texts, so that some give way.
    let settings = serde_json::json!({ "cache_bytes": 300 * 1728, "max_batch": 16, "max_step_tokens": 64 });
    let models: Vec<_> = models(&format, &golden, &settings).into_iter().map(|(_, model)| text_of(&model)).collect();
    let asked = |number: u64| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let prompt = (0..1 + mixed % 70).map(|at| 4 + ((mixed >> (at % 40)) % 300) as u32).collect();
        let temperature = if mixed.is_multiple_of(3) { 0.8 } else { 0.0 };
        let request = TextRequest {
            sampling: Sampling { temperature, seed: Some(number), ..Sampling::default() },
            max_new_tokens: Some(1 + (mixed >> 20) as usize % 40),
            ..TextRequest::new(Prompt::Tokens(prompt))
        };
        ((mixed >> 40) as usize, request)
    };
    const KINDS: u64 = 60;
    let mut alone = Vec::new();
    for number in 0..KINDS {
        let (model, request) = asked(number);
        alone.push(go_on(models[model % models.len()].clone(), request).await);
    }
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    let clients = (0..32_u64).map(|client| {
        let (models, alone) = (&models, &alone);
        async move {
            let (mut finished, mut left) = (0, 0);
            let mut turn = client;
            while std::time::Instant::now() < end {
                turn = turn.wrapping_mul(31).wrapping_add(client + 7);
                let number = turn % KINDS;
                let (model, request) = asked(number);
                let model = models[model % models.len()].clone();
                if turn.is_multiple_of(5) {
                    let mut events = model.generate(request, Context::default());
                    let _ = events.next().await;
                    left += 1;
                    continue;
                }
                assert_eq!(go_on(model, request).await, alone[number as usize], "text {number}");
                finished += 1;
            }
            (finished, left)
        }
    });
    let counts = join_all(clients).await;
    let (finished, left) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    assert!(finished > 32 && left > 8, "{finished} finished, {left} left");
    println!("{finished} texts as alone, {left} left before their end");
}
