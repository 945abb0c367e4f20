use serde_json::{Value, json};

use super::{Config, Positions, Rotary};

#[test]
fn both_spellings_say_the_same() {
    let new = br#"{"model_type": "bloom", "vocab_size": 320, "hidden_size": 48, "n_layer": 3, "n_head": 6, "eos_token_id": 2}"#;
    let old = br#"{"model_type": "bloom", "vocab_size": 320, "n_embed": 48, "n_layer": 3, "num_attention_heads": 6,
        "eos_token_id": 2, "offset_alibi": 100, "layer_norm_epsilon": 1e-05}"#;
    assert_eq!(Config::parse(new).unwrap(), Config::parse(old).unwrap());
}

#[test]
fn what_is_missing_is_told_by_its_name() {
    let text = br#"{"model_type": "bloom", "vocab_size": 320, "n_layer": 3, "n_head": 6}"#;
    assert_eq!(Config::parse(text).unwrap_err().to_string(), "hidden_size (or n_embed) is missing");
}

#[test]
fn another_family_is_refused_by_its_name() {
    let error = Config::parse(br#"{"model_type": "gpt2"}"#).unwrap_err().to_string();
    assert_eq!(
        error,
        "model_type: expected one of bloom, gemma, gemma2, gemma3_text, llama, mistral, phi, phi3, qwen2, qwen3, or, for \
         embeddings, bert, camembert, distilbert, modernbert, mpnet, roberta, xlm-roberta, got 'gpt2'"
    );
}

/// A small model of a family, with these members, too.
fn read(family: &str, members: Value) -> Result<Config, String> {
    let mut config = json!({
        "model_type": family, "vocab_size": 64, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    });
    let Value::Object(members) = members else { panic!("{members}") };
    config.as_object_mut().unwrap().extend(members);
    Config::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn rotary(config: &Config) -> &Rotary {
    match &config.positions {
        Positions::Rotary(rotary) => rotary,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stretched_positions_are_read_in_every_spelling() {
    let llama3 =
        json!({"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64});
    for (kind, members) in [("linear", json!({"factor": 4.0})), ("llama3", llama3)] {
        let spelled = |names: &[&str], theta: bool| {
            let mut scaling = members.clone();
            for name in names {
                scaling[name] = kind.into();
            }
            if theta {
                scaling["rope_theta"] = 500.0.into();
            }
            scaling
        };
        let new = read("llama", json!({"rope_parameters": spelled(&["rope_type"], true)})).unwrap();
        for names in [&["type"][..], &["rope_type"], &["rope_type", "type"]] {
            let old = json!({"rope_theta": 500.0, "rope_scaling": spelled(names, false)});
            assert_eq!(read("llama", old).unwrap(), new, "{names:?}");
        }
        let plain = read("llama", json!({"rope_theta": 500.0, "rope_scaling": null})).unwrap();
        assert_ne!(rotary(&plain), rotary(&new));
    }
}

#[test]
fn a_window_is_where_the_family_has_it() {
    let layers = |family: &str, members: Value| {
        let window = read(family, members).unwrap().window;
        window.map(|window| (window.positions, window.layers))
    };
    assert_eq!(layers("llama", json!({"sliding_window": 7})), None);
    assert_eq!(layers("mistral", json!({"sliding_window": 7})), Some((7, vec![true; 3])));
    assert_eq!(layers("mistral", json!({"sliding_window": null})), None);
    assert_eq!(layers("mistral", json!({})), Some((4096, vec![true; 3])));
    assert_eq!(layers("phi3", json!({"sliding_window": 7})), Some((7, vec![true; 3])));
    let qwen = |uses: bool| json!({"sliding_window": 7, "use_sliding_window": uses, "max_window_layers": 2});
    assert_eq!(layers("qwen2", qwen(false)), None);
    assert_eq!(layers("qwen2", qwen(true)), Some((7, vec![false, false, true])));
    assert_eq!(layers("gemma2", json!({"sliding_window": 7})), Some((7, vec![true, false, true])));
    let types = json!(["full_attention", "full_attention", "sliding_attention"]);
    let gemma = json!({"sliding_window": 7, "layer_types": types});
    assert_eq!(layers("gemma2", gemma.clone()), Some((7, vec![false, false, true])));
    assert_eq!(layers("gemma3_text", gemma), Some((7, vec![false, false, true])));
    assert_eq!(
        layers("gemma3_text", json!({"sliding_window": 7, "sliding_window_pattern": 2})),
        Some((7, vec![true, false, true]))
    );
}

#[test]
fn both_spellings_of_gemma_3_say_the_same() {
    let old = json!({
        "head_dim": 12, "sliding_window": 7, "sliding_window_pattern": 3, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    });
    let new = json!({
        "head_dim": 12, "sliding_window": 7, "_sliding_window_pattern": 3, "sliding_window_pattern": 3,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    });
    let new = read("gemma3_text", new).unwrap();
    assert_eq!(read("gemma3_text", old).unwrap(), new);
    assert_ne!(new.window.as_ref().unwrap().rotary.as_ref().unwrap(), rotary(&new));
}

#[test]
fn positions_with_two_sets_of_factors_are_served_as_far_as_the_first_holds() {
    let members = json!({
        "max_position_embeddings": 4096, "original_max_position_embeddings": 64,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.5, 2.0, 2.5], "long_factor": [9.0, 9.0, 9.0, 9.0]},
    });
    let config = read("phi3", members.clone()).unwrap();
    assert_eq!(config.context, Some(64));
    // As 64-fold a context asks for: 64 = 64^1.
    assert!((rotary(&config).scale - 2.0_f32.sqrt()).abs() < 1e-6);
    let mut short = members;
    short["rope_scaling"]["short_factor"] = json!([1.0]);
    assert_eq!(read("phi3", short).unwrap_err(), "rope_scaling: short_factor: expected 4, got 1");
}

#[test]
fn yarn_says_how_long_texts_may_be() {
    // As Qwen's model cards tell users to write it.
    let qwen = json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}});
    assert_eq!(read("qwen2", qwen).unwrap().context, Some(131_072));
    let short = json!({"rope_scaling": {"type": "yarn", "factor": 2.0}, "max_position_embeddings": 100});
    assert_eq!(read("qwen2", short).unwrap().context, Some(200));
}

#[test]
fn what_is_not_served_is_refused_by_its_name() {
    let refused = |family: &str, members: Value| read(family, members).unwrap_err();
    assert_eq!(
        refused("qwen2", json!({"rope_scaling": {"type": "dynamic", "factor": 4.0}})),
        "rope_type: expected default, linear, llama3, yarn or longrope, got 'dynamic'"
    );
    assert_eq!(
        refused("llama", json!({"hidden_act": "quick_gelu"})),
        "hidden_act: expected silu, gelu, gelu_pytorch_tanh or relu, got 'quick_gelu'"
    );
    assert_eq!(
        refused("gemma3_text", json!({"attn_logit_softcapping": 50.0})),
        "attn_logit_softcapping: expected null, as Gemma 3 has it"
    );
    assert_eq!(
        refused("gemma3_text", json!({"use_bidirectional_attention": true})),
        "use_bidirectional_attention: expected false, a model of text that goes on"
    );
    assert_eq!(
        refused("gemma2", json!({"layer_types": ["full_attention", "chunked_attention", "full_attention"]})),
        "layer_types: expected full_attention or sliding_attention, got 'chunked_attention'"
    );
    assert_eq!(refused("gemma2", json!({"layer_types": ["full_attention"]})), "layer_types: expected 3, got 1");
    let text = refused("llama", json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}));
    assert!(text.starts_with("quantization_config: expected null: "), "{text}");
    assert_eq!(refused("mistral", json!({"sliding_window": 0})), "sliding_window: expected at least 1, got 0");
}

#[test]
fn the_generation_config_says_what_ends_a_text_before_the_model_does() {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1,
        "num_attention_heads": 4, "eos_token_id": 2, "pad_token_id": 5,
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let ends = || Config::read(folder.path()).map(|config| (config.ends, config.padding));
    let generation = |text: &str| std::fs::write(folder.path().join("generation_config.json"), text).unwrap();
    assert_eq!(ends().unwrap(), (vec![2], Some(5)));
    generation(r#"{"eos_token_id": [7, 8], "pad_token_id": 9, "temperature": 0.6}"#);
    assert_eq!(ends().unwrap(), (vec![7, 8], Some(9)));
    generation(r#"{"temperature": 0.6}"#);
    assert_eq!(ends().unwrap(), (vec![2], Some(5)));
    generation(r#"{"eos_token_id": "</s>"}"#);
    assert!(ends().unwrap_err().to_string().contains("generation_config.json: "));
}
