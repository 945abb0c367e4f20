use super::Config;

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
    assert_eq!(error, "model_type: expected one of bloom, llama, mistral, qwen2, qwen3, got 'gpt2'");
}
