//! What sentence-transformers answers, answered here: vectors within a hundred thousandth of their size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Value, json};

use super::floats;
use crate::embedding::{EmbeddingInput, EmbeddingModel, EmbeddingRequest, Embeddings};
use crate::error::ErrorKind;
use crate::formats::language::LanguageFormat;
use crate::formats::{Format, ModelFiles};
use crate::message::InferRequest;
use crate::model::{Context, Model};
use crate::parameter::{Parameter, Parameters};
use crate::tensor::{Tensor, TensorData};

#[derive(Deserialize)]
struct Golden {
    models: BTreeMap<String, Family>,
}

#[derive(Deserialize)]
struct Family {
    width: usize,
    limit: usize,
    answers: BTreeMap<String, Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
    /// As the model reads them: cut at the limit.
    ids: Vec<u32>,
    /// Of the whole text.
    tokens: usize,
    vector: String,
}

/// Of the greatest value of a vector.
const TOLERANCE: f32 = 1e-5;

fn folder(name: &str) -> PathBuf {
    super::folder("../embeddings").join(name)
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(folder("golden.json")).unwrap()).unwrap()
}

fn load_from(path: &Path, settings: &Value) -> Result<Arc<dyn Model>, String> {
    let parameters = Some(Arc::new(settings.as_object().unwrap().clone()));
    let files = ModelFiles { path: path.to_owned(), parameters, ..ModelFiles::default() };
    LanguageFormat::default().load(&files).map_err(|error| error.to_string())
}

fn load(name: &str, settings: &Value) -> Arc<dyn EmbeddingModel> {
    load_from(&folder(name), settings).unwrap().embedding().unwrap()
}

fn text(text: &str) -> EmbeddingInput {
    EmbeddingInput::Text(text.to_owned())
}

fn of(inputs: Vec<EmbeddingInput>) -> EmbeddingRequest {
    EmbeddingRequest { inputs, truncate: Some(true), ..EmbeddingRequest::default() }
}

async fn embed(model: &Arc<dyn EmbeddingModel>, request: EmbeddingRequest) -> Embeddings {
    model.clone().embed(request, Context::default()).await.unwrap()
}

async fn refusal(model: &Arc<dyn EmbeddingModel>, request: EmbeddingRequest) -> String {
    let error = model.clone().embed(request, Context::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    error.message().to_owned()
}

/// The difference of two vectors, of the greatest value of the second.
fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let greatest = theirs.iter().fold(0.0_f32, |greatest, value| greatest.max(value.abs()));
    super::difference(ours, theirs) / greatest
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let product = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

#[tokio::test]
async fn vectors_are_those_of_sentence_transformers_for_texts_and_for_their_tokens() {
    let golden = golden();
    for (name, family) in &golden.models {
        let model = load(name, &json!({}));
        assert_eq!(model.context_length(), family.limit, "{name}");
        for (what, answer) in &family.answers {
            let ours = embed(&model, of(vec![text(&answer.text)])).await;
            assert_eq!((ours.width, ours.tokens), (family.width, answer.ids.len()), "{name}, {what}");
            let difference = difference(&ours.values, &floats(&answer.vector));
            assert!(difference < TOLERANCE, "{name}, {what}: {difference}");
            let by_tokens = embed(&model, of(vec![EmbeddingInput::Tokens(answer.ids.clone())])).await;
            assert_eq!(by_tokens, ours, "{name}, {what}, by tokens");
        }
        assert!(family.answers.len() >= 10);
    }
    assert!(golden.models.len() >= 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_has_the_same_bits_alone_in_company_in_any_order_and_with_many_clients() {
    for (name, family) in &golden().models {
        // Steps with room for a text or two, so that requests share them.
        for settings in [json!({}), json!({"max_step_tokens": 50})] {
            let model = load(name, &settings);
            let texts: Vec<_> = family.answers.values().map(|answer| text(&answer.text)).collect();
            let mut alone = Vec::new();
            for text in &texts {
                alone.push(embed(&model, of(vec![text.clone()])).await.values);
            }
            let together = embed(&model, of(texts.clone())).await;
            assert_eq!(together.values, alone.concat(), "{name}");
            let backwards = embed(&model, of(texts.iter().rev().cloned().collect())).await;
            assert_eq!(backwards.values, alone.iter().rev().flatten().copied().collect::<Vec<_>>(), "{name}");
            let clients = (0..4).flat_map(|client| {
                let (model, alone) = (&model, &alone);
                texts.chunks(client + 1).zip(alone.chunks(client + 1)).map(move |(texts, alone)| async move {
                    assert_eq!(embed(model, of(texts.to_vec())).await.values, alone.concat(), "{name}, {client}");
                })
            });
            assert!(join_all(clients).await.len() > 20);
        }
    }
}

#[tokio::test]
async fn weights_in_eight_bits_or_half_floats_are_nearly_the_same_model() {
    for (name, family) in &golden().models {
        let whole = load_from(&folder(name), &json!({})).unwrap().size_bytes();
        for (weights, least) in [("int8", 0.99), ("bf16", 0.999), ("f16", 0.9999)] {
            let small = load_from(&folder(name), &json!({"weights": weights})).unwrap();
            assert!(small.size_bytes() < whole, "{name}, {weights}");
            let small = small.embedding().unwrap();
            for (what, answer) in &family.answers {
                let ours = embed(&small, of(vec![text(&answer.text)])).await;
                let cosine = cosine(&ours.values, &floats(&answer.vector));
                assert!(cosine > least, "{name}, {weights}, {what}: {cosine}");
            }
        }
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_by_its_number_or_cut_where_that_is_asked_for() {
    let golden = golden();
    let answer = &golden.models["bert"].answers["over the limit"];
    let inputs = vec![text("short"), text(&answer.text)];
    let model = load("bert", &json!({}));
    let request = |truncate| EmbeddingRequest { inputs: inputs.clone(), truncate, ..EmbeddingRequest::default() };
    let expected =
        format!("text 1 has {} tokens, the model takes 40: shorten it, or ask with truncate: true", answer.tokens);
    assert_eq!(refusal(&model, request(None)).await, expected);
    assert_eq!(refusal(&load("bert", &json!({"truncate": true})), request(Some(false))).await, expected);
    let cut = embed(&load("bert", &json!({"truncate": true})), request(None)).await;
    assert_eq!(cut, embed(&model, request(Some(true))).await);
    assert!(difference(&cut.values[32..], &floats(&answer.vector)) < TOLERANCE);
    let ids = |count| vec![EmbeddingInput::Tokens(vec![5; count])];
    let error = refusal(&model, EmbeddingRequest { inputs: ids(41), ..EmbeddingRequest::default() }).await;
    assert!(error.starts_with("text 0 has 41 tokens"), "{error}");
    assert_eq!(embed(&model, of(ids(41))).await, embed(&model, of(ids(40))).await);
    let error = refusal(&model, of(vec![text("a"), EmbeddingInput::Tokens(vec![])])).await;
    assert!(error.starts_with("text 1 has no tokens"), "{error}");
    let error = refusal(&model, of(vec![EmbeddingInput::Tokens(vec![3, 5000])])).await;
    assert!(error.starts_with("text 0 has the token 5000, the vocabulary has"), "{error}");
    // The settings may make texts shorter, and as long as the model has positions.
    assert_eq!(load("bert", &json!({"context_length": 10})).context_length(), 10);
    assert_eq!(load("distilbert", &json!({"context_length": 1000})).context_length(), 40);
}

#[tokio::test]
async fn vectors_are_cut_where_the_model_was_trained_for_that() {
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let request = |dimensions| EmbeddingRequest { dimensions: Some(dimensions), ..of(vec![text("a"), text("b")]) };
    let plain = load("bert", &json!({}));
    let error = refusal(&plain, request(8)).await;
    assert_eq!(error, "dimensions: expected 32: the model was not trained for vectors that are cut, got 8");
    let whole = embed(&plain, request(32)).await;
    let cut = load("bert", &json!({"matryoshka_dimensions": [8, 16]}));
    assert_eq!(refusal(&cut, request(9)).await, "dimensions: expected 32 or one of [8, 16], got 9");
    assert_eq!(embed(&cut, request(32)).await, whole);
    let eight = embed(&cut, request(8)).await;
    assert_eq!((eight.width, eight.values.len()), (8, 16));
    for (eight, whole) in eight.values.chunks(8).zip(whole.values.chunks(32)) {
        assert!((length(eight) - 1.0).abs() < 1e-6 && (length(whole) - 1.0).abs() < 1e-6);
        assert!((cosine(eight, &whole[..8]) - 1.0).abs() < 1e-6);
    }
}

#[tokio::test]
async fn vectors_have_the_length_1_where_the_model_or_the_request_says_so() {
    let length = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    for (name, is_normalized) in [("bert", true), ("bert-plain", false), ("modernbert", false)] {
        let model = load(name, &json!({}));
        let usual = embed(&model, of(vec![text("hope")])).await.values;
        assert_eq!((length(&usual) - 1.0).abs() < 1e-6, is_normalized, "{name}");
        let asked = EmbeddingRequest { normalize: Some(true), ..of(vec![text("hope")]) };
        let asked = embed(&model, asked).await.values;
        assert!((length(&asked) - 1.0).abs() < 1e-6 && cosine(&asked, &usual) > 0.999_999, "{name}");
        let as_it_is = EmbeddingRequest { normalize: Some(false), ..of(vec![text("hope")]) };
        let as_it_is = embed(&model, as_it_is).await.values;
        assert!((length(&as_it_is) - 1.0).abs() > 1e-3 && cosine(&as_it_is, &usual) > 0.999_999, "{name}");
    }
}

#[tokio::test]
async fn the_width_that_a_model_has_without_being_asked_may_be_asked_for_too() {
    let copy = copy_with("bert", "config_sentence_transformers.json", &[("truncate_dim", json!(8))]);
    let model = load_from(copy.path(), &json!({})).unwrap().embedding().unwrap();
    let request = |dimensions| EmbeddingRequest { dimensions, ..of(vec![text("a"), text("b")]) };
    let usual = embed(&model, request(None)).await;
    assert_eq!((usual.width, usual.values.len()), (8, 16));
    assert_eq!(embed(&model, request(Some(8))).await, usual);
    assert_eq!(embed(&model, request(Some(32))).await.width, 32);
    let error = refusal(&model, request(Some(16))).await;
    assert_eq!(error, "dimensions: expected 8 or 32: the model was not trained for other cuts of its vectors, got 16");
}

#[tokio::test]
async fn members_that_a_file_has_by_two_names_are_read_by_the_familys_own() {
    for (name, members) in [
        ("modernbert", vec![("layer_norm_eps", json!(0.5)), ("position_embedding_type", json!("sans_pos"))]),
        ("distilbert", vec![("hidden_size", json!(7)), ("num_hidden_layers", json!(9))]),
        ("bert", vec![("dim", json!(7)), ("n_layers", json!(9)), ("norm_eps", json!(0.5))]),
    ] {
        let path = folder(name).join("config.json");
        let own: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let has = |members: &[&str]| members.iter().all(|member| own.get(member).is_some());
        assert!(has(match name {
            "modernbert" => &["norm_eps"],
            "distilbert" => &["dim", "n_layers"],
            _ => &["hidden_size", "num_hidden_layers", "layer_norm_eps"],
        }));
        let copy = copy_with(name, "config.json", &members);
        let model = load_from(copy.path(), &json!({})).unwrap().embedding().unwrap();
        let ours = embed(&model, of(vec![text("hope")])).await;
        assert_eq!(ours, embed(&load(name, &json!({})), of(vec![text("hope")])).await, "{name}");
    }
}

#[tokio::test]
async fn a_request_has_at_most_4096_texts_also_as_tensors() {
    let model = load_from(&folder("bert"), &json!({})).unwrap();
    let values = vec![bytes::Bytes::from_static(b"a"); 4097];
    let input = Tensor::new("content", vec![values.len()], TensorData::Bytes(values)).unwrap();
    let request = InferRequest { inputs: vec![input], ..InferRequest::default() };
    let mut responses = model.infer(request, Context::default());
    let error = responses.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.message(), "the request has 4097 texts, expected at most 4096: send them in several");
}

#[tokio::test]
async fn a_vector_that_is_not_finite_is_an_error_of_the_model() {
    let copy = copy_with("bert", "config.json", &[]);
    let path = copy.path().join("model.safetensors");
    let mut file = std::fs::read(&path).unwrap();
    let begin = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..begin]).unwrap();
    let place = |at: usize| header["encoder.layer.1.output.dense.bias"]["data_offsets"][at].as_u64().unwrap() as usize;
    // No number in any kind of floats.
    file[begin + place(0)..begin + place(1)].fill(0xff);
    std::fs::write(&path, file).unwrap();
    let model = load_from(copy.path(), &json!({})).unwrap().embedding().unwrap();
    let error = model.embed(of(vec![text("a")]), Context::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().starts_with("the vector of text 0 has values that are not finite"), "{}", error.message());
}

#[test]
fn an_adapter_of_an_embedder_is_refused_as_such() {
    let adapter = tempfile::tempdir().unwrap();
    let config = json!({"peft_type": "LORA", "base_model_name_or_path": folder("bert")});
    std::fs::write(adapter.path().join("adapter_config.json"), config.to_string()).unwrap();
    let error = load_from(adapter.path(), &json!({})).err().expect("it is loaded");
    assert!(error.contains("bert, which makes embeddings: adapters are served on models that make texts"), "{error}");
}

#[tokio::test]
async fn a_prompt_of_the_model_stands_before_texts() {
    let model = load("xlm-roberta", &json!({}));
    let named =
        |name: &str, input: &str| EmbeddingRequest { prompt_name: Some(name.to_owned()), ..of(vec![text(input)]) };
    let usual = embed(&model, of(vec![text("hope")])).await;
    assert_eq!(embed(&model, named("query", "hope")).await, usual);
    let passage = embed(&model, named("passage", "hope")).await;
    assert_ne!(passage, usual);
    let error = refusal(&model, named("other", "hope")).await;
    assert_eq!(error, "prompt_name: the model has no prompt 'other', it has: passage, query");
    let error = refusal(&load("bert", &json!({})), named("query", "hope")).await;
    assert_eq!(error, "prompt_name: the model has no prompt 'query', it has: none");
}

#[tokio::test]
async fn as_tensors_texts_go_in_and_vectors_come_out() {
    let golden = golden();
    let family = &golden.models["distilbert"];
    let model = load_from(&folder("distilbert"), &json!({"output": "vectors"})).unwrap();
    let metadata = model.metadata();
    assert_eq!(metadata.platform, "huggingface_distilbert");
    assert_eq!((metadata.inputs[0].name.as_str(), &metadata.inputs[0].shape), ("content", &vec![-1]));
    assert_eq!((metadata.outputs[0].name.as_str(), &metadata.outputs[0].shape), ("vectors", &vec![-1, 16]));
    let values = |texts: &[&str]| texts.iter().map(|text| bytes::Bytes::from(text.to_string())).collect();
    let request = |texts: &[&str], parameters: Parameters| {
        let input = Tensor::new("text_input", vec![texts.len(), 1], TensorData::Bytes(values(texts))).unwrap();
        InferRequest { inputs: vec![input], parameters, ..InferRequest::default() }
    };
    let infer = async |request| {
        let responses: Vec<_> = model.clone().infer(request, Context::default()).collect().await;
        assert_eq!(responses.len(), 1);
        responses.into_iter().next().unwrap()
    };
    let truncate = || Parameters::from([("truncate".to_owned(), Parameter::Bool(true))]);
    let texts: Vec<_> = family.answers.values().map(|answer| answer.text.as_str()).collect();
    let response = infer(request(&texts, truncate())).await.unwrap();
    let [output] = response.outputs.as_slice() else { panic!("{} outputs", response.outputs.len()) };
    assert_eq!((output.name.as_str(), output.shape()), ("vectors", [texts.len(), 16].as_slice()));
    let TensorData::Fp32(ours) = output.data() else { panic!("{}", output.datatype()) };
    for (ours, answer) in ours.chunks(16).zip(family.answers.values()) {
        assert!(difference(ours, &floats(&answer.vector)) < TOLERANCE);
    }
    assert_eq!(infer(request(&[], Parameters::new())).await.unwrap().outputs[0].shape(), [0, 16]);
    let error = infer(request(&texts, Parameters::new())).await.unwrap_err();
    assert!(error.message().contains("tokens, the model takes 24"), "{}", error.message());
    let wrong = Parameters::from([("truncate".to_owned(), Parameter::Int64(1))]);
    let error = infer(request(&["a"], wrong)).await.unwrap_err();
    assert!(error.message().starts_with("parameter 'truncate': expected true or false"), "{}", error.message());
    let number = Tensor::new("x", vec![1], TensorData::Fp32(vec![1.0])).unwrap();
    let error = infer(InferRequest { inputs: vec![number], ..InferRequest::default() }).await.unwrap_err();
    assert_eq!(error.message(), "input 'x': expected BYTES, got FP32");
}

#[tokio::test]
async fn who_left_is_not_computed_for_and_the_queue_is_as_long_as_the_settings_say() {
    let model = load("bert", &json!({"max_queue": 0}));
    let error = model.clone().embed(of(vec![text("a")]), Context::default()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Exhausted, "0 requests wait already, which is as many as may")
    );
    let model = load("bert", &json!({"max_step_tokens": 1}));
    let many = || of(vec![EmbeddingInput::Tokens(vec![5; 40]); 500]);
    let started = std::time::Instant::now();
    embed(&model, many()).await;
    let of_one = started.elapsed();
    let mut left: Vec<_> = (0..100).map(|_| Box::pin(model.clone().embed(many(), Context::default()))).collect();
    for request in &mut left {
        // Handed in, and not waited for.
        assert!(futures_util::poll!(request).is_pending());
    }
    drop(left);
    let started = std::time::Instant::now();
    embed(&model, of(vec![text("a")])).await;
    // All of them would take a hundred times as long as one.
    assert!(started.elapsed() < of_one * 20, "{:?} behind others, one takes {of_one:?}", started.elapsed());
}

#[test]
fn files_that_do_not_fit_are_named_with_what_does_not_fit() {
    let failure = |name: &str, change: &dyn Fn(&Path)| {
        let copy = tempfile::tempdir().unwrap();
        copy_all(&folder(name), copy.path());
        change(copy.path());
        let error = load_from(copy.path(), &json!({})).err().expect("it is loaded");
        error.replace(&copy.path().display().to_string(), "MODEL")
    };
    let set = |name: &str, file: &str, member: &str, value: Value| {
        failure(name, &|copy| {
            let path = copy.join(file);
            let mut members: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            members[member] = value.clone();
            std::fs::write(path, members.to_string()).unwrap();
        })
    };
    let text = failure("bert", &|copy| {
        let file = std::fs::File::options().write(true).open(copy.join("model.safetensors")).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
    });
    assert!(text.starts_with("MODEL/model.safetensors: the file is cut off: it has"), "{text}");
    let text = set("bert", "config.json", "vocab_size", json!(50));
    assert!(text.starts_with("MODEL/tokenizer.json: its ids go to") && text.contains("vocab_size is 50"), "{text}");
    let text = set("bert", "config.json", "num_hidden_layers", json!(3));
    assert!(
        text.starts_with(
            "MODEL/model.safetensors: the tensor 'encoder.layer.2.attention.self.query.weight' is missing"
        ),
        "{text}"
    );
    let text = set("bert", "config.json", "num_hidden_layers", json!(1));
    assert!(text.contains("is none of bert's with 1 layers"), "{text}");
    let text = set("bert", "config.json", "intermediate_size", json!(41));
    assert!(text.contains("has the shape [40, 32], expected [41, 32]"), "{text}");
    let text = set("bert", "config.json", "num_attention_heads", json!(5));
    assert_eq!(text, "MODEL/config.json: hidden_size 32 is no multiple of num_attention_heads 5");
    let text = set("bert", "config.json", "hidden_size", json!(null));
    assert_eq!(text, "MODEL/config.json: hidden_size (or dim) is missing");
    let text = set("bert", "config.json", "hidden_act", json!("mish"));
    assert!(text.starts_with("MODEL/config.json: hidden_act: expected silu, gelu"), "{text}");
    let text = set("bert", "config.json", "position_embedding_type", json!("relative_key"));
    assert_eq!(text, "MODEL/config.json: position_embedding_type: expected absolute, got 'relative_key'");
    for kinds in [3, 512] {
        let text = set("mpnet", "config.json", "relative_attention_num_buckets", json!(kinds));
        let expected = "MODEL/config.json: relative_attention_num_buckets: expected 4 to 511";
        assert_eq!(text, format!("{expected}, got {kinds}"));
    }
    let text = set("bert", "config.json", "is_decoder", json!(true));
    assert!(text.starts_with("MODEL/config.json: is_decoder: expected false"), "{text}");
    let text = set("bert-plain", "config.json", "architectures", json!(["BertForSequenceClassification"]));
    assert!(
        text.starts_with("MODEL/config.json: architectures: 'BertForSequenceClassification' does not make"),
        "{text}"
    );
    let text = set("bert", "config.json", "model_type", json!("t5"));
    assert!(text.starts_with("MODEL/config.json: model_type: expected one of bloom,"), "{text}");
    assert!(
        text.ends_with(
            "or, for embeddings, bert, camembert, distilbert, modernbert, mpnet, roberta, xlm-roberta, got 't5'"
        ),
        "{text}"
    );

    let text = set("bert", "1_Pooling/config.json", "pooling_mode_attention", json!(true));
    assert!(text.starts_with("MODEL/1_Pooling/config.json: 'pooling_mode_attention' is no pooling"), "{text}");
    let text = set("modernbert", "1_Pooling/config.json", "pooling_mode", json!("best"));
    assert!(text.starts_with("MODEL/1_Pooling/config.json: pooling_mode: expected one of cls, max,"), "{text}");
    let text = set("modernbert", "1_Pooling/config.json", "embedding_dimension", json!(64));
    assert!(text.contains("embedding_dimension: expected 32, which is the model's hidden_size, got 64"), "{text}");
    let text = set("modernbert", "1_Pooling/config.json", "include_prompt", json!(false));
    assert!(text.starts_with("MODEL/1_Pooling/config.json: include_prompt: expected true"), "{text}");
    let text =
        set("distilbert", "2_Dense/config.json", "activation_function", json!("torch.nn.modules.activation.Hardtanh"));
    assert!(text.starts_with("MODEL/2_Dense/config.json: activation_function: expected torch's Identity,"), "{text}");
    let text = set("distilbert", "2_Dense/config.json", "in_features", json!(64));
    assert_eq!(text, "MODEL/2_Dense/config.json: in_features: expected 32, which is what comes in, got 64");
    let text = set("distilbert", "2_Dense/config.json", "bias", json!(true));
    assert_eq!(text, "MODEL/2_Dense/model.safetensors: the tensor 'linear.bias' is missing");
    let text = failure("distilbert", &|copy| std::fs::remove_file(copy.join("2_Dense/config.json")).unwrap());
    assert!(text.starts_with("cannot read MODEL/2_Dense/config.json: "), "{text}");
    let modules = |change: &dyn Fn(&mut Value)| {
        failure("bert", &|copy| {
            let path = copy.join("modules.json");
            let mut members: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut members);
            std::fs::write(path, members.to_string()).unwrap();
        })
    };
    let text = modules(&|all| all[2]["type"] = json!("sentence_transformers.models.CNN"));
    assert!(text.starts_with("MODEL/modules.json: type: expected one of Transformer, Pooling, Dense"), "{text}");
    let text = modules(&|all| all[1]["path"] = json!("../elsewhere"));
    assert!(text.starts_with("MODEL/modules.json: path: expected a folder inside of the model's"), "{text}");
    let text = modules(&|all| all[0]["path"] = json!("0_Transformer"));
    assert!(
        text.starts_with("MODEL/modules.json: the first module is 'sentence_transformers.models.Transformer' in"),
        "{text}"
    );
    let text = modules(&|all| *all = json!([all[0]]));
    assert_eq!(text, "MODEL/modules.json: expected a Pooling behind the Transformer");
    let text = set("xlm-roberta", "config_sentence_transformers.json", "default_prompt_name", json!("nope"));
    assert!(text.starts_with("MODEL/config_sentence_transformers.json: default_prompt_name: expected one"), "{text}");
}

/// A copy of a model in which a file has other members.
fn copy_with(name: &str, file: &str, members: &[(&str, Value)]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_all(&folder(name), copy.path());
    let path = copy.path().join(file);
    let mut whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (member, value) in members {
        whole[*member] = value.clone();
    }
    std::fs::write(path, whole.to_string()).unwrap();
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let place = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&place).unwrap();
            copy_all(&path, &place);
        } else {
            std::fs::copy(&path, &place).unwrap();
        }
    }
}
