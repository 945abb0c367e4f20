use super::*;

fn selected(text: &str) -> Vec<String> {
    let mut versions = ["1", "2", "10", "beta"].map(str::to_owned).to_vec();
    if let Some(policy) = Config::parse(text).unwrap().policy {
        policy.select(&mut versions);
    }
    versions
}

#[test]
fn name_batch_size_and_policy_are_read_from_a_real_file() {
    let text = r#"
        name: "densenet_onnx"
        platform: "onnxruntime_onnx"
        max_batch_size : 8
        input [ { name: "data_0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 224, 224 ]
                  reshape { shape: [ 1, 3, 224, 224 ] } } ]
        output [ { name: "fc6_1" data_type: TYPE_FP32 dims: [ 1000 ] label_filename: "labels.txt" } ]
        version_policy: { latest { num_versions: 2 } }
        dynamic_batching { }
        instance_group [ { count: 1 kind: KIND_GPU gpus: [ 0 ] } ]
    "#;
    let config = Config::parse(text).unwrap();
    assert_eq!(config.name.as_deref(), Some("densenet_onnx"));
    assert_eq!(config.max_batch_size, Some(8));
    assert_eq!(config.policy, Some(Policy::Latest(2)));
    let signature = config.signature.unwrap();
    let spec =
        |name: &str, shape: &[i64]| TensorSpec { name: name.into(), datatype: DataType::Fp32, shape: shape.into() };
    assert_eq!(signature.inputs.as_deref(), Some([spec("data_0", &[-1, 3, 224, 224])].as_slice()));
    assert_eq!(signature.outputs.as_deref(), Some([spec("fc6_1", &[-1, 1000])].as_slice()));
    assert!(signature.is_fallback);
    assert_eq!(Config::parse("max_batch_size: 0").unwrap(), Config::default());
}

#[test]
fn a_policy_selects_among_the_version_folders() {
    assert_eq!(selected(""), ["1", "2", "10", "beta"]);
    assert_eq!(selected("version_policy: { all { } }"), ["1", "2", "10", "beta"]);
    assert_eq!(selected("version_policy: { latest { num_versions: 2 } }"), ["2", "10"]);
    assert_eq!(selected("version_policy: { latest { } }"), ["10"]);
    assert_eq!(selected("version_policy { specific { versions: 1 versions: 3 } }"), ["1"]);
}

#[test]
fn what_is_not_understood_says_what_was_expected() {
    assert!(Config::parse("max_batch_size: -1").unwrap_err().contains("expected for instance 8"));
    assert!(Config::parse("version_policy: { newest {} }").unwrap_err().contains("expected all {}"));
    assert!(Config::parse("version_policy: { latest { num_versions: 0 } }").is_err());
}

#[test]
fn tensors_that_are_not_understood_keep_no_model_from_serving() {
    let config = Config::parse(
        "input { name: 'a' data_type: TYPE_FP8 dims: 1 } output { name: 'b' data_type: TYPE_STRING dims: [ -1 ] }",
    );
    let signature = config.unwrap().signature.unwrap();
    assert_eq!(signature.inputs, None);
    let text = TensorSpec { name: "b".into(), datatype: DataType::Bytes, shape: vec![-1] };
    assert_eq!(signature.outputs, Some(vec![text]));
    assert_eq!(Config::parse("input { name: 'a' }").unwrap().signature, None);
}
