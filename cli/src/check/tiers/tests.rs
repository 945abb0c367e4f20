use serde_json::json;

use super::*;
use crate::mesh_file::MeshFile;

#[test]
fn a_rule_needs_what_the_deepest_of_its_conditions_needs() {
    assert_eq!(of_conditions(&json!({"headers": [], "versions": ["1"]})), Tier::Header);
    assert_eq!(of_conditions(&json!({"headers": [], "parameters": []})), Tier::Body);
    assert_eq!(of_conditions(&json!({"not": {"not": {"parameters": []}}})), Tier::Body);
    assert_eq!(of_conditions(&json!({"encodings": ["Binary"]})), Tier::Header);
    assert_eq!(of_conditions(&json!({"encodings": ["Binary", "Raw"]})), Tier::Body);
    assert_eq!(of_key(&json!("sourceAddress")), Tier::Header);
    assert_eq!(of_key(&json!("requestId")), Tier::Body);
    assert_eq!(of_key(&json!({"cookie": "a"})), Tier::Header);
    assert_eq!(of_key(&json!({"parameter": "a"})), Tier::Body);
}

#[test]
fn every_condition_and_key_that_the_configuration_knows_has_its_tier() {
    /// Those that only the body tells.
    const IN_BODY: [&str; 9] = [
        "batchSize",
        "datatypes",
        "encodings",
        "inputs",
        "parameter",
        "parameters",
        "requestId",
        "requestIds",
        "shapes",
    ];
    let schema = serde_json::to_value(schemars::schema_for!(MeshFile)).expect("a schema");
    let conditions = schema.pointer("/$defs/Conditions/properties").and_then(Value::as_object).expect("conditions");
    let keys = schema.pointer("/$defs/StickyKey/oneOf").and_then(Value::as_array).expect("keys");
    let of_keys = keys.iter().filter_map(|key| match key.get("const") {
        Some(word) => word.as_str(),
        None => key.pointer("/properties").and_then(Value::as_object)?.keys().next().map(String::as_str),
    });
    for name in conditions.keys().map(String::as_str).chain(of_keys).filter(|name| *name != "not") {
        assert!(
            IN_HEADERS.contains(&name) || IN_BODY.contains(&name),
            "`{name}` is new: put it into IN_HEADERS if the headers tell it, into IN_BODY of this test if not"
        );
    }
}
